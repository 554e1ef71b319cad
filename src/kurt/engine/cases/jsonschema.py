"""The JSON Schema of test files, for editors: made from their models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.engine.cases.schema import STATES, CaseFile, StepMock
from kurt.engine.language.jsonschema import DIALECT
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.types import JsonObject

FILE_NAME = "kurt-test.schema.json"

_TEMPLATE = "#/$defs/{model}"
_FORMS: JsonObject = {
    "Failure": {
        "description": "A failure: its message, or a mapping.",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/Failure"}],
    },
    "StepMock": {
        "description": "The step's value; or a mapping with `value`, `error` or `attempts` that says how it goes.",
        "anyOf": [
            {"$ref": "#/$defs/StepMock"},
            # Any mapping; editors complete nothing where a mapping without known keys may stand.
            {
                "type": "object",
                "properties": {
                    name: {"description": field.description} for name, field in StepMock.model_fields.items()
                },
            },
            {"type": ["string", "number", "boolean", "array", "null"]},
        ],
    },
    "StepExpectation": {
        "description": "How the step ended; or a mapping that says more.",
        "anyOf": [{"enum": list(STATES)}, {"$ref": "#/$defs/StepExpectation"}],
    },
}
"""What may stand where one of these models is meant."""


def case_schema() -> JsonObject:
    """The schema of a test file."""
    root = CaseFile.model_json_schema(ref_template=_TEMPLATE)
    definitions: JsonObject = root.pop("$defs")
    schema: JsonObject = {
        "$schema": DIALECT,
        "description": "Tests of a workflow file; run by `kurt workflows test`.",
        "type": "object",
        "properties": root["properties"],
        "patternProperties": {"^x-": {"description": "Free for your own use, such as YAML anchors."}},
        "required": root["required"],
        "additionalProperties": False,
        "$defs": definitions,
    }
    return {**_tidy(schema), "title": "Kurt test file"}


def _tidy(value: Json) -> Json:
    """Without what only programs say, titles and null for a key that is missing; models in all forms that people write."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    reference = str(value.get("$ref", "")).removeprefix("#/$defs/")
    if reference in _FORMS:
        return {**_FORMS[reference], **{key: item for key, item in value.items() if key != "$ref"}}
    found = {key: _tidy(item) for key, item in value.items() if not _is_noise(key, item)}
    if isinstance(found.get("description"), str):
        found["description"] = found["description"].partition("\n\nAttributes:")[0]
    branches = [one for one in found.get("anyOf", ()) if one != {"type": "null"}]
    if branches and len(branches) < len(found["anyOf"]):
        found.pop("anyOf")
        found = {**(branches[0] if len(branches) == 1 else {"anyOf": branches}), **found}
    return found


def _is_noise(key: str, item: Json) -> bool:
    """Whether a key says nothing to people: a title made of a name, null in place of a key that is missing."""
    return (key == "title" and isinstance(item, str)) or (key == "default" and item is None)
