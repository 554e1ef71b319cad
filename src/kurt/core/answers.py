"""What a function that calls a model returns: the answer, checked by the schema, and what the call consumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.errors import DataError
from kurt.runtime import serializer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.types import JsonObject


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one call consumed; None where nobody said.

    Attributes:
        tokens_in: tokens of the prompt.
        tokens_out: tokens of the answer.
        cached_tokens: those of the prompt that came from the provider's cache.
        reasoning_tokens: those of the answer that were spent on reasoning.
        cost: in US dollars.
        model: the model that answered.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    model: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Metrics:
        """The metrics that a function returned beside its answer, under any of the names in use."""
        return cls(
            tokens_in=_first(given, "tokens_in", "input_tokens", "prompt_tokens"),
            tokens_out=_first(given, "tokens_out", "output_tokens", "completion_tokens"),
            cached_tokens=_first(given, "cached_tokens"),
            reasoning_tokens=_first(given, "reasoning_tokens"),
            cost=_first(given, "cost", "total_cost"),
            model=_first(given, "model"),
        )


def _first(given: Mapping[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def interpret(returned: Any) -> tuple[Any, Metrics]:
    """The answer and the metrics of what `llm_fn` returned: the answer alone, or `(answer, metrics)`."""
    if isinstance(returned, tuple) and len(returned) == 2:
        answer, metrics = returned
        if metrics is None or isinstance(metrics, Mapping):
            return answer, Metrics.read(metrics or {})
    return returned, Metrics()


def fields_of(schema: type[BaseModel], answer: Any) -> JsonObject:
    """The answer's fields by name, as they are stored and as a replay sees them.

    Args:
        schema: what it must fit.
        answer: the model itself, another one, a mapping, or JSON text.

    Raises:
        DataError: it does not fit.
    """
    from pydantic import BaseModel, ValidationError  # noqa: PLC0415 - a schema has loaded it

    try:
        if isinstance(answer, schema):
            model = answer
        elif isinstance(answer, str):
            model = schema.model_validate_json(answer)
        elif isinstance(answer, (BaseModel, Mapping)):
            model = schema.model_validate(answer.model_dump() if isinstance(answer, BaseModel) else answer)
        else:
            raise DataError(
                f"llm_fn returned a value of type {type(answer).__name__!r}",
                hint=f"return a {schema.__name__}, a dict, or (answer, metrics)",
            )
    except ValidationError as error:
        raise DataError(f"the answer does not fit {schema.__name__}: {faults_of(error)}") from None
    stored = serializer.encode(model.model_dump())
    assert isinstance(stored, dict)  # noqa: S101 - a model's fields are a mapping
    return stored


def faults_of(error: Any) -> str:
    """The faults of a validation in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    )
