"""Clear errors for what DBOS answers with an empty assertion: starting or enqueueing a workflow in a step."""

from __future__ import annotations

from dbos._context import DBOSContext

from kurt.runtime import place

_REMEDY = (
    "return from the step what the workflow needs, and start the other workflow in the body of the\n"
    "@DBOS.workflow() function, before or after the step"
)

_create = DBOSContext.create_start_workflow_child


def install() -> None:
    """Let a step that starts or enqueues a workflow fail with words; harmless to repeat.

    Every way to begin a workflow passes this one function of DBOS, which refuses steps by an assertion without a text.
    """
    DBOSContext.create_start_workflow_child = staticmethod(_refusing_steps)


def _refusing_steps(cur_ctx: DBOSContext | None) -> DBOSContext:
    place.refuse_step("a workflow", _REMEDY, verb="started")
    return _create(cur_ctx)
