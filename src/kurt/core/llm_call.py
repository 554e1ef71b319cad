"""One call of an `LLMStep`: its rows, its counters, its results."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kurt.core.answers import Metrics
from kurt.core.calling import Answer, Caller, RowError, milliseconds_since
from kurt.core.failures import text_of_error, type_of_error
from kurt.core.hooks import StepHooks, flattened, tell
from kurt.core.row_traces import RowTraces, labels_of
from kurt.core.rows import FAILED, KIND, LEFT_OUT, SKIPPED, SUCCEEDED, RowLeftError, Rows
from kurt.core.terms import caller_of
from kurt.core.tracking import ERROR, StepProgress, TrackingHooks, count, outcome
from kurt.errors import KurtError, StepError, UsageError
from kurt.llm.errors import BudgetSpentError
from kurt.runtime import serializer

if TYPE_CHECKING:
    from kurt.core.frames import Table
    from kurt.core.llm_steps import LLMStep
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import JsonObject

STATUS = {SUCCEEDED: "success", FAILED: "error", SKIPPED: "skipped"}
"""How a row's state is called in the frame."""


_SHOW_EVERY = 0.1
"""Seconds between two looks of watchers at the rows; the end is always shown."""


class Call:
    """The rows of a table on their way through a step.

    Args:
        step: what is done with each.
        table: the rows.
        batch: their step numbers, None outside of a workflow.
        priority: a column, or one number a row; low numbers begin first.

    Raises:
        UsageError: a column is missing, or would be overwritten.
    """

    def __init__(
        self,
        step: LLMStep,
        table: Table,
        batch: StepBatch | None,
        priority: str | Sequence[float] | None = None,
    ) -> None:
        _check_columns(step, table)
        self._step = step
        self._table = table
        wanted = step.input_columns if table.length else []
        self._columns = {name: table.cells(name) for name in wanted}
        self._order = _order(step, table, priority)
        self._hooks = [hook for hook in flattened(step.hooks) if not isinstance(hook, TrackingHooks)]
        self._tracking = next(
            (hook for hook in flattened(step.hooks) if isinstance(hook, TrackingHooks)), TrackingHooks()
        )
        self._progress: StepProgress | None = None
        self._shown_at = 0.0
        self._replayed = 0
        self._errors: list[str] = []
        self._successful = 0
        self._batch = batch
        self._traces = RowTraces(step.name, batch, labels_of(self._hooks))
        self._caller: Caller | None = None
        self._end: Exception | None = None
        self._no_more: str | None = None
        self._rows = Rows(
            step.name, concurrency=step.concurrency, work=self._work, batch=batch, stored=self._stored
        )

    async def rows(self) -> dict[int, JsonObject]:
        """Do the rows; their checkpoints by index."""
        step, total = self._step, self._table.length
        await self._begin_tracking()
        self._tell_now("on_start", {"step_name": step.name, "total": total, "concurrency": step.concurrency})
        try:
            await self._traces.prepare()
            self._caller = await caller_of(step, self._traces, max(1, min(step.concurrency, total)))
            envelopes = await self._rows.run(self._order)
            if self._end is not None:
                raise self._end
            return envelopes
        finally:
            if self._caller is not None:
                self._caller.close()
            facts = {
                "step_name": step.name,
                "successful": self._successful,
                "total": total,
                "errors": self._errors,
            }
            self._tell_now("on_end", facts)
            await self._end_tracking()

    async def _begin_tracking(self) -> None:
        if self._batch is None:
            return
        tracking = self._tracking
        self._progress = await _beside(
            lambda: tracking.tracker.start_step(
                self._step.name,
                step_type=tracking.step_type,
                total=self._table.length,
                call=self._batch and self._batch.call,
            )
        )

    async def _end_tracking(self) -> None:
        progress = self._progress
        if progress is None:
            return
        status = outcome(progress.success, progress.error)
        if progress.current < progress.total:
            status = ERROR
        message = None if self._end is None else text_of_error(self._end)
        tracker = self._tracking.tracker
        await _beside(
            lambda: tracker.end_step(progress.name, status=status, error=message, progress=progress)
        )

    async def _work(self, index: int) -> JsonObject:
        """One row: its checkpoint."""
        if self._no_more is not None:
            return await self._skipped(index, self._no_more, LEFT_OUT)
        started = time.perf_counter()
        prompt = ""
        try:
            cells: Any = {name: cells[index] for name, cells in self._columns.items()}
            if self._step.prepare_fn is not None:
                cells = self._step.prepare_fn(cells)
                if cells is None:
                    return await self._skipped(index, "prepare_fn left the row out")
            prompt = self._step.prompt.render(cells)
            assert self._caller is not None  # noqa: S101 - there are no rows before there is a caller
            answer = await self._caller(index, prompt)
        except RowError as error:
            if isinstance(error.cause, BudgetSpentError):
                return await self._spent(index, error.cause, error)
            if error.fatal and self._no_more is None:
                self._no_more = f"left out after row {index} failed: {error}"
            return await self._failed(index, prompt, error, milliseconds_since(started))
        except Exception as error:  # a row that cannot be asked for fails alone
            if isinstance(error, KurtError) and prompt:
                raise self._ended_by(error) from error
            failure = RowError(error, attempts=0)
            return await self._failed(index, prompt, failure, milliseconds_since(started))
        return await self._succeeded(index, prompt, answer, milliseconds_since(started))

    async def _spent(self, index: int, error: BudgetSpentError, row: RowError) -> JsonObject:
        """The budget refused a row: end the step, or leave the row out and go on with what there is.

        Raises:
            RowLeftError: the step ends; this row is for a later execution.
        """
        if not error.partial:
            raise self._ended_by(error) from error
        self._no_more = error.message
        envelope = await self._skipped(index, error.message, LEFT_OUT)
        return {**envelope, **_consumed(row.attempts, row.metrics)}

    def _ended_by(self, error: Exception) -> RowLeftError:
        """Begin no more rows; the step raises this error when those at work are over."""
        self._end = self._end or error
        self._rows.stop()
        return RowLeftError()

    async def _succeeded(self, index: int, prompt: str, answer: Answer, latency_ms: int) -> JsonObject:
        facts = {**_facts(latency_ms, prompt, answer.metrics), "result": serializer.decode(answer.fields)}
        await self._tell(index, "on_row_success", facts, "success", None)
        envelope = _envelope(SUCCEEDED, answer.attempts, answer.metrics, latency_ms)
        return {**envelope, "value": answer.fields}

    async def _failed(self, index: int, prompt: str, error: RowError, latency_ms: int) -> JsonObject:
        text = text_of_error(error.cause)
        facts = {**_facts(latency_ms, prompt, error.metrics), "error": error.cause}
        await self._tell(index, "on_row_error", facts, "error", text)
        envelope = _envelope(FAILED, error.attempts, error.metrics, latency_ms)
        return {**envelope, "error": {"type": type_of_error(error.cause), "message": text}}

    async def _skipped(self, index: int, reason: str, kind: str = "Skipped") -> JsonObject:
        await self._tell(index, None, {}, "skipped", reason)
        envelope = _envelope(SKIPPED, 0, Metrics(), 0)
        return {**envelope, "error": {"type": kind, "message": reason}}

    def _stored(self, index: int, envelope: JsonObject, replayed: bool) -> None:
        if self._progress is not None:
            self._show(index, envelope, replayed)
        if envelope["state"] == SUCCEEDED:
            self._successful += 1
        elif envelope["state"] == FAILED:
            self._errors.append(envelope["error"]["message"])
            if self._step.on_row_error == "fail":
                self._rows.stop()

    def _show(self, index: int, envelope: JsonObject, replayed: bool) -> None:
        """A row is over: count it for those who watch; a failure is logged once, with its text."""
        progress = self._progress
        assert progress is not None  # noqa: S101 - the caller has looked
        count(progress, STATUS[envelope["state"]], envelope.get("latency_ms"))
        self._replayed += replayed
        for name in ("tokens_in", "tokens_out", "cost"):
            if envelope.get(name) is not None:
                progress.facts[name] = progress.facts.get(name, 0) + envelope[name]
        tracker = self._tracking.tracker
        if time.monotonic() - self._shown_at > _SHOW_EVERY or progress.current == progress.total:
            self._shown_at = time.monotonic()
            progress.facts |= self._pace(progress)
            tracker.changed(progress)
        if envelope["state"] == FAILED and not replayed:
            error = envelope["error"]
            tracker.log(
                f"row {index} failed: {error['type']}: {error['message']}",
                level="error",
                step_name=self._step.name,
                metadata={"row": index, "attempts": envelope["attempt"]},
            )

    def _pace(self, progress: StepProgress) -> dict[str, Any]:
        """How fast rows are done in this execution, and what is left of the budget."""
        seconds = max(time.time() - progress.started_at, 0.001)
        found: dict[str, Any] = {"per_second": round((progress.current - self._replayed) / seconds, 1)}
        if self._caller is not None and self._caller.ledger is not None:
            usd, tokens = self._caller.ledger.left
            found |= {"budget_left_usd": usd, "budget_left_tokens": tokens}
        return found

    async def _tell(
        self, index: int, event: str | None, facts: dict[str, Any], status: str, error: str | None
    ) -> None:
        """Tell the hooks of a row, from within its step, so that they may set events and write to streams."""
        if not self._hooks:
            return
        common = {"step_name": self._step.name, "idx": index, "total": self._table.length}
        tales = [] if event is None else [(event, {**common, **facts})]
        tales.append(("on_result", {**common, "status": status, "error": error}))
        direct = [hook for hook in self._hooks if hook.direct]
        others = [hook for hook in self._hooks if not hook.direct]
        _tell_all(direct, tales)
        if others:
            context = contextvars.copy_context()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, lambda: context.run(_tell_all, others, tales))

    def _tell_now(self, event: str, facts: dict[str, Any]) -> None:
        tell(self._hooks, event, facts)

    def finished(self, envelopes: dict[int, JsonObject]) -> Any:
        """The table with the answers.

        Raises:
            StepError: a row failed, and the step is to fail with it.
        """
        step, length = self._step, self._table.length
        if step.on_row_error == "fail":
            _raise_first(step.name, envelopes)
        ordered = [envelopes[index] for index in range(length)]
        values = [serializer.decode(envelope.get("value") or {}) for envelope in ordered]
        more: dict[str, Any] = {
            step.output_prefix + name: [value.get(name) for value in values] for name in step.fields
        }
        status, error = control_columns(step)
        more[status] = [STATUS[envelope["state"]] for envelope in ordered]
        more[error] = [(envelope.get("error") or {}).get("message") for envelope in ordered]
        return self._table.extended(more, frozenset({status, error}))


