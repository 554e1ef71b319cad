"""Starting a run directly in this executor, without a queue."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dbos import DBOS, SetWorkflowAttributes, SetWorkflowID, SetWorkflowTimeout

from kurt.runtime import names, recovery


def start_run(
    workflow: str,
    run_id: str,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    attributes: Mapping[str, Any],
    seconds: float | None,
) -> threading.Event:
    """Start a run in this executor.

    Args:
        workflow: durable name of the DBOS workflow.
        run_id: its id.
        arguments: positional arguments.
        keywords: arguments by name.
        attributes: Kurt's facts about the run.
        seconds: after which it is cancelled, None for no limit.

    Returns:
        an event that is set when the run is over in this process.
    """
    function = recovery.registered(workflow)
    facts = {names.ATTRIBUTES_KEY: dict(attributes)}
    with SetWorkflowID(run_id), SetWorkflowAttributes(facts), SetWorkflowTimeout(seconds):
        handle = DBOS.start_workflow(function, *arguments, **dict(keywords))
    over = threading.Event()
    threading.Thread(target=_await_end, args=(handle, over), name=f"kurt-run-{run_id}", daemon=True).start()
    return over


def _await_end(handle: Any, over: threading.Event) -> None:
    # How the run ended is read from the database; here only the end counts.
    with suppress(Exception):
        handle.get_result()
    over.set()
