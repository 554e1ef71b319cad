"""Schemas whose references lead back to themselves before they reach the data: nothing could ever be checked by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME_DATA: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords whose schemas apply to the same value as the schema that they stand in."""


def refers_to_itself(schema: dict[str, Any] | bool) -> bool:
    """Whether a reference within the schema leads back to itself without going down in the data."""
    if not isinstance(schema, dict):
        return False
    done: set[int] = set()
    return any(_turns(schema, start, frozenset(), done) for start in _references(schema))


def _references(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping below that refers to a place in the schema."""
    below: list[Any] = [schema]
    while below:
        value = below.pop()
        if isinstance(value, dict):
            found = cast("dict[str, Any]", value)
            if _is_local(found.get("$ref")):
                yield found
            below.extend(found.values())
        elif isinstance(value, list):
            below.extend(cast("list[Any]", value))


def _turns(root: dict[str, Any], schema: dict[str, Any], path: frozenset[int], done: set[int]) -> bool:
    if id(schema) in path:
        return True
    if id(schema) in done:
        return False
    path |= {id(schema)}
    found = any(_turns(root, target, path, done) for target in _applied(root, schema))
    done.add(id(schema))
    return found


def _applied(root: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that apply to the same value."""
    if _is_local(schema.get("$ref")):
        target = _at(root, schema["$ref"])
        if isinstance(target, dict):
            yield cast("dict[str, Any]", target)
    for keyword in _SAME_DATA:
        value = schema.get(keyword)
        for part in cast("list[Any]", value) if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield cast("dict[str, Any]", part)


def _is_local(reference: Any) -> bool:
    return isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))


def _at(root: Any, reference: str) -> Any:
    """What stands at a reference like `#/$defs/a`; None where there is nothing."""
    value = root
    for part in reference.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(key)
        elif isinstance(value, list) and key.isdecimal():
            elements = cast("list[Any]", value)
            value = elements[int(key)] if int(key) < len(elements) else None
        else:
            return None
    return value
