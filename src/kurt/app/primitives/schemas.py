"""The faults of data against a JSON Schema, in our words; nothing is fetched from the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote, unquote, urlsplit

import jsonschema_rs

from kurt.app.primitives.codecs.json import dumps
from kurt.app.primitives.data_fault import DataFault
from kurt.app.primitives.read import read
from kurt.app.primitives.schema_cycles import refers_to_itself
from kurt.engine.expressions.references import kind_of
from kurt.errors import DataError, KurtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kurt.types import Json

_SHOWN: Final = 80
_BESIDE: Final = "kurt-file"
"""The scheme of files for the validator; users do not write it, so that `file:` and all others can be refused."""
_DRAFT: Final = re.compile(
    r"http://json-schema\.org/draft-0[467]/schema#?|https://json-schema\.org/draft/20(19-09|20-12)/schema#?"
)
_NO_POINTER: Final = re.compile(r"Pointer '(.*)' does not exist")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def schema_faults(data: Json, file: Path) -> list[DataFault]:
    """Every fault of the data, in the order of the data.

    The draft is what `$schema` says, else 2020-12; `format` is checked. References may lead into the schema itself and
    into files, never into the network.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no valid schema, or refers to what cannot be had.
        DataError: the data is nested too deeply.
    """
    validator = _validator(_schema(file), file)
    try:
        faults = sorted(validator.iter_errors(data), key=_place)
    except ValueError as error:  # the validator takes some 250 levels of mappings
        raise DataError(f"the data cannot be checked: {str(error).lower()}") from None
    return [DataFault(_path(fault), _message(fault)) for fault in faults]


def _schema(file: Path) -> dict[str, Any] | bool:
    """The schema of the file, of a draft that we know."""
    schema = read(file)
    if not isinstance(schema, dict | bool):
        raise UsageError(f"{file} is not a JSON Schema: it is {kind_of(schema)}")
    draft = schema.get("$schema") if isinstance(schema, dict) else None
    if draft is not None and not (isinstance(draft, str) and _DRAFT.fullmatch(draft)):
        raise UsageError(
            f"{file}: the draft {draft!r} is not known",
            hint='write "$schema": "https://json-schema.org/draft/2020-12/schema"',
        )
    return schema


def _validator(schema: dict[str, Any] | bool, file: Path) -> jsonschema_rs.Validator:
    """What checks data by the schema of a file."""
    neighbours = _Neighbours(file)
    try:
        validator = jsonschema_rs.validator_for(
            schema, validate_formats=True, retriever=neighbours, base_uri=neighbours.uri
        )
    except jsonschema_rs.ValidationError as error:
        _refuse(error, file, neighbours.fault)
    except ValueError as error:  # as above
        raise UsageError(f"{file} cannot be used as a schema: {str(error).lower()}") from None
    if refers_to_itself(schema):
        raise UsageError(f"{file} refers to itself without end")
    return validator


class _Neighbours:
    """Reads the files that a schema refers to; refuses everything else.

    Attributes:
        uri: the name of the schema's own file, which references are relative to.
        fault: why the last reference could not be read; the validator only keeps its text.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.uri = f"{_BESIDE}://{quote(file.absolute().as_posix())}"
        self.fault: KurtError | None = None

    def __call__(self, uri: str) -> Any:
        parts = urlsplit(uri)
        try:
            if parts.scheme != _BESIDE or parts.netloc:
                raise UsageError(
                    f"{self._file} refers to {uri!r}, and nothing is fetched from the network",
                    hint="save that schema beside the file and refer to it by its name",
                )
            return read(unquote(parts.path))
        except KurtError as error:
            self.fault = error
            raise


def _refuse(error: jsonschema_rs.ValidationError, file: Path, fault: KurtError | None) -> NoReturn:
    """Say why a schema cannot be used."""
    if fault is not None:
        raise UsageError(fault.message, hint=fault.hint) from None
    if error.kind.name == "$ref":
        missing = _NO_POINTER.search(error.message)
        raise UsageError(
            f"{file} refers to '#{missing[1]}', which is not there"
            if missing
            else f"{file}: {error.message}",
            hint="check the path after `$ref`",
        ) from None
    raise UsageError(f"{file} is not a valid JSON Schema: at {_path(error)}: {_message(error)}") from None


def _place(error: jsonschema_rs.ValidationError) -> tuple[list[tuple[bool, Any]], bool, str]:
    """What sorts faults in the order of the data: elements by number, keys by name, at one place missing keys first."""
    steps = [(isinstance(part, str), part) for part in error.instance_path]
    return steps, error.kind.name != "required", error.kind.name


def _path(error: jsonschema_rs.ValidationError) -> str:
    """Where the fault is: `$.pages[0].title`."""
    return "$" + "".join(map(_step, error.instance_path))


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _PLAIN_KEY.fullmatch(part) else f"[{part!r}]"


def _message(error: jsonschema_rs.ValidationError) -> str:
    """What is wrong, with values written as JSON and long ones cut."""
    return _MESSAGES.get(error.kind.name, _broken_rule)(error.instance, error.kind)


def _broken_rule(instance: Any, kind: Any) -> str:
    return f"{_shown(instance)} breaks the rule {kind.name!r}: {_shown(kind.value)}"


def _wrong_type(instance: Any, kind: Any) -> str:
    return f"is {kind_of(instance)}, not of type {' or '.join(kind.value)}"


def _bad_key(_: Any, kind: Any) -> str:
    return f"a key is not allowed: {_message(kind.value)}"


def _no_alternative(instance: Any, kind: Any) -> str:
    several = isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfMultipleValid)
    count = "more than one" if several else "none"
    return f"{_shown(instance)} fits {count} of the {len(kind.value)} alternatives"


def _unknown_keys(_: Any, kind: Any) -> str:
    names = ", ".join(repr(name) for name in kind.value)
    were = "was" if len(kind.value) == 1 else "were"
    rule = "unevaluated" if kind.name == "unevaluatedProperties" else "additional"
    return f"{rule} properties are not allowed ({names} {were} unexpected)"


_MESSAGES: Final[dict[str, Callable[[Any, Any], str]]] = {
    "type": _wrong_type,
    "required": lambda _, kind: f"the key {kind.value!r} is missing",
    "enum": lambda instance, kind: f"{_shown(instance)} is none of {_shown(kind.value)}",
    "const": lambda instance, kind: f"{_shown(instance)} is not {_shown(kind.value)}",
    "pattern": lambda instance, kind: f"{_shown(instance)} does not match {_shown(kind.value)}",
    "format": lambda instance, kind: f"{_shown(instance)} is not of the format {kind.value!r}",
    "not": lambda instance, kind: f"{_shown(instance)} fits {_shown(kind.value)}, which it must not",
    "falseSchema": lambda instance, _: f"{_shown(instance)} is not allowed here",
    "uniqueItems": lambda instance, _: f"{_shown(instance)} has an element twice",
    "contains": lambda instance, _: (
        f"{_shown(instance)} has no element, or too many, of the kind in 'contains'"
    ),
    "propertyNames": _bad_key,
    "anyOf": _no_alternative,
    "oneOf": _no_alternative,
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
}


def _shown(value: Json) -> str:
    text = dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
