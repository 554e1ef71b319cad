"""`EmbeddingStep`: a vector for each row of a table, one checkpoint for each batch of rows."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kurt.core.calling import policy_of
from kurt.core.embeddings import bytes_to_embedding, embedding_to_bytes, maker_of, replacement
from kurt.core.failures import text_of_error, type_of_error
from kurt.core.frames import Table, open_table
from kurt.core.llm_steps import checked_name, positive, refuse_blocking
from kurt.core.loops import wait_for
from kurt.core.origin import calling_module
from kurt.core.prompts import text_of
from kurt.core.row_traces import RowTraces, labels_of
from kurt.core.rows import FAILED, KIND, SUCCEEDED, Rows, draw
from kurt.core.tracking import ERROR, WorkflowTracker, outcome
from kurt.errors import UsageError
from kurt.llm.errors import ModelError
from kurt.runtime import place, serializer

if TYPE_CHECKING:
    from kurt.core.calling import Retry
    from kurt.llm.types import EmbedResponse
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import JsonObject

_REMEDY = (
    "take it out of the step and call it in the body of the @DBOS.workflow() function, before or after the step;\n"
    "inside a step call generate_embeddings(texts)"
)


class EmbeddingStep:
    """Turns a text column into vectors; the default needs no model and makes lexical vectors.

    Args:
        name: durable name of the step.
        input_column: the texts.
        output_column: the vectors.
        max_chars: characters of a text that count.
        batch_size: texts in one call and one checkpoint.
        concurrency: calls at once.
        model: `provider/model`; by default what the settings say.
        as_bytes: vectors as float32 bytes rather than lists of numbers.
        retry: how often a failed call is repeated.
        module: workflow module for settings; that of the calling code by default.

    Attributes:
        name: its name.
        substitute: makes the vectors in place of the model, in tests.

    Raises:
        UsageError: the arguments do not fit together.
    """

    def __init__(  # noqa: PLR0913 - all of it is a choice of the author's, by name
        self,
        *,
        name: str,
        input_column: str,
        output_column: str = "embedding",
        max_chars: int = 1000,
        batch_size: int = 100,
        concurrency: int = 3,
        model: str | None = None,
        as_bytes: bool = True,
        retry: Retry = None,
        module: str | None = None,
    ) -> None:
        self.name = checked_name(name)
        self.input_column = input_column
        self.output_column = output_column
        self.max_chars = max_chars
        self.batch_size = positive(batch_size, name, "batch size")
        self.concurrency = positive(concurrency, name, "concurrency")
        self.model = model
        self.as_bytes = as_bytes
        self.retry = retry
        self.module = module or calling_module()
        self.substitute: Callable[[Sequence[str]], list[list[float]]] | None = None

    def run(self, df: Any) -> Any:
        """Make all vectors and wait for them.

        Args:
            df: a DataFrame of pandas or polars, an Arrow table, or a list of dicts; it stays as it is.

        Returns:
            a table of the same make with the vectors, `<name>_status` and `<name>_error`.

        Raises:
            UsageError: a column is missing or would be overwritten, or the caller is in a step.
        """
        place.refuse_step("EmbeddingStep.run", _REMEDY)
        refuse_blocking("EmbeddingStep.run", self.name)
        call = self._call(df)
        return call.finished(wait_for(call.rows()))

    async def run_async(self, df: Any) -> Any:
        """Make all vectors from an asynchronous workflow or function; otherwise as `run`."""
        place.refuse_step("EmbeddingStep.run_async", _REMEDY)
        call = self._call(df)
        return call.finished(await call.rows())

    def _call(self, df: Any) -> _Call:
        table = open_table(df)
        return _Call(self, table, draw(-(-table.length // self.batch_size)))


def embedding_step(**options: Any) -> EmbeddingStep:
    """Make an `EmbeddingStep`; the same arguments by name."""
    return EmbeddingStep(**options)


class _Call:
    """The rows of one call, in batches."""

    def __init__(self, step: EmbeddingStep, table: Table, batch: StepBatch | None) -> None:
        _check_columns(step, table)
        self._step = step
        self._table = table
        self._batch = batch
        cells = table.cells(step.input_column) if table.length else []
        self._texts = [text_of(cell)[: step.max_chars] for cell in cells]
        self._traces = RowTraces(step.name, batch, labels_of([]), operation="embeddings")
        self._tracker = WorkflowTracker()
        self._progress: Any = None
        self._embed: Callable[[list[str]], Any] | None = None
        self._model = step.model

    async def rows(self) -> dict[int, JsonObject]:
        """Do the batches; their checkpoints by index."""
        step = self._step
        if self._batch is not None:
            self._progress = self._tracker.start_step(
                step.name, step_type="embedding_step", total=len(self._texts), call=self._batch.call
            )
        await self._traces.prepare()
        self._embed, self._model = await asyncio.to_thread(_maker, step)
        rows = Rows(
            step.name,
            concurrency=step.concurrency,
            work=self._work,
            batch=self._batch,
            stored=self._stored,
        )
        try:
            return await rows.run(range(-(-len(self._texts) // step.batch_size)))
        finally:
            context = contextvars.copy_context()  # says whose log this is
            await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(self._end))

    def _end(self) -> None:
        if self._progress is not None:
            status = outcome(self._progress.success, self._progress.error)
            if self._progress.current < self._progress.total:
                status = ERROR
            WorkflowTracker(self._batch.run_id if self._batch else None).end_step(
                self._step.name, status=status, progress=self._progress
            )

    async def _work(self, index: int) -> JsonObject:
        """One batch: its checkpoint."""
        size = self._step.batch_size
        texts = self._texts[index * size : (index + 1) * size]
        policy, failures = policy_of(self._step.retry), 0
        while True:
            try:
                vectors = await self._attempt(index, texts)
            except ModelError as error:
                failures += 1
                delay = policy.delay(error, failures)
                if delay is None:
                    return _failed(error, failures)
                await asyncio.sleep(delay)
            else:
                stored = [embedding_to_bytes(vector) for vector in vectors]
                envelope: JsonObject = {"ok": True, "state": SUCCEEDED, "kind": KIND, "attempt": failures + 1}
                return {**envelope, "value": serializer.encode(stored)}

    async def _attempt(self, index: int, texts: list[str]) -> list[list[float]]:
        number = self._traces.first_attempt(index)
        started_at = time.time()
        prompt = f"{len(texts)} texts"
        await self._traces.started(index, number, prompt, self._model)
        assert self._embed is not None  # noqa: S101 - made before the first batch
        try:
            response = await self._embed(texts)
        except ModelError as error:
            await self._traces.call_over(index, number, prompt, started_at, None, error, model=self._model)
            raise
        await self._traces.call_over(index, number, prompt, started_at, response, None, model=self._model)
        return response.vectors

    def _stored(self, index: int, envelope: JsonObject, replayed: bool) -> None:
        del replayed
        if self._progress is None:
            return
        size = self._step.batch_size
        count = min(size, len(self._texts) - index * size)
        self._progress.current += count
        self._progress.success += count if envelope["state"] == SUCCEEDED else 0
        self._progress.error += count if envelope["state"] == FAILED else 0
        self._tracker.changed(self._progress)

    def finished(self, envelopes: dict[int, JsonObject]) -> Any:
        """The table with the vectors."""
        step, size = self._step, self._step.batch_size
        vectors: list[Any] = []
        status: list[str] = []
        errors: list[str | None] = []
        for index in range(len(envelopes)):
            envelope = envelopes[index]
            count = min(size, len(self._texts) - index * size)
            good = envelope["state"] == SUCCEEDED
            found = serializer.decode(envelope["value"]) if good else [None] * count
            vectors += [one if step.as_bytes or one is None else bytes_to_embedding(one) for one in found]
            status += ["success" if good else "error"] * count
            errors += [None if good else envelope["error"]["message"]] * count
        more = {step.output_column: vectors, f"{step.name}_status": status, f"{step.name}_error": errors}
        return self._table.extended(more, frozenset({f"{step.name}_status", f"{step.name}_error"}))


def _failed(error: ModelError, attempts: int) -> JsonObject:
    return {
        "ok": False,
        "state": FAILED,
        "kind": KIND,
        "attempt": attempts,
        "error": {"type": type_of_error(error), "message": text_of_error(error)},
    }


def _maker(step: EmbeddingStep) -> tuple[Callable[[list[str]], Any], str | None]:
    """What makes the vectors of a batch, and the model that is asked for them."""
    stand_in = step.substitute or replacement()
    from kurt.llm.types import EmbedRequest, EmbedResponse, Usage  # noqa: PLC0415 - beside their use

    if stand_in is not None:

        async def substituted(texts: list[str]) -> EmbedResponse:
            return EmbedResponse(stand_in(texts), Usage(0, 0), "mock", "mock", raw_cost=0.0)

        return substituted, step.model
    embedder, model = maker_of(step.name, model=step.model, module=step.module)

    async def embed(texts: list[str]) -> EmbedResponse:
        return await embedder.embed(EmbedRequest(model, tuple(texts)))

    return embed, model


def _check_columns(step: EmbeddingStep, table: Table) -> None:
    if table.length and step.input_column not in table.columns:
        raise UsageError(
            f"step {step.name!r} needs the column {step.input_column!r}, which the table does not have",
            hint=f"it has: {', '.join(table.columns)}",
        )
    for name in (step.output_column, f"{step.name}_status", f"{step.name}_error"):
        if name in table.columns:
            raise UsageError(
                f"the column {name!r} of step {step.name!r} is there already",
                hint="choose another output_column, or drop the column first",
            )
