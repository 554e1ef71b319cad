"""`validate`: the faults of data against a JSON Schema, a type, or a list of required keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kurt.app.primitives.data_fault import DataFault
from kurt.engine.expressions.references import kind_of
from kurt.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from kurt.types import Json


class InvalidDataError(DataError):
    """The data is not valid.

    Attributes:
        faults: all that is wrong.
    """

    code = "invalid_data"

    def __init__(self, faults: Sequence[DataFault]) -> None:
        self.faults = list(faults)
        count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
        first = faults[0]
        super().__init__(
            f"the data has {count}, the first at {first.path}: {first.message}",
            hint="mend the data, or what is required of it",
        )

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "errors": [fault.to_json() for fault in self.faults]}


TYPES: Final[dict[str, Callable[[Json], bool]]] = {
    "mapping": lambda value: isinstance(value, dict),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
"""The names after `--type`, each with its test."""


def validate(
    data: Json, *, schema: Path | None = None, type_name: str | None = None, required: Sequence[str] = ()
) -> list[DataFault]:
    """The faults of the data; an empty list if it is valid.

    Args:
        data: a JSON value.
        schema: a JSON Schema in a JSON or YAML file.
        type_name: a key of `TYPES`.
        required: keys that the mapping, or each mapping of the list, must have with a value other than null.

    Raises:
        UsageError: nothing to check against, both a schema and a type, or a schema that is not valid.
    """
    if schema is not None and (type_name is not None or required):
        raise UsageError(
            "--schema cannot be combined with --type or --required", hint="put both into the schema"
        )
    if schema is not None:
        from kurt.app.primitives.schemas import schema_faults  # noqa: PLC0415 - loads the validator

        return schema_faults(data, schema)
    if type_name is None and not required:
        raise UsageError(
            "nothing to validate the data against", hint="give --schema FILE, --type T or --required KEYS"
        )
    return [*_type_faults(data, type_name), *_required_faults(data, required)]


def _type_faults(data: Json, type_name: str | None) -> Iterator[DataFault]:
    if type_name is None:
        return
    if type_name not in TYPES:
        raise UsageError(f"there is no type {type_name!r}", hint=f"use one of {', '.join(TYPES)}")
    if not TYPES[type_name](data):
        yield DataFault("$", f"is {kind_of(data)}, not of type {type_name}")


def _required_faults(data: Json, required: Sequence[str]) -> Iterator[DataFault]:
    if not required:
        return
    elements = enumerate(data) if isinstance(data, list) else [(None, data)]
    for index, element in elements:
        path = "$" if index is None else f"$[{index}]"
        if not isinstance(element, dict):
            yield DataFault(path, f"is {kind_of(element)}, so it has no keys")
            continue
        for key in required:
            if key not in element:
                yield DataFault(path, f"the key {key!r} is missing")
            elif element[key] is None:
                yield DataFault(f"{path}.{key}", "is null, a value is required")