def control_columns(step: LLMStep) -> tuple[str, str]:
    """Names of the columns that say what became of a row."""
    return f"{step.name}_status", f"{step.name}_error"


def _check_columns(step: LLMStep, table: Table) -> None:
    present = set(table.columns)
    if table.length and (missing := [name for name in step.input_columns if name not in present]):
        raise UsageError(
            f"step {step.name!r} needs the column {missing[0]!r}, which the table does not have",
            hint=f"it has: {', '.join(table.columns)}",
        )
    fields = [step.output_prefix + name for name in step.fields]
    controls = control_columns(step)
    for name in [*fields, *controls]:
        if name in present or (name in controls and name in fields):
            raise UsageError(
                f"the column {name!r} of step {step.name!r} is there already",
                hint=f"LLMStep(..., output_prefix={step.name + '_'!r}), or drop the column first",
            )


def _order(step: LLMStep, table: Table, priority: str | Sequence[float] | None) -> Sequence[int]:
    if priority is None:
        return range(table.length)
    numbers = table.cells(priority) if isinstance(priority, str) else priority
    if len(numbers) != table.length:
        raise UsageError(
            f"the priority of step {step.name!r} must be a column or one number for each of {table.length} rows"
        )
    return sorted(range(table.length), key=lambda index: (numbers[index], index))


