"""What the runs of a family have recorded, and taking some of it back: the ground of `retry` and `fork`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kurt.runtime import recovery, serializer
from kurt.runtime.operations import Member, family

if TYPE_CHECKING:
    from dbos import DBOSClient

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One recorded step.

    Attributes:
        number: its step number.
        name: its durable name.
        value: what it recorded, None for an error.
        failed: it recorded an error.
        child: id of the child that it started.
    """

    number: int
    name: str
    value: Any
    failed: bool
    child: str | None


@dataclass(frozen=True, slots=True)
class History:
    """One run, item or branch with what it recorded.

    Attributes:
        member: the run.
        payload: its first argument.
        checkpoints: its recorded steps in the order of their numbers.
    """

    member: Member
    payload: Any
    checkpoints: tuple[Checkpoint, ...]

    @property
    def id(self) -> str:
        """Its id."""
        return self.member.id

    @property
    def beyond(self) -> int:
        """The number after its last one."""
        return self.checkpoints[-1].number + 1 if self.checkpoints else 1


def histories(client: DBOSClient, run_id: str) -> list[History]:
    """The histories of a run and of all its descendants, the run first, parents before their children."""
    members = family(client, run_id)
    payloads: dict[str, Any] = {}
    recorded: dict[str, list[Checkpoint]] = {}
    for ids in in_batches([member.id for member in members]):
        payloads.update(_payloads(client, ids))
        for owner, checkpoint in _checkpoints(client, ids):
            recorded.setdefault(owner, []).append(checkpoint)
    return [History(one, payloads.get(one.id), tuple(recorded.get(one.id, ()))) for one in members]


def in_batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in pieces that fit into one statement."""
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]


def _payloads(client: DBOSClient, ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    database = recovery.database_of(client)
    status, given = database.tables.workflow_status, database.tables.workflow_input
    query = (
        sa.select(
            status.c.workflow_uuid, sa.func.coalesce(given.c.inputs, status.c.inputs), status.c.serialization
        )
        .select_from(status.outerjoin(given, status.c.workflow_uuid == given.c.workflow_uuid))
        .where(status.c.workflow_uuid.in_(ids))
    )
    with database.engine.connect() as connection:
        rows = connection.execute(query).all()
    for run_id, text, serialization in rows:
        arguments = serializer.loads(text)["args"] if text and serialization == serializer.NAME else []
        yield run_id, arguments[0] if arguments else None


def _checkpoints(client: DBOSClient, ids: Sequence[str]) -> Iterator[tuple[str, Checkpoint]]:
    database = recovery.database_of(client)
    table = database.tables.operation_outputs
    query = (
        sa.select(
            table.c.workflow_uuid,
            table.c.function_id,
            table.c.function_name,
            table.c.output,
            table.c.error,
            table.c.child_workflow_id,
            table.c.serialization,
        )
        .where(table.c.workflow_uuid.in_(ids))
        .order_by(table.c.workflow_uuid, table.c.function_id)
    )
    with database.engine.connect() as connection:
        for row in connection.execute(query):
            text = row.output if row.serialization == serializer.NAME else None
            yield (
                row.workflow_uuid,
                Checkpoint(
                    number=row.function_id,
                    name=row.function_name,
                    value=None if text is None else serializer.loads(text),
                    failed=row.error is not None,
                    child=row.child_workflow_id,
                ),
            )


def set_argument(client: DBOSClient, run_id: str, payload: Any) -> None:
    """Give a run that is over another first argument."""
    table = recovery.database_of(client).tables.workflow_input
    text = serializer.dumps({"args": [payload], "kwargs": {}})
    with recovery.database_of(client).engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.workflow_uuid == run_id).values(inputs=text))


def rewind(
    client: DBOSClient, history: History, forget: Collection[int], *, queue: str | None = None
) -> None:
    """Forget some recorded steps of a run that is over and put it back on its queue under the same id.

    Args:
        client: of the project's database.
        history: the run, in a terminal state.
        forget: numbers of the steps to be forgotten; all others are kept.
        queue: in place of its own queue.
    """
    database = recovery.database_of(client)
    _forget(client, history.id, forget)
    own = recovery.home_queue(database, history.member.row)
    database.rewind_workflow(
        history.id,
        history.beyond,
        queue_name=queue or own,
        # Only the run itself is on the partitioned queue; its children have a queue without limits.
        queue_partition_key=None
        if queue or history.member.parent
        else history.member.row.queue_partition_key,
    )


def _forget(client: DBOSClient, run_id: str, numbers: Iterable[int]) -> None:
    database = recovery.database_of(client)
    table = database.tables.operation_outputs
    wanted = sorted(numbers)
    with database.engine.begin() as connection:
        for start in range(0, len(wanted), _BATCH):
            connection.execute(
                sa.delete(table).where(
                    table.c.workflow_uuid == run_id, table.c.function_id.in_(wanted[start : start + _BATCH])
                )
            )
