"""What an author of Python workflows imports; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.session import destroy_dbos, init_dbos  # pyright: ignore[reportUnusedImport] - see __all__

__all__ = ["destroy_dbos", "init_dbos"]

_HOMES = {"destroy_dbos": "kurt.app.session", "init_dbos": "kurt.app.session"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
