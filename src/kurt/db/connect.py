"""Plain connections through the drivers themselves.

Everything here costs an import of `sqlite3` or `psycopg` at most: listings, leases and the check of the schema
use it without loading SQLAlchemy.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kurt.db.failures import storage_error
from kurt.errors import StorageError

if TYPE_CHECKING:
    import psycopg

    from kurt.config import Settings

BUSY_TIMEOUT = 30.0
"""Seconds for which a SQLite connection waits for another's write lock."""

CONNECT_TIMEOUT = 10
"""Seconds after which a Postgres server counts as unreachable."""

DBOS_SCHEMA = "dbos"
"""The Postgres schema of DBOS's tables; on SQLite they stand beside Kurt's."""


def connect_sqlite(settings: Settings, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection to the project's SQLite file that commits each statement by itself.

    Args:
        settings: the project's settings.
        readonly: never write; the file must exist.

    Raises:
        StorageError: the file cannot be opened.
    """
    mode = "rwc" if not readonly else "ro&immutable=1" if _cannot_change(settings.sqlite_path) else "ro"
    try:
        return sqlite3.connect(
            f"file:{quote(str(settings.sqlite_path))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise storage_error(settings, error) from error


def _cannot_change(file: Path) -> bool:
    """Whether the file lies, complete, on a disk that may only be read: SQLite then needs no lock, and could make none."""
    try:
        return bool(os.statvfs(file).f_flag & os.ST_RDONLY) and not Path(f"{file}-wal").exists()
    except OSError:
        return False


def connect_postgres(settings: Settings, *, application: str = "kurt") -> psycopg.Connection[Any]:
    """A connection to the project's Postgres database that commits each statement by itself.

    Raises:
        StorageError: the server cannot be reached or refuses.
    """
    import psycopg  # noqa: PLC0415 - projects on SQLite do without it

    try:
        return psycopg.connect(
            postgres_url(settings),
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT,
            application_name=application,
            prepare_threshold=None,  # a pooler between us and the server may not keep prepared statements
        )
    except psycopg.Error as error:
        raise storage_error(settings, error) from error


def postgres_url(settings: Settings) -> str:
    """The database address as libpq understands it."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", settings.database_url)


def make_folder(settings: Settings) -> None:
    """Make the folder of the SQLite file, one level deep: a mistyped path is not made into a tree.

    Raises:
        StorageError: it is missing and cannot be made.
    """
    folder = settings.sqlite_path.parent
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder {str(folder)!r} for the database cannot be made: {error.strerror}",
            hint=f"run `mkdir -p {folder}` as a user who may, or set PATH_DB to another place",
        ) from error
