"""Steps that call a model for many rows: each row, or batch of rows, has a checkpoint of its own.

A step draws, between the number of its opening and that of its end, one number for each row, before the first row
begins; so neither the order in which rows end nor how many are at work decides a number.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kurt.core.rows import FAILED, SUCCEEDED, RowLeftError, Rows, draw
from kurt.engine.expressions.references import resolve
from kurt.engine.interpreter import row_retry, rows_told
from kurt.engine.interpreter.attempt import checked_values, kind_of
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import Envelope, StepFailed, error_json
from kurt.engine.interpreter.model_terms import open_calls
from kurt.engine.interpreter.rows_told import Consumed, RowCounts
from kurt.engine.interpreter.step_cache import opened_cache
from kurt.errors import KurtError, StepError
from kurt.llm.errors import BudgetSpentError, ModelError
from kurt.runtime import gate, serializer
from kurt.runtime.step_batch import StepBatch
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.core.completion import Calls
    from kurt.engine.interpreter.step_cache import StepCache
    from kurt.engine.kinds import StepKind
    from kurt.engine.language.schema import WorkflowStep
    from kurt.runtime.gate import Passage

_TOLD_EVERY = 0.1


def open_rows(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """Facts of the beginning: how many rows there are."""
    del context
    return {"total": len(items_of(step, frame))}


def items_of(step: WorkflowStep, frame: Frame) -> list[Json]:
    """The rows.

    Raises:
        StepError: they are no list.
    """
    items = resolve(step.spec["items"], frame.names)
    if not isinstance(items, list):
        raise StepError(
            f"`items` is not a list but {type(items).__name__}", type="ItemsError", hint="give a list of rows"
        )
    return items


class _GatedRows(Rows):
    """Rows that pass through the process's gate, so that one that is at work is awaited when the process ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.passages: dict[int, Passage] = {}

    async def _row(self, index: int) -> tuple[bool, JsonObject]:
        with gate.current().passage() as passage:
            self.passages[index] = passage
            try:
                return await super()._row(index)
            finally:
                self.passages.pop(index, None)


