"""One attempt of a simple step: decide whether it runs, put values in, let its kind work, catch what goes wrong."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kurt.engine.expressions.evaluation import is_true
from kurt.engine.expressions.references import as_text, resolve
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import FAILED, SKIPPED, SUCCEEDED, Envelope, error_json, error_scope
from kurt.engine.kinds import Limits, StepContext, StepKind
from kurt.errors import ExpressionError, StepError, StepTimeoutError
from kurt.runtime import durable, gate, serializer
from kurt.runtime.routing import step_output
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import RetryPolicy, WorkflowStep


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is to be tried.

    Attributes:
        context: the run.
        step: the step as declared.
        path: its path.
        frame: the names in scope.
        passage: its way through the process's gate.
        number: 1 for the first attempt.
        not_before: when it may begin, seconds since the epoch.
    """

    context: WorkflowContext
    step: WorkflowStep
    path: str
    frame: Frame
    passage: gate.Passage
    number: int = 1
    not_before: float | None = None

    async def run(self) -> JsonObject:
        """Wait until it may begin, try, and give the envelope to be stored; only a cancelled run raises."""
        if self.not_before is not None:
            await asyncio.sleep(max(0.0, self.not_before - time.time()))
        async with self.passage.enter():
            return (await self._tried()).to_json()

    async def _tried(self) -> Envelope:
        try:
            if self.number == 1 and not self._wanted():
                self.context.progress.step(self.path, SKIPPED, kind=self.step.type)
                return Envelope(state=SKIPPED, kind=self.step.type)
            return await self._worked()
        except durable.Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure, stored as such
            return self._failed(error)

    def _wanted(self) -> bool:
        condition = self.step.when
        return condition is None or is_true(condition, self.frame.names)

    async def _worked(self) -> Envelope:
        progress, started = self.context.progress, time.monotonic()
        progress.step(self.path, "running", kind=self.step.type, attempt=self.number)
        value = await self._value()
        progress.step(
            self.path, SUCCEEDED, kind=self.step.type, attempt=self.number, seconds=time.monotonic() - started
        )
        return Envelope(state=SUCCEEDED, kind=self.step.type, attempt=self.number, value=value)

    async def _value(self) -> Json:
        """What the kind returns, as a replay will see it and without secrets."""
        kind = self._kind()
        fields = checked_fields(kind, self.step, self.frame)
        limit = self.timeout
        try:
            async with asyncio.timeout(limit):
                with step_output(self.context.progress.log, self.path):
                    value = await execute(kind, fields, self._step_context(limit))
        except TimeoutError as error:
            raise StepTimeoutError(
                f"it took longer than its timeout of {limit:g} s", hint="raise `timeout:` of the step"
            ) from error
        return serializer.round_trip(self.context.masker.mask_value(value))

    def _kind(self) -> StepKind:
        """The step's kind, as it is now: a plug-in may have gone since the file was checked.

        Raises:
            StepError: nobody knows it any more.
        """
        info = self.context.kinds.get(self.step.type)
        if info is None:
            raise StepError(
                f"no step kind {self.step.type!r} is known in this project",
                type="KindNotFound",
                hint="put its file into steps/, or install its package, then: kurt workflows retry ID",
            )
        return info.kind()

    @property
    def timeout(self) -> float | None:
        """Seconds that the attempt may take: the step's own, or the file's default."""
        return self.step.timeout_seconds(self.context.definition)

    def _step_context(self, limit: float | None) -> StepContext:
        context = self.context
        limits = self.step.limits_of(context.definition)
        return StepContext(
            run_id=context.root_id,
            path=self.path,
            attempt=self.number,
            project_root=context.project_root,
            env=step_env(context, self.step, self.frame),
            secrets=context.secrets,
            limits=Limits(timeout=limit, memory=limits.memory, cpu=limits.cpu),
            log=lambda level, text: context.progress.log.write(level, self.path, text),
            log_file=context.progress.log.path,
            emit_event=lambda key, value: durable.write_event(
                context.root_id, key, context.masker.mask_value(value)
            ),
            emit_stream=lambda key, value: durable.append_stream(
                context.root_id, key, context.masker.mask_value(value)
            ),
        )

    def _failed(self, error: BaseException) -> Envelope:
        described: JsonObject = self.context.masker.mask_value(error_json(error))
        try:
            wait = self._wait_after(described)
        except ExpressionError as wrong:
            wait, described = None, self._undecided(wrong, described)
        state = "retrying" if wait is not None else FAILED
        self.context.progress.step(
            self.path, state, kind=self.step.type, attempt=self.number, error=described, wait=wait
        )
        next_at = None if wait is None else time.time() + wait
        return Envelope(
            state=FAILED, kind=self.step.type, attempt=self.number, error=described, next_at=next_at
        )

    def _wait_after(self, error: JsonObject) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        policy = self.step.retry_of(self.context.definition)
        if policy is None or self.number >= policy.max_attempts:
            return None
        names = {**self.frame.names, "error": error_scope(error)}
        if policy.when is not None and not is_true(policy.when, names):
            return None
        return backoff(policy, self.number, error)

    def _undecided(self, wrong: ExpressionError, failure: JsonObject) -> JsonObject:
        """The failure of `retry.when`, with the failure about which it was to decide."""
        described: JsonObject = self.context.masker.mask_value(error_json(wrong))
        message = f"`retry.when` cannot be computed: {described['message']}; the step itself failed: {failure['message']}"
        return {**described, "message": message, "failure": failure}


def backoff(policy: RetryPolicy, failed: int, error: Mapping[str, Any]) -> float:
    """Seconds to wait after the `failed`-th attempt; a `retry_after` of the failure is honoured."""
    match policy.backoff:
        case "exponential":
            wait = policy.delay_seconds * 2 ** (failed - 1)
        case "linear":
            wait = policy.delay_seconds * failed
        case _:
            wait = policy.delay_seconds
    wait = min(wait, policy.max_delay_seconds)
    if policy.jitter:
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
    asked = error.get("retry_after")
    return max(wait, float(asked)) if isinstance(asked, (int, float)) else wait


def checked_fields(kind: StepKind, step: WorkflowStep, frame: Frame) -> Any:
    """The kind's own fields with every reference replaced, checked by its model."""
    given = {
        key: value if key in kind.verbatim else resolve(value, frame.names)
        for key, value in step.spec.items()
    }
    try:
        return kind.Model.model_validate(given)
    except ValidationError as error:
        faults = [f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}" for fault in error.errors()]
        raise StepError(
            f"its fields do not fit: {'; '.join(faults)}", type="FieldError", hint="look at the values put in"
        ) from None


def step_env(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> dict[str, str]:
    """Variables for child processes: the file's, the secrets, and the step's own."""
    own = {name: as_text(resolve(value, frame.names)) for name, value in step.env.items()}
    return {**context.env, **own}


async def execute(kind: StepKind, fields: Any, step: StepContext) -> Any:
    """Let the kind work: `async` here, anything else in a thread."""
    if inspect.iscoroutinefunction(kind.execute):
        return await kind.execute(fields, step)
    value = await asyncio.to_thread(kind.execute, fields, step)
    return await value if inspect.isawaitable(value) else value
