"""Leases as rows with a term, for executors on any number of machines.

The row is renewed by a thread, so a busy or blocked event loop costs no lease. Every moment is the database's own:
the clocks of the machines do not matter. An executor that could not renew in time shows `lost`; DBOS's ownership
tokens then keep it from writing anything for runs that others have taken.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString

from kurt.db.connect import connect_postgres
from kurt.db.failures import storage_error
from kurt.errors import StorageError
from kurt.runtime.lease_types import ExecutorInfo, Lease, oldest_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from kurt.config import Settings

TERM = 30.0
"""Seconds for which a lease is good after its last renewal."""

RENEW_EVERY = 5.0
"""Seconds between two renewals."""

_JOIN_WITHIN = 15.0  # seconds; a statement ends after 10
_RETRY_EVERY = 1.0  # seconds between two attempts once a renewal has failed

_SAVE = """
INSERT INTO kurt_executors (executor_id, kind, host, pid, metadata, started_at, lease_until)
VALUES (%s, %s, %s, %s, %s::jsonb, %s::timestamptz, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (executor_id) DO UPDATE SET metadata = excluded.metadata, lease_until = excluded.lease_until
"""
_LIVE = """
SELECT executor_id, kind, host, pid, metadata,
       to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM kurt_executors WHERE lease_until > clock_timestamp()
"""
_ALIVE = "SELECT executor_id FROM kurt_executors WHERE lease_until > clock_timestamp()"
_IS_ALIVE = "SELECT 1 FROM kurt_executors WHERE executor_id = %s AND lease_until > clock_timestamp()"
_RELEASE = "DELETE FROM kurt_executors WHERE executor_id = %s"
# Rows of dead executors are kept for an hour, for whoever looks into what happened.
_FORGET = "DELETE FROM kurt_executors WHERE lease_until < clock_timestamp() - interval '1 hour'"

_LIMIT = "SET LOCAL statement_timeout = 10000"  # milliseconds

_log = logging.getLogger(__name__)


class RowExecutors:
    """The executors of a database, by their rows.

    Args:
        connection: an open connection that commits by itself; the caller closes it.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def live(self) -> list[ExecutorInfo]:
        """Those whose term has not passed, oldest first."""
        return _described(self._connection.execute(_LIVE).fetchall())

    def alive(self) -> set[str]:
        """Ids of those whose term has not passed."""
        return {row[0] for row in self._connection.execute(_ALIVE)}

    def is_alive(self, executor_id: str) -> bool:
        """Whether this one's term has not passed."""
        return self._connection.execute(_IS_ALIVE, (executor_id,)).fetchone() is not None


class RowLease(Lease):
    """This process's lease, as a row that a thread renews.

    Args:
        settings: the project's settings; the schema must be current.
        info: what the row says.
        term: seconds for which a renewal is good.
        renew_every: seconds between two renewals.
    """

    def __init__(
        self, settings: Settings, info: ExecutorInfo, *, term: float = TERM, renew_every: float = RENEW_EVERY
    ) -> None:
        super().__init__(info)
        self._settings = settings
        self._term = term
        self._renew_every = renew_every
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewed = 0.0
        self._owner = os.getpid()

    @property
    def lost(self) -> bool:
        """Whether the term has passed without a renewal; the next one that succeeds ends it."""
        return self._thread is not None and time.monotonic() - self._renewed > self._term

    def live(self) -> list[ExecutorInfo]:
        return _described(self._query(_LIVE))

    def alive(self) -> set[str]:
        return {row[0] for row in self._query(_ALIVE)}

    def is_alive(self, executor_id: str) -> bool:
        return bool(self._query(_IS_ALIVE, (executor_id,)))

    def acquire(self) -> None:
        """Take the lease and keep renewing it; does nothing when it is held.

        Raises:
            StorageError: the database cannot be reached or lacks the table.
        """
        if self._thread is not None:
            return
        self._query(_FORGET)
        self._renew()
        self._thread = threading.Thread(target=self._renew_forever, name="kurt-lease", daemon=True)
        self._thread.start()

    def _publish(self) -> None:
        if self._thread is not None:
            self._renew()

    def release(self) -> None:
        if self._owner != os.getpid():
            return
        if self._thread is not None:
            self._stop.set()
            self._thread.join(timeout=_JOIN_WITHIN)
            self._thread = None
            with suppress(StorageError):  # the term ends the lease in any case
                self._query(_RELEASE, (self.id,))
        with self._lock:
            self._disconnect()

    def _renew_forever(self) -> None:
        wait = self._renew_every
        while not self._stop.wait(wait):
            try:
                self._renew()
                wait = self._renew_every
            except StorageError as error:
                wait = min(_RETRY_EVERY, self._renew_every)
                _log.warning("the lease of %s could not be renewed: %s", self.id, error)

    def _renew(self) -> None:
        asked = time.monotonic()  # before the database's own moment: `lost` is never too late
        info = self._info
        values = (info.id, info.kind, info.host, info.pid, _json(info), info.started_at, self._term)
        self._query(_SAVE, values)
        self._renewed = asked

    def _query(self, statement: LiteralString, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement on this lease's own connection, which is made again when it broke.

        Raises:
            StorageError: the database cannot be reached or refuses.
        """
        import psycopg  # noqa: PLC0415 - projects on SQLite do without it

        with self._lock:
            try:
                connection = self._connect()
                with connection.transaction():
                    connection.execute(_LIMIT)
                    cursor = connection.execute(statement, values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                self._disconnect()
                raise storage_error(self._settings, error) from error

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.broken:
            self._connection = connect_postgres(self._settings, application="kurt-lease")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _json(info: ExecutorInfo) -> str:
    return json.dumps(info.metadata, default=str)


def _described(rows: Sequence[tuple[Any, ...]]) -> list[ExecutorInfo]:
    return oldest_first(ExecutorInfo(row[0], row[1], row[2], row[3], row[5], row[4] or {}) for row in rows)
