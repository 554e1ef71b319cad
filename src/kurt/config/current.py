"""The settings of the project on which this process works, for code that nobody hands them to."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kurt.config.settings import load_settings

if TYPE_CHECKING:
    from kurt.config.settings import Settings

_in_use: list[Settings] = []


def use(settings: Settings) -> None:
    """Make these the settings that `current_settings` gives, until `release`; an executor does it when it starts."""
    _in_use.append(settings)


def release(settings: Settings) -> None:
    """Undo `use`; does nothing where it was undone already."""
    with suppress(ValueError):
        _in_use.remove(settings)


def current_settings() -> Settings:
    """The settings of the executor of this process, else those of the working directory.

    Raises:
        ConfigError: they cannot be read.
    """
    return _in_use[-1] if _in_use else load_settings()
