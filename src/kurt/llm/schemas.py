"""Structured output: the JSON Schema that goes to a model, and what its answer is checked against."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kurt.errors import UsageError
from kurt.llm.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

    from kurt.types import Json, JsonObject

NOT_JSON = "NotJson"
BREAKS_SCHEMA = "BreaksSchema"
REASKABLE = frozenset({NOT_JSON, BREAKS_SCHEMA})
"""Types of faults that a model can mend when it is shown them."""

_MOST_FAULTS = 10
_FENCE = re.compile(r"\A\s*```(?:json|JSON)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_schemas: WeakKeyDictionary[type[BaseModel], JsonObject] = WeakKeyDictionary()


def schema_of(model: type[BaseModel]) -> JsonObject:
    """The JSON Schema of a pydantic model; always the same object for the same class."""
    found = _schemas.get(model)
    if found is None:
        found = _schemas[model] = model.model_json_schema()
    return found


def checker(model: type[BaseModel] | None, schema: JsonObject | None) -> Callable[[str], Any]:
    """What turns the text of an answer into its value.

    Args:
        model: a pydantic model; its instance is the value.
        schema: a JSON Schema; the parsed JSON is the value. Without both the text itself is.

    Returns:
        a function that raises AnswerError for an answer which does not fit.

    Raises:
        UsageError: the JSON Schema is none.
    """
    if model is not None:
        return _ModelCheck(model)
    if schema is not None:
        return _SchemaCheck(schema)
    return _text


def _text(text: str) -> str:
    return text


class _ModelCheck:
    """Checks answers by a pydantic model."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __call__(self, text: str) -> BaseModel:
        from pydantic import ValidationError  # noqa: PLC0415 - this module is loaded by those who do not check

        try:
            return self._model.model_validate_json(text)
        except ValidationError as error:
            bare = unfenced(text)
            if bare is not None:
                return self(bare)
            raise _model_fault(error) from None


def _model_fault(error: Any) -> AnswerError:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults and faults[0]["type"] == "json_invalid":
        return not_json(str(faults[0]["msg"]))
    return breaks_schema((".".join(map(str, fault["loc"])), str(fault["msg"])) for fault in faults)


class _SchemaCheck:
    """Checks answers by a JSON Schema."""

    def __init__(self, schema: JsonObject) -> None:
        from jsonschema_rs import validator_for  # noqa: PLC0415 - seldom needed

        # Without `offline` it would ask the network for what the schema refers to.
        try:
            self._validator = validator_for(schema, offline=True)
        except ValueError as error:
            why = str(error).partition("\n")[0]
            raise UsageError(f"the schema for answers cannot be used: {why}") from None

    def __call__(self, text: str) -> Json:
        value = parse(text)
        try:
            faults = [
                (".".join(map(str, fault.instance_path)), fault.message)
                for fault in self._validator.iter_errors(value)
            ]
        except ValueError as error:  # it is nested too deeply
            faults = [("", str(error))]
        if faults:
            raise breaks_schema(faults)
        return value


def parse(text: str) -> Json:
    """The JSON value of an answer, also of one inside a Markdown fence.

    Raises:
        AnswerError: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        bare = unfenced(text)
        if bare is not None:
            return parse(bare)
        raise not_json(str(error)) from None


def unfenced(text: str) -> str | None:
    """What stands inside the Markdown fence that is the whole answer; None where there is none."""
    match = _FENCE.match(text)
    return match[1] if match else None


def not_json(why: str) -> AnswerError:
    """The answer is not JSON."""
    return AnswerError(f"the answer is not JSON: {why}", type=NOT_JSON)


def breaks_schema(faults: Iterable[tuple[str, str]]) -> AnswerError:
    """The answer breaks the schema.

    Args:
        faults: place and message of each.
    """
    lines = [f"{place or 'answer'}: {message}" for place, message in faults]
    rest = [f"and {len(lines) - _MOST_FAULTS} more"] if len(lines) > _MOST_FAULTS else []
    return AnswerError(
        "the answer breaks the schema: " + "; ".join(lines[:_MOST_FAULTS] + rest), type=BREAKS_SCHEMA
    )
