"""Values that fit a JSON Schema, for models that only pretend; the same for the same schema, always."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject

_DEEPEST = 20
_WIDEST = 4
"""Depth below which lists have no more items than they must: a schema that holds itself has an end."""

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "mock@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/mock",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def shaped(schema: JsonObject, *, items: int = 0) -> Json:
    """A value that fits a schema: `mock_<field>`, 0.85, 42, True, None by type, the first word of an enumeration.

    Limits of numbers, texts and lists are kept, and patterns where they can be.

    Args:
        schema: the schema.
        items: items of a list that may be empty; they differ from each other.
    """
    return _Maker(schema, items).value(schema, "value", 0, 0)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the values of one schema.

    Attributes:
        root: the whole schema, in which references are looked up.
        items: items of a list that may be empty.
    """

    root: JsonObject
    items: int

    def value(self, schema: Json, name: str, depth: int, number: int) -> Json:
        """A value; `number` counts the items of the list in which it is, 0 outside of one."""
        schema = self._whole(schema)
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if choices := schema.get("enum"):
            return choices[max(number - 1, 0) % len(choices)]
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self.value({**schema[union][0]}, name, depth + 1, number)
        match _type_of(schema):
            case "object":
                return self._mapping(schema, depth, number)
            case "array":
                return self._list(schema, name, depth)
            case kind:
                return _scalar(kind, schema, name, number)

    def _whole(self, schema: Json) -> JsonObject:
        """The schema with what it refers to in it."""
        found: JsonObject = dict(schema) if isinstance(schema, dict) else {}
        for _ in range(_DEEPEST):
            reference = found.pop("$ref", None)
            if not isinstance(reference, str):
                break
            found = {**self._referred(reference), **found}
        for part in found.pop("allOf", ()):
            other = self._whole(part)
            both = {**other.get("properties", {}), **found.get("properties", {})}
            found = {**other, **found, **({"properties": both} if both else {})}
        return found

    def _referred(self, reference: str) -> JsonObject:
        """What a reference inside the same document means."""
        found: Json = self.root
        for part in reference.removeprefix("#").strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
        return found

    def _mapping(self, schema: JsonObject, depth: int, number: int) -> JsonObject:
        fields: JsonObject = schema.get("properties", {})
        if depth > _DEEPEST:
            fields = {name: fields[name] for name in schema.get("required", ()) if name in fields}
        return {name: self.value(field, name, depth + 1, number) for name, field in fields.items()}

    def _list(self, schema: JsonObject, name: str, depth: int) -> list[Json]:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems", math.inf)
        wanted = least if depth > _WIDEST else int(min(max(least, self.items), most))
        fixed: list[Json] = schema.get("prefixItems", [])
        made = [self.value(item, name, depth + 1, 0) for item in fixed]
        others = schema.get("items", {})
        if others is False:
            return made
        return made + [
            self.value(others, name, depth + 1, number) for number in range(len(made) + 1, wanted + 1)
        ]


def _type_of(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    return "object" if kind is None and "properties" in schema else str(kind)


def _scalar(kind: str, schema: JsonObject, name: str, number: int) -> Json:
    further = max(number - 1, 0)
    match kind:
        case "integer":
            return int(_between(42 + further, schema, 1))
        case "number":
            return _between(round(0.85 + further, 2), schema, 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema, name, number)


def _text(schema: JsonObject, name: str, number: int) -> str:
    if "pattern" in schema:
        from kurt.llm.patterns import fitting  # noqa: PLC0415 - few schemas have patterns

        if (found := fitting(schema["pattern"])) is not None:
            return found
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    end = f"_{number}" if number else ""
    text = f"mock_{name}"
    text = (
        text[: max(int(schema.get("maxLength", math.inf)) - len(end), 0)] if "maxLength" in schema else text
    )
    text = (text + end).ljust(int(schema.get("minLength", 0)), "_")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _between(value: float, schema: JsonObject, step: float) -> float:
    """The number nearest to `value` that the schema's limits allow; `step` is the least difference, 0 for any."""
    low, high = _bound(schema, "minimum", "exclusiveMinimum"), _bound(schema, "maximum", "exclusiveMaximum")
    every = schema.get("multipleOf")
    if low[0] is not None and (value < low[0] or (value == low[0] and low[1])):
        value = low[0] + (_gap(low[0], high[0], step) if low[1] else 0)
    if high[0] is not None and (value > high[0] or (value == high[0] and high[1])):
        value = high[0] - (_gap(high[0], low[0], step) if high[1] else 0)
    if every:
        value = math.floor(value / every) * every
        value = value + every if low[0] is not None and value < low[0] else value
    return value


def _bound(schema: JsonObject, including: str, excluding: str) -> tuple[Any, bool]:
    """A limit, and whether the limit itself is not allowed."""
    return (schema[excluding], True) if excluding in schema else (schema.get(including), False)


def _gap(limit: float, other: float | None, step: float) -> float:
    """How far from a limit that is not allowed a number may stand."""
    if step:
        return step
    return 1.0 if other is None else abs(other - limit) / 2