class RowRun(ABC):
    """The rows of one step; one object for each execution of it.

    Args:
        context: the run.
        step: the step.
        path: its path.
        frame: the names in scope.
        items: the rows.
    """

    def __init__(
        self, context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, items: list[Json]
    ) -> None:
        self.context = context
        self.step = step
        self.path = path
        self.frame = frame
        self.items = items
        self.kind: StepKind = kind_of(context, step)
        self.fields: Any = None
        self.calls: Calls | None = None
        self.cache: StepCache | None = None
        self.counts = RowCounts(len(items))
        self.envelopes: dict[int, JsonObject] = {}
        self._batch: StepBatch | None = None
        self._opening = asyncio.Lock()
        self._rows: _GatedRows | None = None
        self._end: Exception | None = None
        self._no_more: str | None = None
        self._told_at = 0.0

    @property
    def parts(self) -> int:
        """How many checkpoints there are: rows, or batches of rows."""
        return len(self.items)

    @abstractmethod
    async def prepare(self) -> None:
        """What is needed before the first row; not called where there is none."""

    @abstractmethod
    async def answer(self, index: int, fields: Any) -> Consumed:
        """The value of one part, with its own fields.

        Raises:
            ModelError: it has none.
        """

    @abstractmethod
    def fields_of(self, index: int) -> Any:
        """The fields of one part, with its values put in.

        Raises:
            StepError: they do not fit.
        """

    @abstractmethod
    def result(self, names: list[str] | None) -> Json:
        """The value of the step.

        Args:
            names: what `names` gave when the step ended.
        """

    def inputs(self, fields: Any) -> Json:
        """All that decides about the value of one part, for the cache."""
        return fields

    def names(self) -> list[str] | None:
        """Names of the fields of a row's answer, None where it has none."""
        return None

    def rows_in(self, index: int) -> int:
        """How many rows a part has."""
        del index
        return 1

    async def run(self) -> Json:
        """Do the rows; the value of the step.

        All numbers are drawn at once, the last one for the end: what the step came to is read there when the run is done
        again, so nothing that has changed since can change it.

        Raises:
            StepFailed: the step cannot go on, or a row failed and the file says to fail with it.
        """
        fault = self._read_fields()
        batch = draw(0 if fault else self.parts)
        closing = StepBatch(1)
        found, stored = await closing.recorded(0, self.path)
        if not found:
            ended = await self._ended(batch, fault)
            stored = await closing.run(0, self.path, ended)
        envelope = Envelope.from_json(stored)
        self._count(envelope.value or {})
        if envelope.state == FAILED:
            raise StepFailed(self.path, envelope.error or {})
        if batch is not None and not self.envelopes:
            await self._read_again(batch)
        return self.result((envelope.facts or {}).get("fields"))

    def _read_fields(self) -> Exception | None:
        """Put values into the fields that are the same for all rows; what is wrong with them."""
        try:
            self.fields = self._own_fields()
        except Exception as error:  # noqa: BLE001 - what is wrong with a step is its failure, stored as such
            return error
        return None

    async def _ended(
        self, batch: StepBatch | None, fault: Exception | None
    ) -> Callable[[], Awaitable[JsonObject]]:
        """Do what is left to do, and give what records how it ended."""
        started = time.monotonic()
        try:
            if fault is not None:
                raise fault
            if batch is not None:
                await self._all(batch)
        except KurtError as error:
            self._end = self._end or error
        error = None if self._end is None else self.context.masker.mask_value(error_json(self._end))
        envelope = self._closing(error)

        async def closed() -> JsonObject:
            if self.items:
                self.context.progress.log.write("INFO", self.path, self.counts.said())
            state = "cached" if self.counts.are_all_cached else envelope.state
            self.context.progress.step(
                self.path, state, kind=self.step.type, error=error, seconds=time.monotonic() - started
            )
            return envelope.to_json()

        return closed

    def _closing(self, error: JsonObject | None) -> Envelope:
        facts: JsonObject = {"fields": self.names()}
        if error is None and self.counts.are_all_cached:
            facts["cached"] = True
        return Envelope(
            state=FAILED if error is not None else SUCCEEDED,
            kind=self.step.type,
            error=error or self._first_failure(),
            facts=facts,
            value=self.counts.summary(),
        )

    def _first_failure(self) -> JsonObject | None:
        """What a step that went on says of its failed rows."""
        failed = [index for index in sorted(self.envelopes) if self.envelopes[index]["state"] == FAILED]
        if not failed:
            return None
        first = self.envelopes[failed[0]]["error"]
        message = f"{self.counts.failed} of {len(self.items)} rows failed, the first: {first['message']}"
        return {**first, "message": message}

    async def _all(self, batch: StepBatch) -> None:
        """Do the rows.

        Raises:
            KurtError: none of them can be done.
        """
        self.cache = opened_cache(self.context, self.step, self.kind)
        self._batch = batch
        await self.prepare()
        self._rows = _GatedRows(
            self.path,
            concurrency=self.fields.concurrency,
            work=self._work,
            batch=batch,
            stored=self._stored,
        )
        try:
            self.envelopes = await self._rows.run(range(self.parts))
        finally:
            if self.cache is not None:
                await self.cache.flush()

    async def opened(self) -> Calls:
        """What calls the model; opened when the first row needs it, since kept values need no model at all.

        Raises:
            ConfigError: a setting cannot be read.
            StorageError: what was spent before cannot be read.
        """
        async with self._opening:
            if self.calls is None:
                retry = row_retry.retry_of(self.context, self.step, self.frame)
                self.calls = await open_calls(
                    self.context, self.step, batch=self._batch, model=self.fields.model, retry=retry
                )
        return self.calls

    async def _read_again(self, batch: StepBatch) -> None:
        """The rows of a step that has ended before."""
        for index in range(self.parts):
            found, envelope = await batch.recorded(index, f"{self.path}[{index}]")
            if found:
                self.envelopes[index] = envelope

    def _own_fields(self) -> Any:
        """The fields that are the same for all rows."""
        apart = {"items", *self.kind.row_fields}
        given = {key: value for key, value in self.step.spec.items() if key not in apart}
        return checked_values(self.kind, {**self._stand_ins(), **given}, self.frame.names)

    def _stand_ins(self) -> JsonObject:
        """Values of fields that are required and differ from row to row."""
        return {}

    def row_values(self, index: int) -> JsonObject:
        """The fields that differ from row to row, with the row's values put in."""
        spec, names = self.step.spec, self.row_names(index)
        return {key: resolve(spec[key], names) for key in self.kind.row_fields if key in spec}

    def row_names(self, index: int) -> JsonObject:
        """The names in scope for one row."""
        item = self.items[index]
        return {**self.frame.names, "item": item, self.fields.variable: item, "index": index}

    async def _work(self, index: int) -> JsonObject:
        assert self._rows is not None  # noqa: S101 - it is they who ask
        async with self._rows.passages[index].enter():
            return await self._row(index)

    async def _row(self, index: int) -> JsonObject:
        """One part: its checkpoint."""
        if self._no_more is not None:
            return rows_told.left_out(self._no_more)
        started = time.perf_counter()
        try:
            found = await self.found(index)
        except BudgetSpentError as error:
            return self._spent(error)
        except (ModelError, StepError) as error:
            return self._failed(error, started)
        except KurtError as error:
            raise self._ended_by(error) from error
        except Exception as error:  # noqa: BLE001 - a class of the project may raise anything: that row fails
            return self._failed(error, started)
        value = serializer.round_trip(self.context.masker.mask_value(found.value))
        return rows_told.succeeded(replace(found, value=value), started)

    async def found(self, index: int) -> Consumed:
        """The value of one part: what an earlier run has kept, else what the model says.

        Raises:
            ModelError: it has none.
            StepError: its fields do not fit.
            KurtError: nothing can be asked.
        """
        fields = self.fields_of(index)
        if self.cache is None:
            return await self.answer(index, fields)
        key = await self.cache.key(self.inputs(fields), self.row_names(index))
        kept = await self.cache.get(key)
        if kept is not None:
            return Consumed(kept.value, attempts=0, cached=1)
        found = await self.answer(index, fields)
        self.cache.put(key, self.context.masker.mask_value(found.value))
        return found

    def _spent(self, error: BudgetSpentError) -> JsonObject:
        """The budget refused a row: end the step, or leave the rest out and go on with what there is.

        Raises:
            RowLeftError: the step ends; this row is for a later execution.
        """
        if not error.partial:
            raise self._ended_by(error) from error
        if self._no_more is None:
            self.context.progress.log.write("WARN", self.path, error.message)
        self._no_more = error.message
        return rows_told.left_out(error.message)

    def _ended_by(self, error: Exception) -> RowLeftError:
        """Begin no more rows; the step fails with this error when those at work are over."""
        self._end = self._end or error
        if self._rows is not None:
            self._rows.stop()
        return RowLeftError()

    def _failed(self, error: Exception, started: float) -> JsonObject:
        described: JsonObject = self.context.masker.mask_value(error_json(error))
        attempts = getattr(error, "attempts", ())
        if getattr(error, "fatal", False) and self._no_more is None:
            self._no_more = f"left out after another row failed: {described['message']}"
        return rows_told.failed(described, attempts, started)

    def _stored(self, index: int, envelope: JsonObject, replayed: bool) -> None:
        """A part is over: count it, show it, log a failure."""
        state = envelope["state"]
        self.counts.add(envelope, self.rows_in(index), replayed=replayed)
        if state == FAILED and not replayed:
            error = envelope["error"]
            text = f"failed: {error['type']}: {error['message']}"
            self.context.progress.log.write("ERROR", f"{self.path}[{index}]", text)
        if state == FAILED and self.fields.on_row_error == "fail":
            self._end = self._end or _RowFailedError(index, envelope["error"])
            if self._rows is not None:
                self._rows.stop()
        self._tell()

    def _tell(self) -> None:
        done, total = self.counts.done, self.counts.total
        if done < total and time.monotonic() - self._told_at < _TOLD_EVERY:
            return
        self._told_at = time.monotonic()
        ledger = None if self.calls is None else self.calls.ledger
        left = (None, None) if ledger is None else ledger.left
        self.context.progress.items(
            self.path, done=done, failed=self.counts.failed, total=total, note=self.counts.note(left)
        )

    def _count(self, summary: JsonObject) -> None:
        """Tell the run's summary what the step lived with, and what it did not do again."""
        tally = self.context.tally
        failed, skipped = summary.get("failed", 0), summary.get("skipped", 0)
        tally.rows_failed += failed
        tally.rows_skipped += skipped
        tally.rows += summary.get("rows", 0) if failed or skipped else 0
        tally.cached += summary.get("cached", 0)
        tally.model_calls += summary.get("calls", 0)


class _RowFailedError(StepError):
    """A row failed, and the file says that the step fails with it."""

    def __init__(self, index: int, error: JsonObject) -> None:
        details = {key: item for key, item in error.items() if key not in ("type", "message", "hint")}
        super().__init__(
            f"row {index} failed: {error['message']}",
            hint=error.get("hint"),
            type=str(error["type"]),
            details={**details, "row": index},
        )
