"""`concurrency` of a file: a run waits until fewer runs of its workflow are at work.

Nothing of it is a step: it is asked anew by whoever executes the run, and draws no number.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from kurt.engine.interpreter.announcing import beside, told
from kurt.engine.interpreter.context import WorkflowContext
from kurt.runtime import durable, turns
from kurt.runtime.recovery import repeated, status_of, system_database
from kurt.runtime.wait_words import TURN

LOOK_EVERY = 0.5
"""Seconds between two looks whether there is a free turn."""

_ASK_EVERY = 3.0
"""Seconds between two signs that the run still waits."""


async def take_turn(context: WorkflowContext) -> None:
    """Wait until the run may work; at once where its file bounds nothing.

    Raises:
        Cancelled: the run was cancelled meanwhile.
    """
    limit = context.definition.concurrency
    if limit is None:
        return
    key = context.definition.file or context.definition.name
    asking = partial(repeated(turns.ask), system_database(), key, context.run_id, limit)
    runs = await beside(asking)
    while runs:
        async with told(context, "", {"kind": TURN, "limit": limit, "runs": runs}):
            runs = await _changed(context, key, limit, runs, asking)


async def _changed(
    context: WorkflowContext, key: str, limit: int, runs: list[str], asking: partial[Any]
) -> list[str]:
    """Wait until it is this run's turn, or until others have theirs than were told; those that have."""
    asked = time.monotonic()
    reading = partial(repeated(turns.in_the_way), system_database(), key, context.run_id)
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if await beside(partial(repeated(status_of), context.run_id)) == "CANCELLED":
            raise durable.Cancelled(f"the run {context.run_id} was cancelled while it waited for its turn")
        at_work = await beside(reading)
        if len(at_work) >= limit and time.monotonic() - asked < _ASK_EVERY:
            continue
        asked = time.monotonic()
        found = await beside(asking)
        if found != runs:
            return found
