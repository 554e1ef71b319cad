"""The project that the running command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.cli.session import current

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings


def current_settings() -> Settings:
    """The settings of the project; honours `--project`.

    Raises:
        ConfigError: they cannot be read.
    """
    return current().settings()


def project_root() -> Path:
    """Where relative paths of a project start: the folder of `kurt.config`, else the working directory."""
    return current_settings().root
