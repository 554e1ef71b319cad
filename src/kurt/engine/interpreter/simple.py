"""Simple steps: one durable step each, with numbers reserved for every attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.engine.interpreter.attempt import Attempt
from kurt.engine.interpreter.context import NOT_RUN, Frame, WorkflowContext
from kurt.engine.interpreter.envelope import FAILED, SKIPPED, Envelope, StepFailed
from kurt.runtime import gate
from kurt.runtime.durable import Slot
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep

BLOCKS = frozenset({"parallel", "foreach", "switch", "workflow", "wait", "approval"})
"""Types that the interpreter itself carries out; every other type is a kind."""


def is_simple(step: WorkflowStep) -> bool:
    """True if the step needs nothing but its own step numbers, so that it may run beside others in one run."""
    return step.type not in BLOCKS and not step.is_flow and step.fallback is None


def reserve(context: WorkflowContext, step: WorkflowStep) -> list[Slot]:
    """Numbers for all attempts that the step may make; drawn whether or not they are used."""
    policy = step.retry_of(context.definition)
    return [Slot() for _ in range(policy.max_attempts if policy else 1)]


async def run_simple(
    context: WorkflowContext,
    step: WorkflowStep,
    path: str,
    frame: Frame,
    slots: list[Slot],
    *,
    earlier: str | None = None,
) -> Envelope:
    """Try until it succeeds or no attempt is left; the last envelope.

    Args:
        context: the run.
        step: the step.
        path: its path.
        frame: the names in scope.
        slots: a number for each attempt.
        earlier: a run in which the same step may have succeeded with the same values: then it is not repeated.
    """
    not_before: float | None = None
    envelope: Envelope | None = None
    for number, slot in enumerate(slots, start=1):
        with gate.current().passage() as passage:
            attempt = Attempt(context, step, path, frame, passage, number, not_before, earlier)
            envelope = Envelope.from_json(await slot.run(path, attempt.run))
        _count(context, envelope)
        if envelope.next_at is None:
            break
        not_before = envelope.next_at
    if envelope is None:
        raise ValueError("a step needs at least one number")
    return envelope


def _count(context: WorkflowContext, envelope: Envelope) -> None:
    """Tell the run's summary what an attempt has called, or did not need to do."""
    facts = envelope.facts or {}
    context.tally.cached += bool(facts.get("cached"))
    context.tally.model_calls += facts.get("calls", 0)


def value_of(envelope: Envelope, path: str) -> Json:
    """The value of a finished step, `NOT_RUN` of a skipped one.

    Raises:
        StepFailed: it failed.
    """
    if envelope.state == FAILED:
        raise StepFailed(path, envelope.error or {})
    return NOT_RUN if envelope.state == SKIPPED else envelope.value
