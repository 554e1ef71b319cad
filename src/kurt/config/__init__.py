"""Settings of a project: discovery, precedence, `.env`, and the origin of each value.

The names are loaded when they are first used: `kurt --help` only needs `kurt.config.discovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.config.keys import KEYS, KNOWN, Key, is_secret
    from kurt.config.settings import Settings, load_settings

__all__ = ["KEYS", "KNOWN", "Key", "Settings", "is_secret", "load_settings"]

_HOMES = {
    "KEYS": "kurt.config.keys",
    "KNOWN": "kurt.config.keys",
    "Key": "kurt.config.keys",
    "Settings": "kurt.config.settings",
    "is_secret": "kurt.config.keys",
    "load_settings": "kurt.config.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only lazy names need it

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
