"""Results of user code as JSON: what is accepted, and what to say about the rest."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from kurt.errors import StepError


def encode(value: object, *, what: str = "result") -> str:
    """The JSON text of a value.

    Beside JSON values: tuples, dataclasses, Pydantic models and objects with a `to_json()` method.

    Raises:
        StepError: it holds something else, or a number that JSON does not have; type `NotJson`.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        place, found = _culprit(value, what)
        raise StepError(
            f"{place} is {found}, which is not a JSON value",
            type="NotJson",
            hint="return strings, numbers, booleans, None, lists and mappings with string keys",
        ) from error


def _plain(value: object) -> object:
    """Called by `json` for what it does not know."""
    for method, options in (("model_dump", {"mode": "json"}), ("to_json", {})):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            return convert(**options)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(type(value).__name__)


def _culprit(value: Any, place: str, depth: int = 0) -> tuple[str, str]:
    """Where the first faulty part of a value is, and what it is."""
    if depth > 100:  # far below Python's own limit
        return place, "nested too deeply or contains itself"
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float | bool | None):
                return f"the key {key!r} of {place}", f"a {type(key).__name__}"
    for part_place, part in _parts(value, place):
        if not _is_json(part):
            return _culprit(part, part_place, depth + 1)
    if isinstance(value, float):
        return place, f"the number {value}"
    return place, f"a {type(value).__name__}"


def _parts(value: Any, place: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{place}[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{place}[{index}]", part) for index, part in enumerate(value)]
    try:
        return [(place, _plain(value))]
    except TypeError:
        return []


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
