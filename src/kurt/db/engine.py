"""The SQLAlchemy engine on which DBOS and Kurt's own tables work.

DBOS's own SQLite engine uses a rollback journal and cannot launch at all where Python is 3.12 or newer and
SQLite older than 3.42; it configures nothing on an engine that it is given. So all of it is done here.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from kurt.db.connect import BUSY_TIMEOUT, CONNECT_TIMEOUT, make_folder, postgres_url

if TYPE_CHECKING:
    from kurt.config import Settings

POOL_SIZE = 20
"""Connections at most; DBOS uses one for each of its threads at work."""

_SUBSECOND_UNIXEPOCH = (3, 42)  # the first SQLite whose `unixepoch` knows `subsec`


def system_engine(settings: Settings, *, synchronous: str | None = None) -> sa.Engine:
    """A new engine for the project's database; the caller disposes of it.

    Args:
        settings: the project's settings.
        synchronous: `normal` or `full` in place of `DATABASE.SYNCHRONOUS`; ignored by Postgres, where the
            server decides. `full` makes what was acknowledged outlive a power cut.

    Raises:
        StorageError: the folder of the SQLite file is missing and cannot be made.
    """
    if not settings.is_sqlite:
        return _postgres_engine(settings)
    make_folder(settings)
    level = synchronous or str(settings.get("DATABASE.SYNCHRONOUS") or "normal")
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(settings.sqlite_path)),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT,
    )

    def prepare(connection: Any, _record: Any) -> None:
        prepare_sqlite(connection, level)

    event.listen(engine, "connect", prepare)
    return engine


def _postgres_engine(settings: Settings) -> sa.Engine:
    return sa.create_engine(
        sa.make_url(postgres_url(settings)).set(drivername="postgresql+psycopg"),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": "kurt"},
    )


def prepare_sqlite(connection: sqlite3.Connection, synchronous: str) -> None:
    """Make a new SQLite connection fit for many processes on one file.

    Args:
        connection: as the driver opened it.
        synchronous: `normal` or `full`.
    """
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1000)}")  # first: WAL needs the lock too
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if synchronous == 'full' else 'NORMAL'}")
    add_clock(connection)


def add_clock(connection: sqlite3.Connection) -> None:
    """Give DBOS's SQL a clock with milliseconds.

    DBOS writes times as `unixepoch('subsec') * 1000` where Python is 3.12 or newer, whatever SQLite can do, and
    as `strftime('%s','now') * 1000` elsewhere, which counts whole seconds. Both forms are also defaults of
    columns, so a process needs the form of whichever process made the tables. All other forms of the two
    functions keep their meaning.
    """
    connection.create_function("strftime", 2, _strftime)
    if sqlite3.sqlite_version_info < _SUBSECOND_UNIXEPOCH:
        connection.create_function("unixepoch", 1, _unixepoch)


def _now() -> float:
    """Seconds whose thousandfold is a whole number, so that SQLite keeps it as an integer.

    Nearly every millisecond has such a number; for the rest, the one before is taken.
    """
    milliseconds = time.time_ns() // 1_000_000
    while milliseconds / 1000 * 1000 != milliseconds:
        milliseconds -= 1
    return milliseconds / 1000


def _strftime(form: str, moment: str) -> Any:
    if (form, moment) == ("%s", "now"):
        return _now()
    return _builtin("SELECT strftime(?, ?)", (form, moment))


def _unixepoch(moment: str) -> Any:
    if moment in {"subsec", "subsecond"}:
        return _now()
    return _builtin("SELECT unixepoch(?)", (moment,))


def _builtin(query: str, arguments: tuple[Any, ...]) -> Any:
    """What SQLite's own function gives, on a connection that does not replace it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(query, arguments).fetchone()[0]
