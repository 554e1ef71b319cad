"""Blocks that have `retry` or `timeout`: each attempt is a child run.

The parent draws, for each attempt: a number for the child, one for how the attempt ended, and, before the next, one for
the wait. What an attempt came to and when the next begins is decided inside of a step, so a crash changes neither the
count nor the end of a wait. The time of an attempt is counted by the executor that waits for it: one that goes on with
the run after a crash begins to count anew, as it does with the time of a simple step.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kurt.engine.interpreter import branch
from kurt.engine.interpreter.children import outcome_of
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import FAILED, SUCCEEDED, Envelope, StepFailed
from kurt.engine.interpreter.retrying import after_failure
from kurt.engine.language.schema import WAITS
from kurt.errors import StepError, StepTimeoutError
from kurt.runtime import durable
from kurt.runtime.ending import end_child
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep


@dataclass(slots=True)
class BlockAttempts:
    """The attempts of one block.

    Attributes:
        context: the run.
        step: the block.
        path: its path.
        frame: the names in scope.
        ended: how the attempts so far have ended.
    """

    context: WorkflowContext
    step: WorkflowStep
    path: str
    frame: Frame
    ended: list[Envelope] = field(default_factory=list[Envelope])

    async def run(self) -> Json:
        """Try until an attempt succeeds or none is left; the value of the block.

        Raises:
            StepFailed: the last attempt failed.
        """
        while True:
            number = len(self.ended) + 1
            child = await branch.start_attempt(self.context, self.step, self.path, self.frame, number)
            envelope = Envelope.from_json(await durable.Slot().run(self.path, lambda: self._end(child)))  # noqa: B023 - awaited at once
            self.ended.append(envelope)
            if envelope.state == SUCCEEDED:
                return await self._value(child)
            error = dict(envelope.error or {})
            if envelope.next_at is None:
                raise StepFailed(error.pop("step", self.path), error)
            await self._wait(envelope.next_at)

    async def _value(self, child: str) -> Json:
        outcome = await durable.outcome(child)
        if outcome is None:
            raise ValueError(f"{child} is not over")
        return branch.value_of(self.context, self.step, outcome)

    async def _wait(self, until: float) -> None:
        async def wait() -> JsonObject:
            await asyncio.sleep(max(0.0, until - time.time()))
            return {"ok": True}

        await durable.Slot().run(f"kurt.retry:{self.path}", wait)

    async def _end(self, child: str) -> JsonObject:
        """Wait for the end of an attempt, and decide what comes next."""
        started = time.monotonic()
        outcome = await self._outcome(child)
        attempt = len(self.ended) + 1
        # `kurt workflows retry` goes on with the last attempt, and allows as many more as the block had.
        facts: JsonObject = {"run_attempt": self.context.run["attempt"]}
        tried = 1 + sum((one.facts or {}).get("run_attempt") == facts["run_attempt"] for one in self.ended)
        kind, progress = self.step.type, self.context.progress
        if outcome.error is None:
            progress.step(
                self.path, SUCCEEDED, kind=kind, attempt=attempt, seconds=time.monotonic() - started
            )
            value = self.context.masker.mask_value(outcome.value["value"]) if self.context.mocks.on else None
            return Envelope(state=SUCCEEDED, kind=kind, attempt=attempt, facts=facts, value=value).to_json()
        failure = branch.failure(self.path, outcome.error)
        described, wait = after_failure(self.context, self.step, self.frame, failure.error, tried)
        state = FAILED if wait is None else "retrying"
        progress.step(self.path, state, kind=kind, attempt=attempt, error=described, wait=wait)
        next_at = None if wait is None else time.time() + wait
        error = {**described, "step": failure.path}
        envelope = Envelope(
            state=FAILED, kind=kind, attempt=attempt, error=error, next_at=next_at, facts=facts
        )
        return envelope.to_json()

    async def _outcome(self, child: str) -> durable.Outcome:
        """How the attempt ended; one that takes too long is ended here, with all that it has started."""
        limit = None if self.step.type in WAITS else self.step.timeout
        try:
            async with asyncio.timeout(limit):
                outcome = await outcome_of(child, rests=limit is None)
        except TimeoutError:
            return await self._stopped(child, limit or 0.0)
        if outcome.status != "CANCELLED":
            return outcome
        own = await durable.statuses([self.context.run_id])
        if own.get(self.context.run_id) == "CANCELLED":
            # The child was cancelled with this run, which is told so in a moment: that is no end of the attempt.
            await asyncio.Event().wait()
        if limit is not None:  # an executor died between ending the child and saying so
            return await self._stopped(child, limit)
        return durable.Outcome(outcome.status, error=StepError("it was cancelled", type="Cancelled"))

    async def _stopped(self, child: str, limit: float) -> durable.Outcome:
        error = StepTimeoutError(
            f"it took longer than its timeout of {limit:g} s", hint="raise `timeout:` of the step"
        )
        await end_child(child, error)
        outcome = await durable.outcome(child)
        return outcome or durable.Outcome("ERROR", error=error)
