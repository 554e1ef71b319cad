"""JSON Schemas that a provider promises to keep."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject

_MOST = 256
_LISTS_OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems")
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions")
_UNKNOWN = frozenset({"not", "prefixItems", "patternProperties", "if", "then", "else", "dependentSchemas"})
_LIMITS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
    }
    | {"maxItems", "minItems", "uniqueItems"}
)

_made: OrderedDict[tuple[int, bool], tuple[JsonObject, JsonObject | None]] = OrderedDict()


class _NotStrictError(Exception):
    """The schema allows what cannot be promised."""


def strict_schema(schema: JsonObject, *, bare: bool = False) -> JsonObject | None:
    """The schema in the strict form: each object lists all its fields, and has no others.

    Args:
        schema: as the caller made it; must not change afterwards, because the result is kept.
        bare: leave out limits of numbers, texts and lists, which some providers refuse; the answer is checked here anyway.

    Returns:
        None for a schema that allows objects with any fields, which no provider promises.
    """
    key = id(schema), bare
    found = _made.get(key)
    if found is not None and found[0] is schema:
        return found[1]
    try:
        strict = _object(schema, bare) if schema.get("type") == "object" else None
    except _NotStrictError:
        strict = None
    _made[key] = schema, strict
    while len(_made) > _MOST:
        _made.popitem(last=False)
    return strict


def _strict(value: Json, bare: bool) -> Json:
    if value is True or value == {}:
        raise _NotStrictError
    return _object(value, bare) if isinstance(value, dict) else value


def _object(schema: JsonObject, bare: bool) -> JsonObject:
    if not _UNKNOWN.isdisjoint(schema):
        raise _NotStrictError
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # nothing may stand beside it
    made = {key: value for key, value in schema.items() if key != "default" and not (bare and key in _LIMITS)}
    _refuse_vague(made)
    if made.get("type") == "object" or "properties" in made:
        _close(made)
    if "oneOf" in made:
        made["anyOf"] = made.pop("oneOf")
        made.pop("discriminator", None)
    _descend(made, bare)
    return made


def _refuse_vague(made: JsonObject) -> None:
    """Refuse what any value fits."""
    if made.get("type") == "array" and "items" not in made:
        raise _NotStrictError
    if not made.keys() & {"type", "enum", "const", "properties", *_LISTS_OF_SCHEMAS}:
        raise _NotStrictError


def _descend(made: JsonObject, bare: bool) -> None:
    """Make the schemas inside strict."""
    for key in made.keys() & set(_LISTS_OF_SCHEMAS):
        made[key] = [_strict(item, bare) for item in made[key]]
    for key in made.keys() & set(_MAPS_OF_SCHEMAS):
        made[key] = {name: _strict(item, bare) for name, item in made[key].items()}
    if "items" in made:
        made["items"] = _strict(made["items"], bare)


def _close(made: JsonObject) -> None:
    """Let an object have exactly its fields."""
    if not made.get("properties") or made.get("additionalProperties", False) is not False:
        raise _NotStrictError
    made["additionalProperties"] = False
    made["required"] = list(made["properties"])
