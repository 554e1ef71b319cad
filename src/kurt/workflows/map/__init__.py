"""Workflow `map`: find the documents of a site, a folder or a CMS; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import MapConfig
    from .models import MapDocument, MapStatus
    from .steps import discover_from_url
    from .workflow import map_workflow, run_map

__all__ = ["MapConfig", "MapDocument", "MapStatus", "discover_from_url", "map_workflow", "run_map"]

_HOMES = {
    "MapConfig": ".config",
    "MapDocument": ".models",
    "MapStatus": ".models",
    "discover_from_url": ".steps",
    "map_workflow": ".workflow",
    "run_map": ".workflow",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
