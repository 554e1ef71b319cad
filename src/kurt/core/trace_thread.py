"""Group commit: one thread of the process writes whatever has come together in one transaction."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kurt.core.trace_sql import Connection, Encoder, connect, is_fault_of_a_row
from kurt.db.failures import storage_error
from kurt.errors import KurtError

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.core.trace_rows import TraceRow

LARGEST = 500
"""Rows in one transaction at most: other processes wait for the same file."""

IDLE = 2.0
"""Seconds without work after which the thread closes its connection and ends; the next row starts another."""


@dataclass(slots=True, eq=False)
class Job:
    """Something to do for somebody who waits.

    Attributes:
        action: a statement that takes the row, or a function of the connection.
        row: the row, for a statement.
        loop: the event loop of who waits; None for a thread.
        future: is told the outcome; of asyncio with a loop, else of `concurrent.futures`.
        result: what came of it.
        error: why nothing did.
    """

    action: str | Callable[[Connection], Any]
    row: TraceRow | None
    loop: asyncio.AbstractEventLoop | None
    future: Any
    result: Any = None
    error: BaseException | None = None


_STOP = Job("", None, None, None)


class TraceThread:
    """The thread and its connection; both end when there is nothing to do for a while.

    Args:
        settings: the project's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._encode: Encoder | None = None

    async def do(self, action: str | Callable[[Connection], Any], row: TraceRow | None = None) -> Any:
        """Have it done and wait until it is committed.

        Raises:
            StorageError: it cannot be done.
        """
        loop = asyncio.get_running_loop()
        job = Job(action, row, loop, loop.create_future())
        self._put(job)
        return await job.future

    def do_sync(self, action: str | Callable[[Connection], Any], row: TraceRow | None = None) -> Any:
        """The same for code without an event loop."""
        job = Job(action, row, None, Future())
        self._put(job)
        return job.future.result()

    def close(self) -> None:
        """Finish what is waiting and end the thread; a later job starts another."""
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._jobs.put(_STOP)
        if thread is not None:
            thread.join()

    def _put(self, job: Job) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="kurt-traces", daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _work(self) -> None:
        while True:
            batch = self._batch()
            if batch:
                self._do_all(batch)
            elif self._may_end():
                return

    def _batch(self) -> list[Job]:
        """What has come together; nothing when the thread may end.

        A question ends it: the answer then holds all rows that were given before, and none that came after.
        """
        jobs: list[Job] = []
        with suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=IDLE))
            while len(jobs) < LARGEST and jobs[-1].row is not None:
                jobs.append(self._jobs.get_nowait())
        return [job for job in jobs if job is not _STOP]

    def _may_end(self) -> bool:
        with self._lock:
            if not self._jobs.empty():
                return False
            self._disconnect()
            self._thread = None
            return True

    def _do_all(self, jobs: list[Job]) -> None:
        writes = [job for job in jobs if job.row is not None]
        questions = [job for job in jobs if job.row is None]
        try:
            if writes:
                self._write(writes)
            for job in questions:
                self._ask(job)
        finally:
            _tell(jobs)

    def _write(self, jobs: list[Job]) -> None:
        """Commit all rows at once; if one is at fault, each by itself, so that the others do not suffer."""
        try:
            self._commit(jobs)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            self._rollback()
            if len(jobs) == 1 or not is_fault_of_a_row(error):
                self._fail(jobs, error)
                return
            for job in jobs:
                self._write([job])

    def _commit(self, jobs: list[Job]) -> None:
        connection, encode = self._connected()
        values = [(job.action, encode(job.row)) for job in jobs if job.row is not None]
        connection.begin()
        for statement, rows in groupby(values, key=lambda item: item[0]):
            connection.many(str(statement), [row for _, row in rows])
        connection.commit()

    def _ask(self, job: Job) -> None:
        try:
            assert callable(job.action)  # noqa: S101 - statements come with a row
            job.result = job.action(self._connected()[0])
        except Exception as error:  # noqa: BLE001 - as above
            self._rollback()
            self._fail([job], error)

    def _fail(self, jobs: Iterable[Job], error: Exception) -> None:
        for job in jobs:
            job.error = error if isinstance(error, KurtError) else storage_error(self._settings, error)

    def _connected(self) -> tuple[Connection, Encoder]:
        if self._connection is None or self._encode is None:
            self._connection = connect(self._settings)
            self._encode = Encoder(self._settings, self._connection)
        return self._connection, self._encode

    def _rollback(self) -> None:
        """Undo what was begun, on a connection that may be gone: the next job makes a new one."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.rollback()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = self._encode = None


def _tell(jobs: list[Job]) -> None:
    """Wake those who wait; each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.loop is None:
            _resolve(job)
        else:
            loops[job.loop].append(job)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve_all, theirs)


def _resolve_all(jobs: list[Job]) -> None:
    for job in jobs:
        _resolve(job)


def _resolve(job: Job) -> None:
    if job.future.done():  # who waited was cancelled
        return
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.set_result(job.result)
