"""One process at a time changes the schema, whatever the back end."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from kurt.db.connect import connect_postgres, make_folder
from kurt.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kurt.config import Settings

PATIENCE = 120.0
"""Seconds to wait for another process that changes the schema."""

_PAUSE = 0.05
_ADVISORY_LOCK = 0x6B757274  # "kurt"; DBOS takes another number


@contextmanager
def migration_lock(settings: Settings) -> Generator[None]:
    """Hold the right to change the schema.

    Raises:
        StorageError: another process has held it for too long, or the lock cannot be had at all.
    """
    if settings.is_sqlite:
        make_folder(settings)
        with _file_lock(settings):
            yield
    else:
        with _advisory_lock(settings):
            yield


@contextmanager
def _file_lock(settings: Settings) -> Generator[None]:
    path = settings.sqlite_path.with_name(settings.sqlite_path.name + ".lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(
            f"the folder {str(path.parent)!r} of the database cannot be written: {error.strerror}",
            hint="give yourself the right to write it, or set PATH_DB to another place",
        ) from error

    def attempt() -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        _wait(attempt)
        yield
    finally:
        os.close(fd)


@contextmanager
def _advisory_lock(settings: Settings) -> Generator[None]:
    """Asks again and again: a session that waits inside Postgres would block DBOS's concurrent index builds."""
    with closing(connect_postgres(settings, application="kurt-migrate")) as connection:

        def attempt() -> bool:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,)).fetchone()
            return bool(row and row[0])

        _wait(attempt)
        yield


def _wait(attempt: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not attempt():
        if time.monotonic() > deadline:
            raise StorageError(
                f"another process has been changing the schema for {PATIENCE:.0f} s",
                hint="see which `kurt` process hangs, end it, and repeat the command",
            )
        time.sleep(_PAUSE)
