"""Workflow `fetch`: get the texts of documents and store them; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import FetchConfig
    from .models import FetchDocument, FetchStatus
    from .pages import Page, extract_page
    from .workflow import fetch_workflow, run_fetch

__all__ = [
    "FetchConfig",
    "FetchDocument",
    "FetchStatus",
    "Page",
    "extract_page",
    "fetch_workflow",
    "run_fetch",
]

_HOMES = {
    "FetchConfig": ".config",
    "FetchDocument": ".models",
    "FetchStatus": ".models",
    "Page": ".pages",
    "extract_page": ".pages",
    "fetch_workflow": ".workflow",
    "run_fetch": ".workflow",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
