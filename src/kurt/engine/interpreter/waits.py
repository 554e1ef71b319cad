"""`wait`: until a time, or for a message; durably, so that a reboot does not start the wait again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.engine.durations import parse_duration
from kurt.engine.expressions.references import resolve
from kurt.engine.expressions.until import until_seconds
from kurt.engine.interpreter.announcing import told
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import SUCCEEDED, Envelope
from kurt.errors import StepTimeoutError
from kurt.runtime import durable
from kurt.runtime.wait_words import MESSAGE, TIME
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
        if limit is not None and context.mocks.cuts(context.path(step.name)):
            limit = 0.0
        return {
            "topic": str(resolve(wait.message, frame.names)),
            "until": now + (FOREVER if limit is None else limit),
        }
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
    if topic is not None:
        return await _message(context, path, topic, until, has_limit=step.timeout is not None)
    await _sleep(context, path, until)
    if facts.get("late"):
        raise StepTimeoutError(f"the time has not come within {step.timeout:g} s", hint="raise `timeout:`")
    return None


async def _sleep(context: WorkflowContext, path: str, until: float) -> None:
    async def sleep() -> JsonObject:
        async with told(context, path, {"kind": TIME, "topic": None, "until": until}):
            await asyncio.sleep(max(0.0, until - time.time()))
        return Envelope(state=SUCCEEDED, kind="wait").to_json()

    await durable.Slot().run(f"kurt.wait:{path}", sleep)


async def _message(context: WorkflowContext, path: str, topic: str, until: float, *, has_limit: bool) -> Json:
    tell = partial(
        told, context, path, {"kind": MESSAGE, "topic": topic, "until": until if has_limit else None}
    )
    if context.run_id != context.root_id:
        await _fetch(context, path, topic, until, tell)
        tell = nullcontext
    elif await durable.is_recorded():
        tell = nullcontext
    async with tell():
        received = await durable.receive(topic, max(0.0, until - time.time()))
    if received is None:
        raise StepTimeoutError(
            f"no message on {topic!r} came in time", hint=f"kurt workflows send ID --topic {topic} ..."
        )
    return received["message"]


async def _fetch(
    context: WorkflowContext, path: str, topic: str, until: float, tell: Callable[[], Any]
) -> None:
    """Bring the message from the run's mailbox to that of this item or branch."""

    async def fetch() -> JsonObject:
        async with tell():
            await durable.take_message(context.root_id, topic, until)
        return Envelope(state=SUCCEEDED, kind="wait").to_json()

    await durable.Slot().run(f"kurt.message:{path}", fetch)
