"""Ending a child run from its parent: with all that is below it, and for good."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from kurt.runtime import recovery, serializer

_LIMIT = 5.0
"""Seconds in which steps that are cancelled have ended what they started."""

_LOOK_EVERY = 0.05


async def end_child(child_id: str, error: BaseException) -> None:
    """Cancel a child with its children, wait until nothing of them is at work here, and let them have failed.

    A cancelled run can be resumed, and `resume` takes a run up with its children; one that its parent has given up must
    not come back. A child that is over keeps its outcome. Draws no number, and may be repeated.

    Args:
        child_id: the child.
        error: why; what those that had to be cancelled raise from now on.
    """
    family = await asyncio.to_thread(_cancel, child_id)
    loop = asyncio.get_running_loop()
    until = loop.time() + _LIMIT
    # They end in threads and tasks of DBOS, which tells nobody.
    while family.intersection(recovery.active_runs()) and loop.time() < until:  # noqa: ASYNC110 - see above
        await asyncio.sleep(_LOOK_EVERY)
    await asyncio.to_thread(_settle, child_id, serializer.dumps(error))


def _cancel(child_id: str) -> set[str]:
    database = recovery.system_database()
    database.cancel_workflows([child_id], cancel_children=True)
    return {child_id, *database.get_workflow_children(child_id)}


def _settle(child_id: str, error: str) -> None:
    database = recovery.system_database()
    family = sorted(
        _cancel(child_id)
    )  # again: one of them may have started another before it saw that it is over
    status = database.tables.workflow_status
    with database.engine.begin() as connection:
        for start in range(0, len(family), 500):
            connection.execute(
                sa.update(status)
                .where(
                    status.c.workflow_uuid.in_(family[start : start + 500]),
                    status.c.status == sa.literal_column("'CANCELLED'"),
                )
                .values(status="ERROR", error=error)
            )
