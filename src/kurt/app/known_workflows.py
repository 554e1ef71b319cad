"""The names that a `workflow` block may call, found without importing the project's modules."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from kurt.app.registry import WorkflowRegistry

if TYPE_CHECKING:
    from kurt.config import Settings


class KnownWorkflows(Collection[str]):
    """Names of the Python workflows of a project, looked for when a file asks for one.

    Args:
        settings: the project's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self._registry.find(name) is not None or _registered_here(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _registry(self) -> WorkflowRegistry:
        return WorkflowRegistry(self._settings)

    @cached_property
    def _names(self) -> list[str]:
        modules = self._registry.modules()
        return sorted({name for one in modules for name in (one.name, *one.workflow_names())})


def _registered_here(name: str) -> bool:
    """True if a test or an application has registered the function in this process, which has then loaded DBOS."""
    if "dbos" not in sys.modules:
        return False
    from kurt.runtime.recovery import is_registered  # noqa: PLC0415 - loads DBOS

    return is_registered(name)