async def _beside(action: Callable[[], Any]) -> Any:
    """Do what blocks for a moment in a thread, in the present context."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(action))


def _tell_all(hooks: list[StepHooks], tales: list[tuple[str, dict[str, Any]]]) -> None:
    for event, facts in tales:
        tell(hooks, event, facts)


def _facts(latency_ms: int, prompt: str, metrics: Metrics) -> dict[str, Any]:
    return {
        "latency_ms": latency_ms,
        "prompt": prompt,
        "tokens_in": metrics.tokens_in or 0,
        "tokens_out": metrics.tokens_out or 0,
        "cost": metrics.cost or 0.0,
    }


def _envelope(state: str, attempts: int, metrics: Metrics, latency_ms: int) -> JsonObject:
    """The beginning of a row's checkpoint."""
    return {
        "ok": state != FAILED,
        "state": state,
        "kind": KIND,
        "latency_ms": latency_ms,
        **_consumed(attempts, metrics),
    }


def _consumed(attempts: int, metrics: Metrics) -> JsonObject:
    """What a row's calls consumed, for its checkpoint."""
    return {
        "attempt": attempts,
        "tokens_in": metrics.tokens_in,
        "tokens_out": metrics.tokens_out,
        "cost": metrics.cost,
    }


def _raise_first(name: str, envelopes: dict[int, JsonObject]) -> None:
    for index in sorted(envelopes):
        error = envelopes[index].get("error")
        if error is not None and envelopes[index]["state"] == FAILED:
            raise StepError(
                f"row {index} of step {name!r} failed: {error['message']}",
                type=error["type"],
                details={"step": name, "row": index},
            )
