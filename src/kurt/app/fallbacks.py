"""What a worker runs in place of a workflow that it cannot or must not run."""

from __future__ import annotations

import logging
from typing import Any

from kurt.errors import NotFoundError
from kurt.runtime import durable, recovery

_log = logging.getLogger(__name__)


@durable.workflow("kurt.unknown")
def unknown(*_args: Any, **_kwargs: Any) -> None:
    """End the run: nobody knows its name, and it must not show as running for ever."""
    name = recovery.name_of(durable.current_run_id())
    raise NotFoundError(
        f"no workflow named {name!r} is known in this project",
        hint="put its module into workflows/, or install its package, then: kurt workflows retry ID",
    )


@durable.workflow("kurt.hand_back")
def hand_back(*_args: Any, **_kwargs: Any) -> None:
    """Give the run back to its queue: this process holds older code and is about to begin again."""
    run_id = durable.current_run_id()
    _log.info("the code of run %s has changed; this worker begins again", run_id)
    recovery.give_back(run_id)
