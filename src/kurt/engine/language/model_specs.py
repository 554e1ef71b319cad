"""The models of what a workflow file says of calls that cost something: what may be spent, and what is not done twice."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kurt.engine.language.fields import Model, Seconds


class BudgetSpec(Model):
    """What calls of models may cost; at least one of the limits.

    Attributes:
        usd: US dollars.
        tokens: tokens of prompts and answers together.
        on_spent: `fail` ends the run, `partial` goes on without what could not be paid.
    """

    usd: float | None = Field(None, ge=0, description="US dollars at most.", examples=[5])
    tokens: int | None = Field(
        None, ge=0, description="Tokens of prompts and answers at most.", examples=[1000000]
    )
    on_spent: Literal["fail", "partial"] = Field(
        "fail",
        description="`fail` ends the run when the budget is spent, `partial` goes on without what could not be paid.",
        examples=["partial"],
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.usd is None and self.tokens is None:
            raise ValueError("`budget` has no limit; write `usd`, `tokens` or both")
        return self


class CacheSpec(Model):
    """That a step's value is kept for later runs.

    Attributes:
        key: what the value belongs to, in place of the step's fields with their values put in.
        ttl_seconds: how long the value counts; None for ever.
        enabled: false for no cache.
    """

    key: Any = Field(
        None,
        description="What the stored value belongs to; without it all fields of the step with their values put in.",
        examples=["${url}"],
    )
    ttl_seconds: Seconds | None = Field(
        None,
        alias="ttl",
        description="How long the stored value counts; without it for ever.",
        examples=["7d"],
    )
    enabled: bool = Field(True, description="False for no cache.", examples=[False])

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {"enabled": value}
        if isinstance(value, str | int | float):
            return {"ttl": value}
        return value

    @property
    def has_key(self) -> bool:
        """Whether the file gives a key of its own."""
        return self.key is not None


def restated(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of `cache` with its short forms.

    Args:
        spec: that of the mapping.
    """
    description = "Keep the step's value for later runs: true, how long, or a mapping."
    short = [{"type": "boolean"}, {"type": ["string", "number"], "description": "How long the value counts."}]
    return {"description": description, "anyOf": [*short, dict(spec)]}
