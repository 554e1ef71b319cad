"""Acting on runs that exist, from any process and without launching DBOS."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kurt.errors import ConflictError
from kurt.runtime import recovery
from kurt.runtime.durable import TERMINAL
from kurt.runtime.forgetting import forget_content

if TYPE_CHECKING:
    from dbos import DBOSClient

FINISHED = frozenset({"SUCCESS", "ERROR"})
"""DBOS states that cancelling and resuming leave alone."""


@dataclass(frozen=True, slots=True)
class Member:
    """A run, or a child of it, as the operations see it.

    Attributes:
        id: its id.
        name: durable name of its workflow.
        status: DBOS's state.
        executor: who owns it.
        parent: id of its parent.
        row: the database's row, for its queue.
    """

    id: str
    name: str
    status: str
    executor: str | None
    parent: str | None
    row: Any


def family(client: DBOSClient, run_id: str) -> list[Member]:
    """The run and all its descendants, the run first."""
    database = recovery.database_of(client)
    status = database.tables.workflow_status
    columns = sa.select(
        status.c.workflow_uuid.label("id"),
        status.c.name,
        status.c.status,
        status.c.executor_id,
        status.c.queue_name,
        status.c.attributes,
        status.c.parent_workflow_id.label("parent"),
        status.c.queue_partition_key,
    )
    members: list[Member] = []
    with database.engine.connect() as connection:
        level = list(connection.execute(columns.where(status.c.workflow_uuid == run_id)))
        while level:
            members += [
                Member(row.id, row.name, row.status, row.executor_id, row.parent, row) for row in level
            ]
            parents = [row.id for row in level]
            level = [
                row
                for start in range(0, len(parents), 500)
                for row in connection.execute(
                    columns.where(status.c.parent_workflow_id.in_(parents[start : start + 500]))
                )
            ]
    return members


def cancel(client: DBOSClient, run_id: str) -> None:
    """Cancel a run and its children; whoever executes them stops their steps and child processes.

    Raises:
        ConflictError: it is over.
    """
    run = family(client, run_id)[0]
    if run.status in TERMINAL:
        raise ConflictError(f"the run {run_id} is over already", hint=f"kurt workflows status {run_id}")
    client.cancel_workflow(run_id, cancel_children=True)


def resume(
    client: DBOSClient, run_id: str, *, alive: Collection[str], private: str | None = None
) -> list[str]:
    """Put an interrupted, cancelled or stuck run back on its queue, with its unfinished children.

    Args:
        client: of the project's database.
        run_id: the run.
        alive: executors that hold a lease.
        private: queue of the executor that is to run it, in place of its own queue.

    Returns:
        the ids that were put on a queue.

    Raises:
        ConflictError: the run has finished, or a live executor has it.
    """
    members = family(client, run_id)
    database = recovery.database_of(client)
    _check_resumable(members[0], alive, leases_lapse=database.engine.dialect.name != "sqlite")
    moved = [member for member in members if _is_resumable(member, alive)]
    for member in reversed(moved):  # the run last: it must find its children on their way
        client.resume_workflow(member.id, queue_name=private or recovery.home_queue(database, member.row))
    return [member.id for member in moved]


def _check_resumable(run: Member, alive: Collection[str], *, leases_lapse: bool) -> None:
    if run.status in FINISHED:
        verb = "retry" if run.status == "ERROR" else "fork"
        raise ConflictError(
            f"the run {run.id} has finished: nothing is left to resume",
            hint=f"kurt workflows {verb} {run.id}",
        )
    if run.status == "PENDING" and run.executor in alive:
        raise ConflictError(
            f"the run {run.id} is at work in {run.executor}",
            hint=f"kurt workflows follow {run.id}"
            + ("; if that process was just killed, repeat this in half a minute" if leases_lapse else ""),
        )


def _is_resumable(member: Member, alive: Collection[str]) -> bool:
    return member.status not in FINISHED and not (member.status == "PENDING" and member.executor in alive)


def send(
    client: DBOSClient, run_id: str, message: Any, *, topic: str, idempotency_key: str | None = None
) -> None:
    """Send a message to a run that waits, or will wait, for it."""
    client.send(run_id, {"message": message}, topic, idempotency_key)


def delete(client: DBOSClient, run_id: str) -> list[str]:
    """Remove a run that is over, with its children and everything recorded of them; the ids.

    Raises:
        ConflictError: it is not over.
    """
    members = family(client, run_id)
    if members[0].status not in TERMINAL:
        raise ConflictError(f"the run {run_id} is not over", hint=f"kurt workflows cancel {run_id}")
    ids = [member.id for member in members]
    client.delete_workflows(ids)
    forget_content(client, [run_id])
    return ids


def delete_finished(client: DBOSClient, run_ids: Sequence[str]) -> None:
    """Remove runs that are known to be over, with their children."""
    client.delete_workflows([member.id for run_id in run_ids for member in family(client, run_id)])
    forget_content(client, run_ids)


def forget_children(client: DBOSClient, ids: Collection[str]) -> None:
    """Remove children that are to be started anew, with everything recorded of them."""
    if ids:
        client.delete_workflows(sorted(ids))
