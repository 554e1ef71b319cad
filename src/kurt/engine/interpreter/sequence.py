"""Lists of steps: one after another, and what happens when one of them fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kurt.engine.interpreter import blocks, graph_run
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import StepFailed, error_scope
from kurt.engine.interpreter.simple import BLOCKS, reserve, run_simple, value_of
from kurt.engine.language.order import fallback_names
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep


async def run_steps(context: WorkflowContext, steps: Sequence[WorkflowStep], frame: Frame) -> Json:
    """Run a list of steps in its order, or as its `needs` allow; the value of the last one.

    Raises:
        StepFailed: a step failed and does not say to go on.
    """
    substitutes = fallback_names(steps)
    wanted = [step for step in steps if step.name not in substitutes]
    if any(step.needs is not None for step in wanted):
        values = await graph_run.run_graph(context, wanted, frame, siblings=steps)
        return values[wanted[-1].name]
    value: Json = None
    for step in wanted:
        value = await run_step(context, step, frame, siblings=steps)
    return value


async def run_step(
    context: WorkflowContext, step: WorkflowStep, frame: Frame, *, siblings: Sequence[WorkflowStep] = ()
) -> Json:
    """Run one step in its place and record its value in the frame."""
    path = context.path(step.name)
    try:
        value = await _value(context, step, path, frame)
    except StepFailed as failure:
        value = await recovered(context, step, frame, failure, siblings)
    return frame.record(step.name, step.output, value)


async def _value(context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame) -> Json:
    if (step.type not in BLOCKS and not step.is_flow) or context.mocks.has(path):
        return value_of(await run_simple(context, step, path, frame, reserve(context, step)), path)
    return await blocks.run_block(context, step, path, frame)


async def recovered(
    context: WorkflowContext,
    step: WorkflowStep,
    frame: Frame,
    failure: StepFailed,
    siblings: Sequence[WorkflowStep],
) -> Json:
    """What the step's `on_error` makes of its failure: null, the fallback's value, or the failure itself."""
    if step.skips_errors:
        context.tally.skipped_failures += 1
        context.progress.log.write(
            "WARN", context.path(step.name), "failed; the run goes on (on_error: skip)"
        )
        return None
    if step.fallback is None:
        raise failure
    inner = frame.child(error=error_scope({**failure.error, "step": failure.path}))
    if isinstance(step.fallback, str):
        substitute = next(other for other in siblings if other.name == step.fallback)
        value = await run_step(context, substitute, inner, siblings=siblings)
        frame.record(substitute.name, substitute.output, value)
        return value
    return await run_steps(context.within(context.path(step.name)), step.fallback, inner)


class SequenceInterpreter:
    """The interpreter that blocks are given."""

    run_steps = staticmethod(run_steps)
    recovered = staticmethod(recovered)
