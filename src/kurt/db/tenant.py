"""Whose work is at hand: the user and the workspace to which new rows, runs and costs belong."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.config.current import current_settings

if TYPE_CHECKING:
    from kurt.config import Settings


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose work it is.

    Attributes:
        user_id: the user, None for nobody in particular.
        workspace_id: the workspace, None for none.
    """

    user_id: str | None = None
    workspace_id: str | None = None


chosen: ContextVar[Tenant | None] = ContextVar("kurt_tenant", default=None)
"""What `with tenant(...)` says."""

_sources: list[Callable[[], Tenant | None]] = []


def add_source(source: Callable[[], Tenant | None]) -> None:
    """Ask this function too, before the settings; it gives None when it does not know.

    The runtime knows to whom the run belongs in which the caller is.
    """
    if source not in _sources:
        _sources.append(source)


def current_tenant() -> Tenant:
    """What `with tenant(...)` says, else the run in which the caller is, else the settings."""
    explicit = chosen.get()
    if explicit is not None:
        return explicit
    for source in _sources:
        found = source()
        if found is not None:
            return found
    return tenant_of(current_settings())


def tenant_of(settings: Settings) -> Tenant:
    """What the settings `USER_ID` and `WORKSPACE_ID` say."""
    user, workspace = settings.get("USER_ID"), settings.get("WORKSPACE_ID")
    return Tenant(str(user) if user else None, str(workspace) if workspace else None)


def scope_of(settings: Settings) -> Tenant | None:
    """Whose runs alone a command may show: what the flags `--user` and `--workspace` say, None for everybody's."""
    scoped = Tenant(
        *(
            str(settings.get(key)) if settings.origin(key) == "flag" else None
            for key in ("USER_ID", "WORKSPACE_ID")
        )
    )
    return scoped if scoped != Tenant() else None
