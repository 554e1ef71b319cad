"""Checkpoints of many steps in one transaction.

A checkpoint that DBOS writes by itself costs a transaction, a check of ownership and a change of threads. Rows of a batch
finish by the hundreds a second, so theirs are collected: while one transaction is being committed, those that finish
meanwhile wait for the next. Whoever records waits until its own is committed, so nothing counts as done that is not stored.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from dbos import error as dbos_error
from dbos._sys_db import db_retry
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

_LARGEST = 500
"""Checkpoints in one transaction."""

_IDLE = 10.0
"""Seconds without work after which the thread ends."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that has finished and is to be recorded.

    Attributes:
        database: where its run is.
        run_id: its run.
        owner: the run's token of ownership; the checkpoint only counts while the run still has it.
        number: its step number.
        name: its durable name.
        output: what it returned, as stored text.
        serialization: how that was written.
        started: when it began, milliseconds since the epoch.
        waiting: is done when it is committed.
        also: writes rows that are committed with the checkpoint; it may be called again, in a new transaction.
    """

    database: SystemDatabase
    run_id: str
    owner: str | None
    number: int
    name: str
    output: str | None
    serialization: str
    started: int
    waiting: asyncio.Future[None]
    also: Callable[[sa.Connection], None] | None = None


class _RowsError(Exception):
    """The rows that belong to a checkpoint cannot be written; the cause says why."""


class Recorder:
    """The thread that writes checkpoints to one database; it is started with the first."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._queue: list[Finished] = []
        self._thread: threading.Thread | None = None

    def record(self, step: Finished) -> None:
        """Have a step recorded; `step.waiting` tells when it is, or why it cannot be."""
        with self._ready:
            self._queue.append(step)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="kurt-checkpoints", daemon=True)
                self._thread.start()
            self._ready.notify()

    def _work(self) -> None:
        while True:
            with self._ready:
                if not self._queue and not self._ready.wait_for(lambda: self._queue, _IDLE):
                    self._thread = None
                    return
                batch, self._queue = self._queue[:_LARGEST], self._queue[_LARGEST:]
            for steps in _by_run(batch):
                _settle(_write(steps))


def _by_run(batch: Iterable[Finished]) -> Iterable[list[Finished]]:
    runs: defaultdict[tuple[int, str, str | None], list[Finished]] = defaultdict(list)
    for step in batch:
        runs[id(step.database), step.run_id, step.owner].append(step)
    return runs.values()


Outcome = tuple[Finished, BaseException | None]


def _write(steps: list[Finished]) -> list[Outcome]:
    """Write the checkpoints of one run, together if possible; one with rows of its own stands or falls alone."""
    if len(steps) > 1 and any(step.also is not None for step in steps):
        return [outcome for step in steps for outcome in _write([step])]
    try:
        _insert(steps)
    except _RowsError as error:
        return [(steps[0], error.__cause__)]
    except IntegrityError:  # one of them is there already: find out which
        if len(steps) > 1:
            return [outcome for step in steps for outcome in _write([step])]
        return [(steps[0], dbos_error.DBOSStepNondeterminismError(steps[0].run_id, steps[0].number))]
    except BaseException as error:  # noqa: BLE001 - DBOS's own are no `Exception`; it belongs to those who wait
        return [(step, error) for step in steps]
    for watcher in watchers:
        for step in steps:
            watcher(step.name)
    return [(step, None) for step in steps]


def _insert(steps: list[Finished]) -> None:
    database, run_id, owner = steps[0].database, steps[0].run_id, steps[0].owner
    now = int(time.time() * 1000)
    rows = [_row(step, now) for step in steps]

    @db_retry(sys_db=database)
    def write() -> None:
        with database.engine.begin() as connection:
            if owner is not None:
                _check_owner(database, connection, run_id, owner)
            connection.execute(sa.insert(database.tables.operation_outputs), rows)
            for step in steps:
                _write_rows(connection, step)

    write()


def _write_rows(connection: sa.Connection, step: Finished) -> None:
    if step.also is None:
        return
    try:
        step.also(connection)
    except IntegrityError as error:  # not to be taken for a checkpoint that is there already
        raise _RowsError from error


def _check_owner(database: SystemDatabase, connection: sa.Connection, run_id: str, owner: str) -> None:
    """Lock the run's row and see that this execution still has the run.

    Raises:
        DBOSWorkflowCancelledError: it was cancelled.
        DBOSWorkflowConflictIDError: another execution has it.
    """
    try:
        database._check_owner_txn(connection, run_id, owner)  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - DBOS's own fence
    except dbos_error.DBOSWorkflowConflictIDError:
        table = database.tables.workflow_status
        query = sa.select(table.c.status).where(table.c.workflow_uuid == run_id)
        if connection.execute(query).scalar() == "CANCELLED":
            raise dbos_error.DBOSWorkflowCancelledError(f"Workflow {run_id} is cancelled") from None
        raise


def _row(step: Finished, now: int) -> dict[str, Any]:
    return {
        "workflow_uuid": step.run_id,
        "function_id": step.number,
        "function_name": step.name,
        "started_at_epoch_ms": step.started,
        "completed_at_epoch_ms": now,
        "output": step.output,
        "error": None,
        "child_workflow_id": None,
        "serialization": step.serialization,
        "application_name": step.database.app_name,
        "retention_timestamp": now,
    }


def _settle(outcomes: Iterable[Outcome]) -> None:
    """Tell those who wait, each event loop once."""
    loops: defaultdict[asyncio.AbstractEventLoop, list[Outcome]] = defaultdict(list)
    for step, error in outcomes:
        loops[step.waiting.get_loop()].append((step, error))
    for loop, own in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, own)


def _tell(outcomes: list[Outcome]) -> None:
    for step, error in outcomes:
        if step.waiting.done():
            continue
        if error is None:
            step.waiting.set_result(None)
        else:
            step.waiting.set_exception(error)


watchers: list[Callable[[str], None]] = []
"""Are told the name of each step that is recorded here; for tests that crash at a certain step."""

_recorders: WeakKeyDictionary[SystemDatabase, Recorder] = WeakKeyDictionary()
_making = threading.Lock()


def record(step: Finished) -> None:
    """Have a step recorded; `step.waiting` tells when it is, or why it cannot be.

    Each database has a thread of its own: one that cannot be reached holds up no other.
    """
    with _making:
        recorder = _recorders.get(step.database)
        if recorder is None:
            recorder = _recorders[step.database] = Recorder()
    recorder.record(step)
