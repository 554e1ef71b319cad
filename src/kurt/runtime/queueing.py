"""Putting a workflow on a queue that code has declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dbos import DBOS, SetWorkflowAttributes, SetWorkflowID

from kurt.config.current import current_settings
from kurt.db.tenant import current_tenant
from kurt.runtime import durable, names, place, spawn

if TYPE_CHECKING:
    from dbos import WorkflowHandle

    from kurt.config import Settings


def enqueue_here(
    queue: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> WorkflowHandle[Any]:
    """Put a workflow on a registered queue from a process that has launched DBOS.

    Raises:
        UsageError: it is no workflow, or the caller is in a step.
        KurtError: no worker could be started; the run stays queued.
    """
    settings = current_settings()
    workflow = durable.registered_name(function).rpartition(".")[2].removesuffix("_workflow")
    tenant = current_tenant()
    facts: dict[str, Any] = {"kind": "python", "workflow": workflow, "queue": queue}
    facts |= {key: value for key in ("user_id", "workspace_id") if (value := getattr(tenant, key))}
    with SetWorkflowAttributes({names.ATTRIBUTES_KEY: facts}):
        if place.in_workflow():
            handle = DBOS.enqueue_workflow(queue, function, *args, **kwargs)
        else:
            with SetWorkflowID(names.new_run_id()):
                handle = DBOS.enqueue_workflow(queue, function, *args, **kwargs)
    _see_to_worker(settings, queue)
    return handle


def _see_to_worker(settings: Settings, queue: str) -> None:
    if not spawn.serving(settings, queue):
        spawn.confirm_started(settings, spawn.start_worker(settings, queue), queue)
