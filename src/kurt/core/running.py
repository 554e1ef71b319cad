"""Starting a Python workflow from code: at once in this process, or as a child of the run in which the caller is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from dbos import DBOS, SetWorkflowAttributes, SetWorkflowID

from kurt.core.tenancy import tenant_attributes
from kurt.runtime import durable, names, place


def start_here(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Start a workflow in this process, which must have launched DBOS; its handle."""
    facts = {"kind": "python", "workflow": short_name(function), **tenant_attributes()}
    with SetWorkflowAttributes({names.ATTRIBUTES_KEY: facts}):
        if place.in_workflow():
            return DBOS.start_workflow(function, *args, **kwargs)
        with SetWorkflowID(names.new_run_id()):
            return DBOS.start_workflow(function, *args, **kwargs)


def short_name(function: Callable[..., Any]) -> str:
    """The name of a workflow as people know it: that of its function without `_workflow`."""
    return durable.registered_name(function).rpartition(".")[2].removesuffix("_workflow")


def with_parent_workflow_id(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a workflow tell under which run it was started: a `parent_workflow_id` among its arguments becomes an event.

    Stands below `@DBOS.workflow()`. The id is looked for among the arguments by name, then in a mapping as first argument.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        parent = kwargs.get("parent_workflow_id")
        if parent is None and args and isinstance(args[0], Mapping):
            parent = args[0].get("parent_workflow_id")
        run_id = place.run_id()
        if parent is not None and run_id is not None:
            durable.write_event(run_id, "parent_workflow_id", parent)
        return function(*args, **kwargs)

    return call
