"""Finding the project and the user's own settings; kept light, since `kurt --help` asks where the project is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_FILE = "kurt.config"
"""Name of the file that makes a folder a project."""

ENV_FILE = ".env"
"""Name of the file with secrets, beside `kurt.config`."""


def find_root(start: str, *, environ: Mapping[str, str]) -> str | None:
    """The nearest folder with a `kurt.config`, from `start` upwards; None where there is none."""
    folder = os.path.abspath(start)  # noqa: PTH100 - pathlib is slow to import
    own = user_file(environ)
    while True:
        candidate = f"{folder.rstrip('/')}/{CONFIG_FILE}"
        if candidate != own and os.path.isfile(candidate):  # noqa: PTH113 - pathlib is slow to import
            return folder
        parent = os.path.dirname(folder)  # noqa: PTH120 - pathlib is slow to import
        if parent == folder:
            return None
        folder = parent


def user_file(environ: Mapping[str, str]) -> str:
    """Where the user's own settings are: `$XDG_CONFIG_HOME/kurt/kurt.config`, normally below `~/.config`."""
    return f"{_base(environ, 'XDG_CONFIG_HOME', '.config')}/kurt/{CONFIG_FILE}"


def cache_folder(environ: Mapping[str, str]) -> str:
    """Where Kurt keeps what it can make again: `$XDG_CACHE_HOME/kurt`, normally below `~/.cache`."""
    return f"{_base(environ, 'XDG_CACHE_HOME', '.cache')}/kurt"


def _base(environ: Mapping[str, str], variable: str, below_home: str) -> str:
    """A base folder of the XDG rules, which ignore relative paths."""
    chosen = environ.get(variable, "")
    if chosen.startswith("/"):
        return chosen.rstrip("/")
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib is slow to import
    return f"{home.rstrip('/')}/{below_home}"
