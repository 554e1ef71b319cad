"""Values that fit a JSON Schema, for models that only pretend."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject

_DEEPEST = 20


def shaped(schema: JsonObject) -> Json:
    """A value that fits a schema, always the same: `mock_<field>`, 0.85, 42, `[]`, True, None by type."""
    return _value(schema, schema, "value", 0)


def _value(schema: JsonObject, root: JsonObject, name: str, depth: int) -> Json:
    schema = _resolved(schema, root)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return _value(schema[union][0], root, name, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object" or "properties" in schema:
        return _mapping(schema, root, depth)
    if kind == "array":
        return [_value(schema.get("items", {}), root, name, depth + 1)] * int(schema.get("minItems", 0))
    return _scalar(str(kind), schema, name)


def _resolved(schema: JsonObject, root: JsonObject) -> JsonObject:
    """The schema that a reference inside the same document means."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    found: Json = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _mapping(schema: JsonObject, root: JsonObject, depth: int) -> JsonObject:
    fields: JsonObject = schema.get("properties", {})
    if depth > _DEEPEST:
        fields = {name: fields[name] for name in schema.get("required", ())}
    return {name: _value(field, root, name, depth + 1) for name, field in fields.items()}


def _scalar(kind: str, schema: JsonObject, name: str) -> Json:
    match kind:
        case "integer":
            return _between(42, schema)
        case "number":
            return _between(0.85, schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = f"mock_{name}".ljust(int(schema.get("minLength", 0)), "_")
            return text[: schema.get("maxLength", len(text))]


def _between(value: float, schema: JsonObject) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value
