"""The two DBOS workflows that interpret declared workflows: a run, and an item or branch of one."""

from __future__ import annotations

from typing import Any

from kurt.engine.expressions.references import resolve
from kurt.engine.interpreter import blocks, branch, loading, notices
from kurt.engine.interpreter.children import announced
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import StepFailed, error_json, error_scope
from kurt.engine.interpreter.loading import use
from kurt.engine.interpreter.sequence import SequenceInterpreter, run_step, run_steps
from kurt.engine.interpreter.turns import take_turn
from kurt.errors import StepError
from kurt.runtime import durable, names, resting
from kurt.runtime.mocked import marks
from kurt.types import Json, JsonObject

__all__ = ["run_branch", "run_declared", "use"]

_INTERPRETER = SequenceInterpreter()


@durable.workflow(names.RUN_WORKFLOW)
async def run_declared(payload: JsonObject) -> JsonObject:
    """Run a frozen definition.

    Args:
        payload: `{"frozen", "inputs", "queue", "root"?, "submitted_at"?}`.

    Returns:
        `{"outputs", "summary"}`.
    """
    run_id = durable.current_run_id()
    with announced(run_id), resting.execution(payload.get("root") or run_id, run_id):
        context = await loading.run_context(payload, run_id, _INTERPRETER)
        is_root = context.root_id == run_id
        if is_root:
            context.progress.started(context.definition.name, mocked=marks(payload.get("mock")))
        status = "interrupted"
        try:
            await take_turn(context)
            result = await _run(context, payload["inputs"])
            status = "succeeded"
        except durable.Cancelled:
            status = "cancelled"
            if is_root and await durable.is_too_late(run_id):
                await notices.tell_too_late(context, payload["inputs"])
            raise
        except Exception:
            status = "failed"
            raise
        finally:
            ended = is_root and status != "interrupted"
            if ended:
                context.progress.ended(status)
            await loading.leave(context, status if ended else None)
        return result


async def _run(context: WorkflowContext, inputs: JsonObject) -> JsonObject:
    """The steps, then `outputs`; on failure `on_error`; in any case `finally`, and who is to be told."""
    frame = loading.frame_for(context, {**inputs, "inputs": inputs})
    failure: Exception | None = None
    outputs: Json = None
    try:
        loading.require_secrets(context)
        await run_steps(context, context.definition.steps, frame)
        outputs = resolve(context.definition.outputs, frame.names)
    except durable.Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - raised again when the handlers have run
        failure = error
        await _handle(context, frame, failure)
    await _finish(context, frame, failure)
    if context.run_id == context.root_id:
        error = _described(failure) if failure is not None else None
        await notices.tell_end(context, inputs, error=error, outputs=outputs)
    if failure is not None:
        raise failure
    whole = context.root_id == context.run_id
    summary = context.tally.summary() if whole else context.tally.to_json()
    return {"outputs": context.masker.mask_value(outputs), "summary": summary}


async def _handle(context: WorkflowContext, frame: Frame, failure: Exception) -> None:
    """Run `on_error`; what fails there is logged and does not hide the failure itself."""
    await _handlers(context, context.definition.on_error, "on_error", frame.child(error=_described(failure)))


async def _finish(context: WorkflowContext, frame: Frame, failure: Exception | None) -> None:
    """Run `finally`."""
    error = _described(failure) if failure is not None else None
    await _handlers(context, context.definition.finally_, "finally", frame.child(error=error))


async def _handlers(context: WorkflowContext, steps: list[Any], label: str, frame: Frame) -> None:
    if not steps:
        return
    try:
        await run_steps(context.within(label), steps, frame)
    except StepFailed as failure:
        context.progress.log.write("ERROR", label, f"{failure.message}")


def _described(failure: Exception) -> JsonObject:
    if isinstance(failure, StepFailed):
        return error_scope({**failure.error, "step": failure.path})
    return error_scope({**error_json(failure), "step": None})


@durable.workflow(names.BRANCH_WORKFLOW)
async def run_branch(payload: JsonObject) -> JsonObject:
    """Run one item or branch; `{"value", "tally"}`."""
    run_id = durable.current_run_id()
    with announced(run_id), resting.execution(payload["root"], run_id):
        context = await loading.branch_context(payload, run_id, _INTERPRETER)
        try:
            loading.require_secrets(context)
            frame = loading.frame_for(context, payload["scope"])
            if (kept := await branch.kept(payload)) is not None:
                return kept
            if not await branch.ready(payload, frame):
                raise StepError("a step that it needs failed", type="NeedFailed")
            value = await _run_branch(context, payload, frame)
        finally:
            await loading.leave(context)
        return {"value": value, "tally": context.tally.to_json()}


async def _run_branch(context: WorkflowContext, payload: JsonObject, frame: Frame) -> Json:
    step, siblings = loading.load(context.owner_id, {}).places[payload["pointer"]]
    if payload.get("block_attempt"):
        return await blocks.run_attempt(context, step, payload["path"], frame, payload)
    if not payload.get("item"):
        return await run_step(context, step, frame, siblings=siblings)
    value = await run_steps(context.within(payload["path"]), step.steps, frame)
    return value if step.collect is None else resolve(step.collect, frame.names)
