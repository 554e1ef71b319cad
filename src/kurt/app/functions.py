"""Running a Python workflow from code, at once or in the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kurt.app import runs
from kurt.app.placement import placement_from
from kurt.app.session import init_dbos
from kurt.app.targets import Prepared, attributes
from kurt.config.current import current_settings
from kurt.runtime import place

_REMEDY = (
    "start it from the body of the @DBOS.workflow() function, before or after the step;\n"
    "a step returns what the workflow needs to decide on it"
)


def run_workflow(
    func: Callable[..., Any],
    *args: Any,
    background: bool = False,
    priority: int | None = None,
    **kwargs: Any,
) -> Any:
    """Run a workflow and return its result, or put it on its queue.

    In the foreground it runs in this process, which becomes an executor of the project if it is none yet. In the
    background a worker executes it, or this process if it serves the queue.

    Args:
        func: a `@DBOS.workflow()` function.
        args: its arguments.
        background: do not wait for it.
        priority: its place on the queue; 1 comes first. Only in the background.
        kwargs: its arguments by name.

    Returns:
        what it returned; in the background `{workflow_id, status: "queued"}`.

    Raises:
        UsageError: it is not a workflow, or the caller is in a step.
    """
    place.refuse_step("run_workflow", _REMEDY)
    from kurt.core.running import short_name, start_here  # noqa: PLC0415 - loads DBOS
    from kurt.runtime.durable import registered_name  # noqa: PLC0415 - as above
    from kurt.runtime.recovery import is_launched  # noqa: PLC0415 - as above

    name = registered_name(func)
    if place.in_workflow():
        handle = start_here(func, args, kwargs)
        return {"workflow_id": handle.workflow_id, "status": "queued"} if background else handle.get_result()
    if not background:
        if not is_launched():
            init_dbos(queues=())
        return start_here(func, args, kwargs).get_result()
    settings = current_settings()
    prepared = Prepared(
        workflow=name,
        name=short_name(func),
        arguments=args,
        keywords=kwargs,
        attributes=attributes(settings, kind="python", workflow=short_name(func)),
    )
    placement = placement_from(settings, prepared, {"priority": priority})
    submitted = runs.submit(settings, prepared, placement)
    return {"workflow_id": submitted.run_id, "status": "queued"}


run_with_background_support = run_workflow
"""The same by its older name."""
