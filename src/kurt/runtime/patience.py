"""What an executor does when its database refuses for a while: it says so, waits, and goes on where it was.

DBOS repeats a statement when the connection to its server is lost. A full disk, or a folder that cannot be written for a
moment, means the same for a run: a step whose result cannot be stored has not failed, and a run whose end cannot be
stored has not ended. So SQLite's errors of that kind count as a lost connection, from the moment on at which the
executor has begun; before that they end the command.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from sqlalchemy import event

from kurt.db.failures import storage_error

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine import ExceptionContext

    from kurt.config import Settings
    from kurt.errors import StorageError

TELL_EVERY = 60.0
"""Seconds between two words about a database that still refuses."""

_PRIMARY = 0xFF  # the rest of SQLite's code tells which call it was
_PASSES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}

_log = logging.getLogger(__name__)


class Patience:
    """Lets the runs of one executor wait for its database.

    Args:
        settings: the project's settings.
        tell: given what is wrong, at most once a minute; logging by default.
    """

    def __init__(self, settings: Settings, tell: Callable[[StorageError], None] | None = None) -> None:
        self._settings = settings
        self._tell = tell
        self._begun = False
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def attach(self, engine: sa.Engine) -> None:
        """Watch the errors of an engine."""
        event.listen(engine, "handle_error", self._look)

    def begin(self) -> None:
        """From now on wait, in place of failing."""
        self._begun = True

    def _look(self, context: ExceptionContext) -> None:
        if not self._begun or not self._passes(context):
            return
        # SQLAlchemy opens the connection anew, and DBOS repeats the statement until it succeeds.
        context.is_disconnect = True
        with self._lock:
            now = time.monotonic()
            if now < self._quiet_until:
                return
            self._quiet_until = now + TELL_EVERY
        # In no run's context: what is said concerns the process, and would land in that run's log.
        Context().run(self._say, storage_error(self._settings, context.original_exception))

    def _passes(self, context: ExceptionContext) -> bool:
        error = context.original_exception
        if self._settings.is_sqlite:
            return (getattr(error, "sqlite_errorcode", 0) & _PRIMARY) in _PASSES
        return context.is_disconnect or context.connection is None

    def _say(self, error: StorageError) -> None:
        _log.warning("%s; runs wait for it: %s", error.message, error.hint)
        if self._tell is not None:
            self._tell(error)
