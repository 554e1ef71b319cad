"""One attempt of a simple step: decide whether it runs, put values in, let its kind work, catch what goes wrong."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kurt.core.failures import text_of_error
from kurt.engine.expressions.evaluation import is_true
from kurt.engine.expressions.references import as_text, resolve
from kurt.engine.interpreter import mocks
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import CACHED, FAILED, SKIPPED, SUCCEEDED, Envelope
from kurt.engine.interpreter.model_terms import opener
from kurt.engine.interpreter.retrying import after_failure
from kurt.engine.interpreter.step_cache import inputs_of, opened_cache
from kurt.engine.kinds import Limits, StepContext, StepKind, StepSkippedError
from kurt.errors import KurtError, StepError, StepTimeoutError
from kurt.runtime import durable, gate, serializer
from kurt.runtime.mocked import VARIABLE
from kurt.runtime.routing import step_output
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.core.completion import Calls
    from kurt.engine.kept_values import Kept
    from kurt.engine.language.schema import WorkflowStep


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
        earlier: a run in which the same step may have succeeded with the same values: that is kept, not repeated.
        calls: what it has opened to call models.
    """

    context: WorkflowContext
    step: WorkflowStep
    path: str
    frame: Frame
    passage: gate.Passage
    number: int = 1
    not_before: float | None = None
    earlier: str | None = None
    calls: list[Calls] = field(default_factory=list["Calls"])

    async def run(self) -> JsonObject:
        """Wait until it may begin, try, and give the envelope to be stored; only a cancelled run raises."""
        if self.not_before is not None:
            await asyncio.sleep(max(0.0, self.not_before - time.time()))
        if self.earlier is not None and (kept := await self._kept(self.earlier)) is not None:
            return kept
        async with self.passage.enter():
            return (await self._tried()).to_json()

    async def _kept(self, earlier: str) -> JsonObject | None:
        """What the step has stored in an earlier attempt of the block around it, if it succeeded there."""
        stored = (await durable.checkpoints(earlier, [self.path])).get(self.path, [])
        if not stored or stored[-1]["state"] == FAILED:
            return None
        self.context.progress.log.write("INFO", self.path, "kept from an earlier attempt")
        return stored[-1]

    async def _tried(self) -> Envelope:
        try:
            if self.number == 1 and not self._wanted():
                self.context.progress.step(self.path, SKIPPED, kind=self.step.type)
                return Envelope(state=SKIPPED, kind=self.step.type)
            outcome = self.context.mocks.outcome(self.path, self.number)
            return await self._worked() if outcome is None else self._pretended(outcome)
        except durable.Cancelled:
            raise
        except StepSkippedError as skipped:
            return self._skipped(str(skipped))
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure, stored as such
            if getattr(error, "partial", False):  # a budget is spent whose file says to go on
                return self._skipped(text_of_error(error))
            return self._failed(error)

    def _skipped(self, reason: str) -> Envelope:
        """The kind has nothing to do, or is not allowed to."""
        progress = self.context.progress
        progress.log.write("WARN", self.path, reason)
        progress.step(self.path, SKIPPED, kind=self.step.type)
        return Envelope(state=SKIPPED, kind=self.step.type, attempt=self.number, facts={"reason": reason})

    def _wanted(self) -> bool:
        condition = self.step.when
        return condition is None or is_true(condition, self.frame.names)

    async def _worked(self) -> Envelope:
        progress, started = self.context.progress, time.monotonic()
        progress.step(self.path, "running", kind=self.step.type, attempt=self.number)
        value, kept = await self._value()
        progress.step(
            self.path,
            SUCCEEDED if kept is None else CACHED,
            kind=self.step.type,
            attempt=self.number,
            seconds=time.monotonic() - started,
        )
        facts = self._calls_made()
        if kept is not None:
            facts |= {"cached": True, "kept_by": kept.run_id, "kept_at": kept.at}
        return Envelope(
            state=SUCCEEDED, kind=self.step.type, attempt=self.number, facts=facts or None, value=value
        )

    def _calls_made(self) -> JsonObject:
        """How many calls of models it has made, if any."""
        made = sum(calls.made for calls in self.calls)
        return {"calls": made} if made else {}

    def _pretended(self, outcome: JsonObject) -> Envelope:
        """The attempt of a step that the run only pretends: nothing is done.

        Raises:
            StepError: it is to fail, or what it would be given does not fit.
        """
        progress = self.context.progress
        progress.step(self.path, "running", kind=self.step.type, attempt=self.number, mocked=True)
        facts = mocks.facts(self.context, self.step, self.frame)
        value = serializer.round_trip(self.context.masker.mask_value(mocks.value_of(outcome)))
        progress.step(self.path, SUCCEEDED, kind=self.step.type, attempt=self.number, mocked=True)
        return Envelope(state=SUCCEEDED, kind=self.step.type, attempt=self.number, facts=facts, value=value)

    def _mock_facts(self) -> JsonObject:
        """What is stored of a pretended attempt that failed, which may be because its fields cannot be known."""
        try:
            return mocks.facts(self.context, self.step, self.frame)
        except KurtError:
            return {"mocked": True}

    async def _value(self) -> tuple[Json, Kept | None]:
        """The step's value, and from where it is if an earlier run has kept it."""
        kind = kind_of(self.context, self.step)
        fields = checked_fields(kind, self.step, self.frame)
        step = self._step_context(self.timeout)
        cache = opened_cache(self.context, self.step, kind)
        if cache is None:
            return await self._made(kind, fields, step), None
        key = await cache.key(await inputs_of(kind, fields, step), self.frame.names)
        if (kept := await cache.get(key)) is not None:
            return kept.value, kept
        value = await self._made(kind, fields, step)
        cache.put(key, value)
        await cache.flush()
        return value, None

    async def _made(self, kind: StepKind, fields: Any, step: StepContext) -> Json:
        """What the kind returns, as a replay will see it and without secrets."""
        limit = step.limits.timeout
        try:
            async with asyncio.timeout(limit):
                with step_output(self.context.progress.log, self.path):
                    value = await execute(kind, fields, step)
        except TimeoutError as error:
            raise StepTimeoutError(
                f"it took longer than its timeout of {limit:g} s", hint="raise `timeout:` of the step"
            ) from error
        return serializer.round_trip(self.context.masker.mask_value(value))

    @property
    def timeout(self) -> float | None:
        """Seconds that the attempt may take: the step's own, or the file's default."""
        return self.step.timeout_seconds(self.context.definition)

    def _step_context(self, limit: float | None) -> StepContext:
        context = self.context
        limits = context.limits_of(self.step)
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
            models=opener(context, self.step, self.calls),
        )

    def _failed(self, error: BaseException) -> Envelope:
        described, wait = after_failure(self.context, self.step, self.frame, error, self.number)
        state = "retrying" if wait is not None else FAILED
        mocked = self.context.mocks.has(self.path)
        self.context.progress.step(
            self.path,
            state,
            kind=self.step.type,
            attempt=self.number,
            error=described,
            wait=wait,
            mocked=mocked,
        )
        return Envelope(
            state=FAILED,
            kind=self.step.type,
            attempt=self.number,
            error=described,
            next_at=None if wait is None else time.time() + wait,
            facts=self._mock_facts() if mocked else self._calls_made() or None,
        )


