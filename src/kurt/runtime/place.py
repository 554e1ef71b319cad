"""Where the caller's code runs: in the body of a workflow, in a step, or in neither. Loads nothing of DBOS to find out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kurt.errors import UsageError

if TYPE_CHECKING:
    from dbos._context import DBOSContext


def context() -> DBOSContext | None:
    """DBOS's context, None where there is none; who has not loaded DBOS is in no workflow."""
    module = sys.modules.get("dbos._context")
    return None if module is None else module.get_local_dbos_context()


def in_workflow() -> bool:
    """Whether the caller is in the body of a workflow, outside any step."""
    found = context()
    return found is not None and found.is_workflow()


def in_step() -> bool:
    """Whether the caller is in a step or a transaction of a workflow."""
    found = context()
    return found is not None and bool(found.workflow_id) and not found.is_workflow()


def run_id() -> str | None:
    """The run, item or branch that the caller belongs to, None outside of one."""
    found = context()
    return (found.workflow_id or None) if found is not None else None


def refuse_step(what: str, remedy: str, *, verb: str = "called") -> None:
    """Refuse what a step may not do.

    Args:
        what: the call, such as `LLMStep.run`.
        remedy: what to write instead.
        verb: what is done to it.

    Raises:
        UsageError: the caller is in a step.
    """
    if in_step():
        error = UsageError(f"{what} must be {verb} from a workflow, not from a step", hint=remedy)
        error.add_note(remedy)  # a traceback does not show hints
        raise error
