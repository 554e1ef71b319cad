"""The kind `embed`: vectors of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from kurt.engine import asking
from kurt.engine.expressions.references import as_text
from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.llm.errors import ModelError
from kurt.types import Json


class EmbedFields(Fields):
    """Fields of an `embed` step."""

    text: Json = Field(
        default="${item}",
        description="The text; with `items` that of each row, by default the row itself.",
        examples=["${page.text}", "${item.title}"],
    )
    model: str | None = Field(
        default=None,
        description="The model as `provider/model`; without it the setting `EMBEDDING.MODEL`, and where that is not "
        "set vectors made from words alone, which need no key and know nothing of meaning.",
        examples=["openai/text-embedding-3-small"],
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Length of the vectors, where the model lets one choose.",
        examples=[256],
    )
    max_chars: int = Field(
        default=8000, ge=1, description="Characters of a text that count.", examples=[1000]
    )
    items: Json = Field(
        default=None,
        description="Rows: a list, or a reference to one. The value is then a list of vectors in their order.",
        examples=["${pages}"],
    )
    variable: str = Field(
        default="item",
        alias="as",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the row in `text`.",
        examples=["page"],
    )
    batch_size: int = Field(
        default=100, ge=1, le=2048, description="Texts in one call, and in one checkpoint.", examples=[50]
    )
    concurrency: int = Field(default=3, ge=1, le=1000, description="Calls at once.", examples=[10])
    on_row_error: Literal["record", "fail"] = Field(
        default="fail",
        description="`fail` fails the step with the first call that fails, `record` gives null for the vectors of its rows.",
        examples=["record"],
    )


class EmbedKind(StepKind):
    """Makes vectors; its value is one, or with `items` a list of them."""

    type = "embed"
    Model = EmbedFields
    calls_models: ClassVar[bool] = True
    model_setting: ClassVar[Literal["LLM", "EMBEDDING"]] = "EMBEDDING"
    row_fields: ClassVar[frozenset[str]] = frozenset({"text"})

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:
        """Faults of what has or needs rows."""
        if "items" not in spec:
            faults = [
                f"`{key}` is about rows, and the step has no `items`. Add `items`, or remove `{key}`"
                for key in ("as", "batch_size", "concurrency", "on_row_error")
                if key in spec
            ]
            return (
                faults
                if "text" in spec
                else [*faults, "an `embed` step needs `text` or `items`. Add `text:`"]
            )
        return []

    def cache_inputs(self, fields: EmbedFields, context: StepContext) -> Json:
        """The text as far as it counts, and the length of the vector."""
        del context
        return embed_inputs(as_text(fields.text)[: fields.max_chars], fields.dimensions)

    async def execute(self, fields: EmbedFields, context: StepContext) -> Json:
        """Make one vector.

        Raises:
            StepError: the model failed, see the kind `llm`.
            StepSkippedError: the budget is spent, and its file says to go on.
        """
        calls = await context.models(model=fields.model)
        text = as_text(fields.text)[: fields.max_chars]
        try:
            made = await calls.embed([text], dimensions=fields.dimensions, seconds=context.limits.timeout)
        except ModelError as error:
            raise asking.failure_of(error) from error
        context.log("INFO", f"{made.model}: a vector of {len(made.vectors[0])} numbers")
        return asking.rounded(made.vectors[0])


def embed_inputs(text: str, dimensions: int | None) -> Json:
    """All that decides about a vector, apart from the model."""
    return {"text": text, "dimensions": dimensions}
