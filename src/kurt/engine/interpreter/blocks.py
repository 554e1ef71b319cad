"""Block steps: what the interpreter itself carries out, with a checkpoint at its beginning and one at its end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from kurt.engine.expressions.evaluation import evaluate, is_true
from kurt.engine.interpreter import (
    approvals,
    foreach,
    graph_run,
    subruns,
    waits,
)
from kurt.engine.interpreter.attempt import own_env
from kurt.engine.interpreter.block_attempts import BlockAttempts
from kurt.engine.interpreter.context import NOT_RUN, Frame, WorkflowContext
from kurt.engine.interpreter.envelope import (
    FAILED,
    OPENED,
    SKIPPED,
    SUCCEEDED,
    Envelope,
    StepFailed,
    error_json,
)
from kurt.engine.language.schema import FLOW_KINDS
from kurt.runtime import durable
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep

Runner = Callable[[WorkflowContext, "WorkflowStep", str, Frame, JsonObject], Awaitable[Json]]
"""Carries out an opened block: context, step, path, frame, facts of the opening."""

Opener = Callable[[WorkflowContext, "WorkflowStep", Frame], JsonObject]
"""Facts to be stored when a block begins; raises what is wrong with it."""


async def run_block(context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame) -> Json:
    """Open the block, carry it out, close it; its value, `NOT_RUN` if it was skipped.

    Raises:
        StepFailed: it could not be opened, or something in it failed.
    """
    opened = await _open(path, lambda: _opening(context, step, path, frame))
    if opened.state == SKIPPED:
        return NOT_RUN
    if opened.state == FAILED:
        raise StepFailed(path, opened.error or {})
    if step.is_flow:
        from kurt.engine.interpreter.rows_of_kinds import run_rows  # noqa: PLC0415 - most files have no such step

        return await run_rows(context, step, path, frame)
    inside = context.inside(own_env(step, frame), step)
    if step.has_attempts(context.definition):
        return await BlockAttempts(inside, step, path, frame).run()
    try:
        value = await _carried_out(inside, step, path, frame, opened.facts or {})
    except StepFailed as failure:
        await _close(context, step, path, opened, error={**failure.error, "step": failure.path})
        raise
    await _close(context, step, path, opened, value=value)
    return value


async def run_attempt(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, payload: JsonObject
) -> Json:
    """One attempt of a block, in the child run that it is; its value.

    Args:
        context: of the child.
        step: the block.
        path: its path.
        frame: the names in scope.
        payload: what the child was given: `block_attempt`, its number, and `earlier`, id of the attempt before.

    Raises:
        StepFailed: it could not be opened, or something in it failed.
    """
    number = payload["block_attempt"]
    opened = await _open(f"kurt.open:{path}", lambda: _opened(context, step, path, frame, attempt=number))
    if opened.state == FAILED:
        raise StepFailed(path, opened.error or {})
    facts = {**(opened.facts or {}), "earlier": payload.get("earlier")}
    return await _carried_out(context, step, path, frame, facts)


async def _carried_out(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    try:
        return await RUNNERS[step.type](context, step, path, frame, facts)
    except StepFailed:
        raise
    except Exception as error:
        if isinstance(error, durable.Cancelled):
            raise
        raise StepFailed(path, error_json(error)) from error


async def _open(name: str, opening: Callable[[], Envelope]) -> Envelope:
    async def opened() -> JsonObject:
        return opening().to_json()

    return Envelope.from_json(await durable.Slot().run(name, opened))


def _opening(context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame) -> Envelope:
    """Whether the block is carried out; the opening itself where it is not tried several times."""
    try:
        if step.when is not None and not is_true(step.when, frame.names):
            context.progress.step(path, SKIPPED, kind=step.type)
            return Envelope(state=SKIPPED, kind=step.type)
        own_env(step, frame)
    except Exception as error:  # noqa: BLE001 - what is wrong with a block is its failure, stored as such
        return _refused(context, step, path, error)
    if step.has_attempts(context.definition):
        return Envelope(state=OPENED, kind=step.type, facts={"opened_at": time.time()})
    return _opened(context, step, path, frame)


def _opened(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, *, attempt: int = 1
) -> Envelope:
    try:
        facts = OPENERS[step.type](context, step, frame) if step.type in OPENERS else {}
    except Exception as error:  # noqa: BLE001 - as above
        return _refused(context, step, path, error)
    context.progress.step(path, "running", kind=step.type, attempt=attempt)
    return Envelope(state=OPENED, kind=step.type, facts={**facts, "opened_at": time.time()})


def _refused(context: WorkflowContext, step: WorkflowStep, path: str, error: Exception) -> Envelope:
    described = context.masker.mask_value(error_json(error))
    context.progress.step(path, FAILED, kind=step.type, error=described)
    return Envelope(state=FAILED, kind=step.type, error=described)


async def _close(
    context: WorkflowContext,
    step: WorkflowStep,
    path: str,
    opened: Envelope,
    *,
    error: JsonObject | None = None,
    value: Json = None,
) -> None:
    state = FAILED if error is not None else SKIPPED if value is NOT_RUN else SUCCEEDED
    # What other blocks give is made of what the steps inside them have stored; tests of files want to see it.
    keeps = step.type == "approval" or context.mocks.on
    own = context.masker.mask_value(value) if keeps and state == SUCCEEDED else None

    async def closing() -> JsonObject:
        seconds = time.time() - float((opened.facts or {})["opened_at"])
        context.progress.step(path, state, kind=step.type, error=error, seconds=seconds)
        return Envelope(state=state, kind=step.type, error=error, value=own).to_json()

    await durable.Slot().run(path, closing)


async def _parallel(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    del facts
    return await graph_run.run_graph(
        context.within(path), step.steps, frame.child(), siblings=step.steps, independent=True
    )


async def _switch(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    chosen = step.case(facts["case"])
    if not chosen:
        return None
    return await context.interpreter.run_steps(context.within(path), chosen, frame.child())


def _open_switch(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """The branch is chosen once and stored: a replay takes the same one."""
    del context
    return {"case": step.matching_case(evaluate(step.on, frame.names))}


def _open_rows(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """How many rows there are."""
    from kurt.engine.interpreter.model_rows import open_rows  # noqa: PLC0415 - as above

    return open_rows(context, step, frame)


RUNNERS: dict[str, Runner] = {
    "parallel": _parallel,
    "foreach": foreach.run_foreach,
    "switch": _switch,
    "workflow": subruns.run_workflow_step,
    "wait": waits.run_wait,
    "approval": approvals.run_approval,
}

OPENERS: dict[str, Opener] = {
    "foreach": foreach.open_foreach,
    "switch": _open_switch,
    "wait": waits.open_wait,
    "approval": approvals.open_approval,
    **dict.fromkeys(FLOW_KINDS, _open_rows),
}
