"""What the kinds `llm` and `embed` do with rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kurt.engine import asking
from kurt.engine.expressions.references import as_text
from kurt.engine.interpreter.attempt import checked_values
from kurt.engine.interpreter.model_rows import RowRun, items_of
from kurt.engine.interpreter.rows_told import Consumed, status_of
from kurt.engine.steps.embed import embed_inputs
from kurt.engine.steps.llm import llm_inputs
from kurt.llm.embeddings import LEXICAL
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.interpreter.context import Frame, WorkflowContext
    from kurt.engine.language.schema import WorkflowStep


async def run_rows(context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame) -> Json:
    """Carry out an opened step that works on rows; its value.

    Raises:
        StepFailed: it failed.
    """
    return await _ROWS[step.type](context, step, path, frame, items_of(step, frame)).run()


class _LlmRows(RowRun):
    """A question for each row."""

    _form: asking.Form = asking.Form()

    async def prepare(self) -> None:
        self._form = await asking.form_of(self.fields.answer_schema, self.context.project_root)

    def _stand_ins(self) -> JsonObject:
        return {"prompt": ""}

    def fields_of(self, index: int) -> Any:
        same = {
            key: value for key, value in self.step.spec.items() if key not in ("items", "prompt", "system")
        }
        given = {**self.row_values(index), **same}
        return checked_values(self.kind, given, self.frame.names, done=self.kind.row_fields)

    def inputs(self, fields: Any) -> Json:
        return llm_inputs(fields, self._form.schema)

    async def answer(self, index: int, fields: Any) -> Consumed:
        question = asking.Question(
            prompt=fields.prompt,
            system=fields.system,
            params=fields.request,
            seconds=self.step.timeout_seconds(self.context.definition),
        )
        answer = await asking.ask(await self.opened(), question, self._form, row=index)
        responses = [one.response for one in answer.attempts if one.response is not None]
        costs = [one.cost.amount for one in answer.attempts if one.cost.amount is not None]
        return Consumed(
            self._form.value(answer),
            attempts=len(answer.attempts),
            tokens=sum(response.usage.total for response in responses),
            cost=sum(costs) if costs else None,
        )

    def names(self) -> list[str] | None:
        return self._form.fields

    def result(self, names: list[str] | None) -> Json:
        return [self._shown(index, names) for index in range(len(self.items))]

    def _shown(self, index: int, names: list[str] | None) -> JsonObject:
        """One row: the item, the answer's fields, and what became of it."""
        envelope = self.envelopes[index]
        value = envelope.get("value")
        fields = {"answer": value} if names is None else {**dict.fromkeys(names), **(value or {})}
        error = (envelope.get("error") or {}).get("message")
        prefix = self.fields.prefix
        answer = {f"{prefix}{name}": field for name, field in fields.items()}
        return {"item": self.items[index], **answer, "status": status_of(envelope), "error": error}


class _EmbedRows(RowRun):
    """A vector for each row, a checkpoint for each batch of them."""

    @property
    def parts(self) -> int:
        return -(-len(self.items) // self._size)

    @property
    def _size(self) -> int:
        return self.fields.batch_size

    def _places(self, index: int) -> range:
        return range(index * self._size, min((index + 1) * self._size, len(self.items)))

    def rows_in(self, index: int) -> int:
        return len(self._places(index))

    async def prepare(self) -> None:
        return None

    def fields_of(self, index: int) -> list[str]:
        limit = self.fields.max_chars
        return [self._text(place)[:limit] for place in self._places(index)]

    def _text(self, place: int) -> str:
        return as_text(self.row_values(place).get("text", self.items[place]))

    async def answer(self, index: int, fields: Any) -> Consumed:
        made = await (await self.opened()).embed(
            fields,
            dimensions=self.fields.dimensions,
            seconds=self.step.timeout_seconds(self.context.definition),
            row=index,
        )
        return Consumed(
            [asking.rounded(vector) for vector in made.vectors],
            attempts=int(made.provider != LEXICAL),
            tokens=made.usage.total,
            cost=made.raw_cost,
        )

    async def found(self, index: int) -> Consumed:
        """The vectors of one batch; kept ones are kept text by text, so that one more row changes nothing for others."""
        texts = self.fields_of(index)
        if self.cache is None:
            return await self.answer(index, texts)
        keys = [
            await self.cache.key(embed_inputs(text, self.fields.dimensions), self.row_names(place))
            for place, text in zip(self._places(index), texts, strict=True)
        ]
        kept = dict(zip(keys, await asyncio.gather(*map(self.cache.get, keys)), strict=True))
        new = {key: text for key, text in zip(keys, texts, strict=True) if kept[key] is None}
        cached = sum(kept[key] is not None for key in keys)
        found = await self.answer(index, list(new.values())) if new else Consumed([], attempts=0)
        made = dict(zip(new, found.value, strict=True))
        for key, vector in made.items():
            self.cache.put(key, vector)
        vectors = [made[key] if (old := kept[key]) is None else old.value for key in keys]
        return replace(found, value=vectors, cached=cached)

    def result(self, names: list[str] | None) -> Json:
        del names
        vectors: list[Json] = []
        for index in range(self.parts):
            vectors += self.envelopes[index].get("value") or [None] * self.rows_in(index)
        return vectors


_ROWS: dict[str, type[RowRun]] = {"llm": _LlmRows, "embed": _EmbedRows}
