"""The address of the database, in the one spelling that the rest of Kurt sees."""

from __future__ import annotations

import os
import re

from kurt.errors import ConfigError

SQLITE = "sqlite:///"
"""What the address of a SQLite file begins with."""

_POSTGRES = re.compile(r"(?:postgres|postgresql)(?:\+\w+)?://")
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):([^/@]*)@")
_ANY_PASSWORD = re.compile(r"(?<=://)([^/@:]*):(.*)@", re.DOTALL)


def database_url(text: str, root: str) -> str:
    """`sqlite:////absolute/file` or `postgresql://...`; a relative file starts at the project's root.

    Raises:
        ConfigError: it is neither.
    """
    if text.startswith(SQLITE):
        path = text.removeprefix(SQLITE).partition("?")[0]
        return SQLITE + os.path.abspath(os.path.join(root, path))  # noqa: PTH100, PTH118 - no symbolic link is followed
    match = _POSTGRES.match(text)
    if match is None:
        raise ConfigError(
            f"DATABASE_URL={redacted(text)!r} is neither a Postgres nor a SQLite address",
            hint="write postgresql://user@host:5432/database, or leave it out to use the SQLite file of PATH_DB",
        )
    return "postgresql://" + text[match.end() :]


def redacted(text: str) -> str:
    """An address without its password, also where the password has characters that should have been escaped."""
    pattern = _ANY_PASSWORD if _POSTGRES.match(text) else _PASSWORD
    return pattern.sub(r"\1:***@", text)
