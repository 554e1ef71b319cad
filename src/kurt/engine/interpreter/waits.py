"""`wait`: until a time, or for a message; durably, so that a reboot does not start the wait again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kurt.engine.durations import parse_duration
from kurt.engine.expressions.references import resolve
from kurt.engine.expressions.until import until_seconds
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import SUCCEEDED, Envelope
from kurt.errors import StepTimeoutError
from kurt.runtime import durable
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep

FOREVER = 10 * 365 * 86_400.0
"""Seconds that a message is waited for when no timeout is given."""


def open_wait(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """When the wait ends, fixed once: seconds since the epoch, the topic of a message, whether it is cut short."""
    now, wait, limit = time.time(), step.wait, step.timeout
    if wait is None:
        raise ValueError(f"the step {step.name} has nothing to wait for")
    if wait.message is not None:
        return {"topic": str(resolve(wait.message, frame.names)), "until": now + (limit or FOREVER)}
    if wait.for_ is not None:
        until = now + parse_duration(resolve(wait.for_, frame.names))
    else:
        until = until_seconds(wait.until or 0, frame.names)
    late = limit is not None and until > now + limit
    end = now if context.mocks.hurry else now + limit if late and limit is not None else until
    return {"until": end, "late": True} if late else {"until": end}


async def run_wait(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    """Wait as the opening says; the message, or null after a time.

    Raises:
        StepTimeoutError: no message came in time, or the time that is waited for does not come in time.
    """
    del frame
    until, topic = float(facts["until"]), facts.get("topic")
    await _announce(context, path, {"path": path, "topic": topic, "until": until})
    try:
        if topic is None:
            value = await _sleep(path, until)
            if facts.get("late"):
                raise StepTimeoutError(
                    f"the time has not come within {step.timeout:g} s", hint="raise `timeout:`"
                )
        else:
            value = await _message(context, path, topic, until)
    except Exception:
        # Not when the executor ends (a `CancelledError`): the run then still waits, and shows it.
        await _announce(context, path, None)
        raise
    await _announce(context, path, None)
    return value


_waits: dict[str, dict[str, JsonObject]] = {}
"""What each run in this process waits for, by path: branches may wait side by side."""


async def _announce(context: WorkflowContext, path: str, waiting_for: JsonObject | None) -> None:
    """Show the run as waiting; written beside the run, so a replay may do it again."""
    waits = _waits.setdefault(context.root_id, {})
    if waiting_for is not None:
        waits[path] = waiting_for
    else:
        waits.pop(path, None)
    shown = next(iter(waits.values()), None)
    if shown is None:
        _waits.pop(context.root_id, None)
    await asyncio.to_thread(durable.write_event, context.root_id, "waiting_for", shown)


async def _sleep(path: str, until: float) -> None:
    async def sleep() -> JsonObject:
        await asyncio.sleep(max(0.0, until - time.time()))
        return Envelope(state=SUCCEEDED, kind="wait").to_json()

    await durable.Slot().run(f"kurt.wait:{path}", sleep)


async def _message(context: WorkflowContext, path: str, topic: str, until: float) -> Json:
    if context.run_id != context.root_id:
        await _fetch(context, path, topic, until)
    received = await durable.receive(topic, max(0.0, until - time.time()))
    if received is None:
        raise StepTimeoutError(
            f"no message on {topic!r} came in time", hint=f"kurt workflows send ID --topic {topic} ..."
        )
    return received["message"]


async def _fetch(context: WorkflowContext, path: str, topic: str, until: float) -> None:
    """Bring the message from the run's mailbox to that of this item or branch."""

    async def fetch() -> JsonObject:
        await durable.take_message(context.root_id, topic, until)
        return Envelope(state=SUCCEEDED, kind="wait").to_json()

    await durable.Slot().run(f"kurt.message:{path}", fetch)
