"""The kind `llm`: one question to a model, or one for each row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from kurt.engine import asking
from kurt.engine.kinds import Fields, Finding, StepContext, StepKind
from kurt.llm.errors import ModelError
from kurt.types import Json, JsonObject


class LlmFields(Fields):
    """Fields of an `llm` step."""

    prompt: Json = Field(
        description="What the model is asked; values are put in for references, mappings and lists as JSON.",
        examples=["Summarise in one sentence: ${page.text}"],
    )
    system: Json = Field(
        default=None,
        description="What the model is told beforehand.",
        examples=["You write for engineers."],
    )
    model: str | None = Field(
        default=None,
        description="The model as `provider/model`; without it the setting `LLM.MODEL`, or that of the workflow or the step.",
        examples=["openai/gpt-4.1-mini"],
    )
    answer_schema: Json = Field(
        default=None,
        alias="schema",
        description="Form of the answer: a JSON Schema, or `module:Class` of a pydantic model of the project; "
        "without it the answer is a text.",
        examples=[
            {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
            "schemas:Summary",
        ],
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the answer.", examples=[0.2]
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Limit of the answer.", examples=[500])
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields of the provider's own request.",
        examples=[{"seed": 7, "reasoning_effort": "low"}],
    )
    items: Json = Field(
        default=None,
        description="Rows: a list, or a reference to one. The model is then asked for each of them; `prompt` and "
        "`system` may refer to `item` and `index`.",
        examples=["${pages}"],
    )
    variable: str = Field(
        default="item",
        alias="as",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the row in `prompt` and `system`.",
        examples=["page"],
    )
    concurrency: int = Field(
        default=3, ge=1, le=1000, description="Rows for which the model is asked at once.", examples=[10]
    )
    on_row_error: Literal["record", "fail"] = Field(
        default="record",
        description="`record` keeps a failed row with its error and goes on, `fail` fails the step.",
        examples=["fail"],
    )
    prefix: str = Field(
        default="",
        description="Put before the names of the answer's fields in each row.",
        examples=["ai_"],
    )

    @property
    def request(self) -> JsonObject:
        """What is said of each request beside its words."""
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {**self.params, **{name: value for name, value in own.items() if value is not None}}


ROW_FIELDS = frozenset({"prompt", "system"})
CONTROLS = ("item", "status", "error")
"""What each row has beside the answer."""

_ONLY_ROWS = ("as", "concurrency", "on_row_error", "prefix")


class LlmKind(StepKind):
    """Asks a model; its value is the answer, or with `items` a list of rows with `item`, the answer, `status` and `error`."""

    type = "llm"
    Model = LlmFields
    verbatim = frozenset({"schema"})
    calls_models: ClassVar[bool] = True
    row_fields: ClassVar[frozenset[str]] = ROW_FIELDS

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:
        """Faults of `schema` and of what only rows have."""
        return [*_schema_faults(spec.get("schema")), *_row_faults(spec)]

    @classmethod
    def check_project(cls, spec: Mapping[str, Any], root: Path) -> list[Finding]:
        """Whether the project has the class that `schema` names; its files are read, not run."""
        schema = spec.get("schema")
        if not isinstance(schema, str) or asking.class_fault(schema) is not None:
            return []
        return list(asking.class_findings(schema, root))

    def cache_inputs(self, fields: LlmFields, context: StepContext) -> Json:
        """The request; of a class of the project its schema as it is now."""
        return llm_inputs(fields, asking.form_here(fields.answer_schema, context.project_root).schema)

    async def execute(self, fields: LlmFields, context: StepContext) -> Json:
        """Ask once.

        Raises:
            StepError: the model did not answer: `RateLimited`, `ServerError`, `Timeout`, `ConnectionCut`, `QuotaSpent`,
                `Refused`, `BudgetSpent`; its answer is no JSON (`NotJson`) or breaks the schema (`BreaksSchema`).
            StepSkippedError: the budget is spent, and its file says to go on.
        """
        form = await asking.form_of(fields.answer_schema, context.project_root)
        calls = await context.models(model=fields.model)
        question = asking.Question(
            prompt=fields.prompt,
            system=fields.system,
            params=fields.request,
            seconds=context.limits.timeout,
        )
        try:
            answer = await asking.ask(calls, question, form)
        except ModelError as error:
            raise asking.failure_of(error) from error
        context.log("INFO", asking.said_of(answer))
        return form.value(answer)


def _schema_faults(schema: Json) -> list[str]:
    if isinstance(schema, dict):
        fault = asking.schema_fault(schema)
        remedy = "Write, for example, {type: object, properties: {title: {type: string}}, required: [title]}"
        return [] if fault is None else [f"{fault}. {remedy}"]
    if isinstance(schema, str):
        fault = asking.class_fault(schema)
        return [] if fault is None else [f"{fault}. Write a JSON Schema, or module:Class of the project"]
    return [] if schema is None else ["`schema` must be a mapping or module:Class. Write a JSON Schema"]


def _row_faults(spec: Mapping[str, Any]) -> list[str]:
    if "items" not in spec:
        return [
            f"`{key}` is about rows, and the step has no `items`. Add `items`, or remove `{key}`"
            for key in _ONLY_ROWS
            if key in spec
        ]
    schema, prefix = spec.get("schema"), spec.get("prefix", "")
    faults: list[str] = []
    if isinstance(schema, dict):
        taken = [
            f"{prefix}{name}" for name in schema.get("properties") or () if f"{prefix}{name}" in CONTROLS
        ]
        faults += [
            f"the field `{name}` of `schema` has the name of what each row has itself. Rename it, or add `prefix: ai_`"
            for name in taken
        ]
    return faults


def llm_inputs(fields: LlmFields, schema: Json) -> Json:
    """All that decides about an answer, apart from the model."""
    return {"prompt": fields.prompt, "system": fields.system, "params": fields.request, "schema": schema}
