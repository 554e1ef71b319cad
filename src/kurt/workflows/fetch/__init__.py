"""Workflow `fetch`; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.workflows.fetch.pages import Page, extract_page

__all__ = ["Page", "extract_page"]

_HOMES = {
    "Page": ".pages",
    "extract_page": ".pages",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