def kind_of(context: WorkflowContext, step: WorkflowStep) -> StepKind:
    """A step's kind, as it is now: a plug-in may have gone since the file was checked.

    Raises:
        StepError: nobody knows it any more.
    """
    info = context.kinds.get(step.type)
    if info is None:
        raise StepError(
            f"no step kind {step.type!r} is known in this project",
            type="KindNotFound",
            hint="put its file into steps/, or install its package, then: kurt workflows retry ID",
        )
    return info.kind()


def checked_fields(kind: StepKind, step: WorkflowStep, frame: Frame) -> Any:
    """The kind's own fields with every reference replaced, checked by its model."""
    return checked_values(kind, step.spec, frame.names)


def checked_values(
    kind: StepKind, spec: JsonObject, names: JsonObject, *, done: frozenset[str] = frozenset()
) -> Any:
    """Fields with every reference replaced, checked by the kind's model.

    Args:
        kind: the kind.
        spec: the fields.
        names: the names in scope.
        done: fields in which that was done already.

    Raises:
        StepError: they do not fit.
    """
    kept = kind.verbatim | done
    given = {key: value if key in kept else resolve(value, names) for key, value in spec.items()}
    try:
        return kind.Model.model_validate(given)
    except ValidationError as error:
        faults = [f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}" for fault in error.errors()]
        raise StepError(
            f"its fields do not fit: {'; '.join(faults)}", type="FieldError", hint="look at the values put in"
        ) from None


def step_env(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> dict[str, str]:
    """Variables for child processes: the file's, the secrets, those of the blocks around the step, and its own.

    Whether models are mocked is the run's affair, whatever the executor was started with.
    """
    mocked = (
        {VARIABLE: "1" if context.mocks.llm else ""} if context.mocks.llm or VARIABLE in os.environ else {}
    )
    return {**context.outside.env, **context.env, **context.around.env, **own_env(step, frame), **mocked}


def own_env(step: WorkflowStep, frame: Frame) -> dict[str, str]:
    """The variables that a step itself declares."""
    return {name: as_text(resolve(value, frame.names)) for name, value in step.env.items()}


async def execute(kind: StepKind, fields: Any, step: StepContext) -> Any:
    """Let the kind work: `async` here, anything else in a thread."""
    if inspect.iscoroutinefunction(kind.execute):
        return await kind.execute(fields, step)
    value = await asyncio.to_thread(kind.execute, fields, step)
    return await value if inspect.isawaitable(value) else value
