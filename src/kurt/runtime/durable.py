"""What a running workflow may ask of DBOS: numbered steps, children, messages, events.

DBOS replays a run by the numbers of its calls, so the order in which numbers are drawn must never depend on time. The
functions here say which of them draw numbers; those that only read or write the database beside the run draw none.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowAttributes, SetWorkflowID
from dbos import error as dbos_error

from kurt.errors import RunFailedError, UsageError
from kurt.runtime import names, serializer
from kurt.runtime.recovery import first_argument, next_number, registered, repeated, system_database

Cancelled = dbos_error.DBOSWorkflowCancelledError
"""Raised inside a run that was cancelled; it must pass through every handler."""

TERMINAL = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
"""DBOS states in which a run does nothing more."""

_MAILBOX_POLL = 0.5
"""Seconds between two looks of a child at the mailbox of its run."""

_EVENT_NUMBER = 0  # events written beside the run belong to no step


def workflow(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a DBOS workflow under a durable name."""
    return DBOS.workflow(name=name)


def registered_name(function: Callable[..., Any]) -> str:
    """The durable name under which a workflow function is registered.

    Raises:
        UsageError: it is not a DBOS workflow.
    """
    name = getattr(function, "dbos_function_name", None)
    if name is None:
        raise UsageError(
            f"{function.__qualname__} is not a DBOS workflow", hint="decorate it with @DBOS.workflow()"
        )
    return str(name)


def current_run_id() -> str:
    """Id of the run or child in which the caller is."""
    run_id = DBOS.workflow_id
    if run_id is None:
        raise RuntimeError("called outside a run")
    return run_id


class Slot:
    """A reserved step number: draws it now, runs once later, in any order."""

    def __init__(self) -> None:
        self._reservation = DBOS.reserve_step()

    async def run(self, name: str, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run the function as the step of this number, or give its recorded result.

        The function is cancelled when the run is.
        """
        return await self._reservation.run_async({"name": name, "preemptible": True}, _coroutine(function))


def _coroutine(function: Callable[[], Awaitable[Any]]) -> Callable[[], Any]:
    """DBOS looks at the function itself to learn that it is asynchronous."""

    async def call() -> Any:
        return await function()

    return call


def burn(count: int) -> None:
    """Draw numbers that nothing will use, so that later numbers do not depend on what was left out."""
    for _ in range(count):
        DBOS.reserve_step()


def workflow_function(name: str) -> Callable[..., Any]:
    """The workflow of a durable or a short name, to be started as a child.

    Raises:
        NotFoundError: there is none.
    """
    return registered(name, child=True)


async def start_child(
    workflow: str | Callable[..., Any],
    child_id: str,
    arguments: Sequence[Any],
    attributes: Mapping[str, Any],
    *,
    keywords: Mapping[str, Any] | None = None,
) -> None:
    """Start a child run of this workflow in this executor, or attach to it; draws one number.

    Args:
        workflow: the workflow or its durable name.
        child_id: the child's id.
        arguments: positional arguments.
        attributes: Kurt's facts about the child.
        keywords: arguments by name.
    """
    function = workflow_function(workflow) if isinstance(workflow, str) else workflow
    named = dict(keywords or {})
    with SetWorkflowID(child_id), SetWorkflowAttributes({names.ATTRIBUTES_KEY: dict(attributes)}):
        if inspect.iscoroutinefunction(function):
            await DBOS.start_workflow_async(function, *arguments, **named)
        else:
            await asyncio.to_thread(DBOS.start_workflow, function, *arguments, **named)


async def receive(topic: str, seconds: float) -> Any:
    """Wait for a message on a topic, at most `seconds`; None when there was none. Draws two numbers."""
    return await DBOS.recv_async(topic, timeout_seconds=seconds)


async def is_recorded() -> bool:
    """Whether what the run does next was done by an earlier execution of it, so that it is only read; draws no number."""
    return await asyncio.to_thread(_is_recorded, current_run_id(), next_number())


@repeated
def _is_recorded(run_id: str, number: int) -> bool:
    database = system_database()
    table = database.tables.operation_outputs
    query = sa.select(table.c.function_id).where(
        table.c.workflow_uuid == run_id, table.c.function_id == number
    )
    with database.engine.connect() as connection:
        return connection.execute(query).first() is not None


async def take_message(root_id: str, topic: str, until: float) -> None:
    """In a child: bring the oldest message of a topic from the mailbox of the run that the user started to its own.

    Users know the run's id alone, so that is where they send. Waits until there is one, or until a time (seconds since
    the epoch); the child then receives it. Draws no number, and may be repeated.
    """
    own_id = current_run_id()
    while not await asyncio.to_thread(_take_message, root_id, own_id, topic):
        remaining = until - time.time()
        if remaining <= 0:
            return
        await asyncio.sleep(min(_MAILBOX_POLL, remaining))


@repeated
def _take_message(root_id: str, own_id: str, topic: str) -> bool:
    """Readdress one message; True if the child now has one that it has not read."""
    database = system_database()
    table = database.tables.notifications

    def unread(run_id: str) -> sa.Select[Any]:
        wanted = (table.c.destination_uuid == run_id, table.c.topic == topic, sa.not_(table.c.consumed))
        return sa.select(table.c.message_uuid).where(*wanted).order_by(table.c.created_at_epoch_ms).limit(1)

    with database.engine.begin() as connection:
        if connection.execute(unread(own_id)).first() is not None:
            return True
        oldest = connection.execute(unread(root_id)).first()
        if oldest is None:
            return False
        # Another branch may be taking it at the same moment: only one of them finds it where it was.
        moved = connection.execute(
            sa.update(table)
            .where(table.c.message_uuid == oldest[0], table.c.destination_uuid == root_id)
            .values(destination_uuid=own_id)
        )
        return moved.rowcount > 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    Attributes:
        status: DBOS's state.
        value: what it returned.
        error: what it raised, rebuilt.
    """

    status: str
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """The value, or raise what the child raised."""
        if self.error is not None:
            raise self.error
        if self.status != "SUCCESS":
            raise RunFailedError(f"the child run was {self.status.lower()}")
        return self.value


