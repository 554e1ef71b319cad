"""Many steps of one run, side by side: numbers drawn at once, checkpoints committed in groups.

To DBOS they are ordinary steps: each has a number, a name and a checkpoint of its own, is fenced by the run's ownership,
and is replayed by its number. What is different is the cost, about a tenth. A contract test covers each private call of
DBOS that is used here.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dbos import error as dbos_error
from dbos._context import EnterDBOSStepCtx, get_local_dbos_context
from dbos._dbos import _get_dbos_instance  # pyright: ignore[reportPrivateUsage] - no public way to the instance
from dbos._serialization import deserialize_value, serialize_value
from sqlalchemy.exc import SQLAlchemyError

from kurt.runtime.group_commit import Finished, record

if TYPE_CHECKING:
    from dbos._context import DBOSContext

SEGMENT = 1000
"""Recorded results that are read at a time."""

_WATCH_EVERY = 1.0
"""Seconds between two looks whether the run was cancelled."""


class StepBatch:
    """So many steps of the run in which the caller is; draws their numbers.

    Args:
        count: how many there are.

    Raises:
        RuntimeError: the caller is not in the body of a workflow.
    """

    def __init__(self, count: int) -> None:
        context = get_local_dbos_context()
        if context is None or not context.is_workflow():
            raise RuntimeError("a batch of steps belongs into the body of a workflow")
        self._first = context.function_id + 1
        context.function_id += count
        self._parent = copy.copy(context)  # what follows in the workflow must not change what these steps see
        self._instance = _get_dbos_instance()
        self._database = self._instance._sys_db  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module
        self._serializer = self._instance._serializer  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module
        self._count = count
        self._segments: dict[int, asyncio.Task[dict[int, tuple[str, Any]]]] = {}

    @property
    def call(self) -> str:
        """Tells these steps from all others; the same when the run is done again."""
        return f"{self.run_id}:{self._first}"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._parent.workflow_id

    @property
    def first(self) -> int:
        """The number of the first step: what tells this batch from others of the run."""
        return self._first

    async def recorded(self, index: int, name: str) -> tuple[bool, Any]:
        """Whether a step has a checkpoint, and what it says; to be asked once for each step.

        Raises:
            DBOSUnexpectedStepError: another step was recorded under this number: the workflow is not deterministic.
            DBOSWorkflowCancelledError: the run was cancelled.
        """
        place = index // SEGMENT
        task = self._segments.get(place)
        if task is None:
            task = self._segments[place] = asyncio.ensure_future(self._load(place))
        found = (await asyncio.shield(task)).pop(self._first + index, None)
        if found is None:
            return False, None
        if found[0] != name:
            raise dbos_error.DBOSUnexpectedStepError(self.run_id, self._first + index, name, found[0])
        return True, found[1]

    async def _load(self, place: int) -> dict[int, tuple[str, Any]]:
        return await asyncio.get_running_loop().run_in_executor(None, self._read, place * SEGMENT)

    def _read(self, start: int) -> dict[int, tuple[str, Any]]:
        table = self._database.tables.operation_outputs
        first = self._first + start
        query = sa.select(
            table.c.function_id, table.c.function_name, table.c.output, table.c.serialization
        ).where(
            table.c.workflow_uuid == self.run_id,
            table.c.function_id >= first,
            table.c.function_id < min(first + SEGMENT, self._first + self._count),
        )
        self.check_cancelled()
        with self._database.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {row[0]: (row[1], deserialize_value(row[2], row[3], self._serializer)) for row in rows}

    def check_cancelled(self) -> None:
        """Blocks for one look at the run's row.

        Raises:
            DBOSWorkflowCancelledError: the run was cancelled.
        """
        table = self._database.tables.workflow_status
        query = sa.select(table.c.status).where(table.c.workflow_uuid == self.run_id)
        with self._database.engine.connect() as connection:
            status = connection.execute(query).scalar()
        if status == "CANCELLED":
            raise dbos_error.DBOSWorkflowCancelledError(f"Workflow {self.run_id} is cancelled")

    async def run(self, index: int, name: str, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run a function as the step of this index and record what it returns; what it raises is not recorded.

        Raises:
            DBOSWorkflowConflictIDError: another execution has taken the run over.
            DBOSWorkflowCancelledError: the run was cancelled.
        """
        started = int(time.time() * 1000)
        step = self._context(self._first + index)
        with EnterDBOSStepCtx({"name": name, "operationType": "step"}, step):
            value = await function()
        await self._record(index, name, value, started)
        return value

    async def store(
        self, index: int, name: str, value: Any, *, started: int, also: Callable[[sa.Connection], None]
    ) -> None:
        """Record a value as the step of this index, together with rows of a workflow: both are stored, or neither.

        Args:
            index: the step.
            name: its durable name.
            value: what it gave.
            started: when it began, milliseconds since the epoch.
            also: writes the rows, in the caller's context but in another thread; may be called again, in a new
                transaction.

        Raises:
            DBOSWorkflowConflictIDError: another execution has taken the run over.
            DBOSWorkflowCancelledError: the run was cancelled.
        """
        context = contextvars.copy_context()
        await self._record(index, name, value, started, lambda connection: context.run(also, connection))

    async def _record(
        self,
        index: int,
        name: str,
        value: Any,
        started: int,
        also: Callable[[sa.Connection], None] | None = None,
    ) -> None:
        output, serialization = serialize_value(value, None, self._serializer)
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        record(
            Finished(
                database=self._database,
                run_id=self.run_id,
                owner=self._parent.owner_xid,
                number=self._first + index,
                name=name,
                output=output,
                serialization=serialization,
                started=started,
                waiting=waiting,
                also=also,
            )
        )
        await waiting

    def _context(self, number: int) -> DBOSContext:
        """What DBOS keeps for the step of a number."""
        self._parent.function_id = number - 1
        return self._parent.snapshot_step_ctx()

    async def watch(self) -> None:
        """Wait until the run is cancelled; for a task beside the steps, which may take long.

        Raises:
            DBOSWorkflowCancelledError: it was.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            with suppress(SQLAlchemyError):  # the next look may succeed; checkpoints notice it too
                await loop.run_in_executor(None, self.check_cancelled)
