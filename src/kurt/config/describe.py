"""Settings as they may be shown: secrets and passwords are hidden."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kurt.config.address import redacted
from kurt.config.discovery import CONFIG_FILE, ENV_FILE, user_file
from kurt.config.keys import KNOWN, is_secret
from kurt.config.layers import variable
from kurt.config.settings import ladder
from kurt.errors import NotFoundError

if TYPE_CHECKING:
    from kurt.config.settings import Settings
    from kurt.config.values import Value

HIDDEN = "***"
"""What stands in the place of a secret."""


def show_settings(settings: Settings, *, origin: bool = False) -> list[dict[str, Any]]:
    """All settings as `{key, value}`, with `origin` where it is asked for."""
    rows = [{"key": key, "value": _shown(key, value)} for key, value in settings.items()]
    return [{**row, "origin": settings.origin(str(row["key"]))} for row in rows] if origin else rows


def show_setting(
    settings: Settings, key: str, *, module: str | None = None, step: str | None = None
) -> dict[str, Any]:
    """One setting as `{key, value, origin}`; the key is the one of the ladder that was found.

    Raises:
        NotFoundError: nobody knows the key, and nobody has set it.
    """
    found = next((name for name in ladder(key, module, step) if name in settings.values), key.upper())
    if found not in settings.values and found not in KNOWN:
        from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

        close = get_close_matches(found, [*KNOWN, *settings.values], n=1)
        raise NotFoundError(
            f"there is no setting {key!r}",
            hint=f"did you mean {close[0]}?" if close else f"set it: {variable(key)}=... or in {CONFIG_FILE}",
        )
    value = settings.get(key, module=module, step=step)
    return {"key": found, "value": _shown(found, value), "origin": settings.origin(found)}


def setting_files(settings: Settings) -> list[dict[str, Any]]:
    """The files that settings come from, the strongest first, as `{file, path, exists}`."""
    paths = {
        "dotenv": str(settings.root / ENV_FILE),
        "project": str(settings.root / CONFIG_FILE),
        "user": user_file(settings.environ),
    }
    return [
        {"file": file, "path": path, "exists": os.path.isfile(path)}  # noqa: PTH113 - paths are texts here
        for file, path in paths.items()
    ]


def _shown(key: str, value: Value) -> Value:
    if value in (None, ""):
        return value
    if is_secret(key):
        return HIDDEN
    return redacted(value) if isinstance(value, str) else value