async def statuses(run_ids: Iterable[str]) -> dict[str, str]:
    """DBOS states of those of the runs that exist."""
    wanted = list(run_ids)
    if not wanted:
        return {}
    return await asyncio.to_thread(_statuses, wanted)


@repeated
def _statuses(run_ids: list[str]) -> dict[str, str]:
    database = system_database()
    status = database.tables.workflow_status
    found: dict[str, str] = {}
    with database.engine.connect() as connection:
        for start in range(0, len(run_ids), 500):
            query = sa.select(status.c.workflow_uuid, status.c.status).where(
                status.c.workflow_uuid.in_(run_ids[start : start + 500])
            )
            found.update({row[0]: row[1] for row in connection.execute(query)})
    return found


async def outcome(run_id: str) -> Outcome | None:
    """How a run ended, or None while it goes on."""
    return await asyncio.to_thread(_outcome, run_id)


def _outcome(run_id: str) -> Outcome | None:
    row = system_database()._read_workflow_result_row(run_id)  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - DBOS's own reader of results draws a step number
    if row is None or row[0] not in TERMINAL:
        return None
    if row[0] == "SUCCESS":
        return Outcome(row[0], value=None if row[1] is None else serializer.loads(row[1]))
    error = None if row[2] is None else serializer.loads(row[2])
    return Outcome(row[0], error=error)


async def is_too_late(run_id: str) -> bool:
    """Whether a run's time is over, so that this is why it was cancelled; draws no number."""
    return await asyncio.to_thread(_is_too_late, run_id)


@repeated
def _is_too_late(run_id: str) -> bool:
    database = system_database()
    status = database.tables.workflow_status
    query = sa.select(status.c.workflow_deadline_epoch_ms).where(status.c.workflow_uuid == run_id)
    with database.engine.connect() as connection:
        deadline = connection.execute(query).scalar()
    return deadline is not None and time.time() * 1000 >= deadline


async def cancel(run_ids: Iterable[str]) -> None:
    """Cancel those of the runs that are not over; draws no number."""
    wanted = list(run_ids)
    if wanted:
        await asyncio.to_thread(system_database().cancel_workflows, wanted, cancel_children=True)


async def checkpoints(run_id: str, step_names: Iterable[str]) -> dict[str, list[Any]]:
    """Recorded results of another run's steps by name, in the order of their numbers."""
    return await asyncio.to_thread(_checkpoints, run_id, list(step_names))


@repeated
def _checkpoints(run_id: str, step_names: list[str]) -> dict[str, list[Any]]:
    database = system_database()
    table = database.tables.operation_outputs
    query = (
        sa.select(table.c.function_name, table.c.output)
        .where(table.c.workflow_uuid == run_id, table.c.function_name.in_(step_names))
        .order_by(table.c.function_id)
    )
    found: dict[str, list[Any]] = {}
    with database.engine.connect() as connection:
        for name, output in connection.execute(query):
            if output is not None:
                found.setdefault(name, []).append(serializer.loads(output))
    return found


async def inputs_of(run_id: str) -> Any:
    """The first argument with which a run was started."""
    return await asyncio.to_thread(first_argument, system_database(), run_id)


def write_event(run_id: str, key: str, value: Any) -> None:
    """Set an event of a run from beside it; blocks for one commit, draws no number."""
    system_database().set_event_from_step(run_id, _EVENT_NUMBER, key, value, serialization_type=_DEFAULT)


def append_stream(run_id: str, key: str, value: Any) -> None:
    """Append to a stream of a run from beside it; blocks for one commit, draws no number."""
    system_database().write_stream_from_step(run_id, _EVENT_NUMBER, key, value, serialization_type=_DEFAULT)


@repeated
def last_in_stream(run_id: str, key: str, part: str) -> Any:
    """The last item of a run's stream in whose stored text `part` is found, or None; draws no number."""
    database = system_database()
    table = database.tables.streams
    query = (
        sa.select(table.c.value)
        .where(
            table.c.workflow_uuid == run_id, table.c.key == key, table.c.value.contains(part, autoescape=True)
        )
        .order_by(table.c.offset.desc())
        .limit(1)
    )
    with database.engine.connect() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else serializer.loads(found)


def is_shared() -> bool:
    """Whether executors on other machines may use the database."""
    return system_database().engine.dialect.name != "sqlite"


_DEFAULT: Any = None  # DBOS's name for "the configured serializer"
