"""The faults of data against a JSON Schema, in our words; nothing is fetched from the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from jsonschema_specifications import REGISTRY
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from kurt.app.primitives.codecs.json import dumps
from kurt.app.primitives.data_fault import DataFault
from kurt.app.primitives.read import read
from kurt.engine.expressions.references import kind_of
from kurt.errors import KurtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jsonschema.exceptions import ValidationError

    from kurt.types import Json

    _Error: TypeAlias = ValidationError | SchemaError

_SHOWN: Final = 80


def schema_faults(data: Json, file: Path) -> list[DataFault]:
    """Every fault of the data, in the order of the data.

    The draft is what `$schema` says, else 2020-12; `format` is checked. References may lead into the schema itself and
    into files, never into the network.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no valid schema, or refers to what cannot be had.
    """
    schema = read(file)
    validator_class = _validator_class(schema, file)
    try:
        validator_class.check_schema(schema)
    except SchemaError as error:
        raise UsageError(
            f"{file} is not a valid JSON Schema: at {error.json_path}: {_message(error)}"
        ) from None
    registry: Any = Registry(retrieve=_retriever(file, validator_class)).with_resources(REGISTRY.items())
    validator = validator_class(schema, registry=registry, format_checker=validator_class.FORMAT_CHECKER)
    try:
        errors: list[ValidationError] = list(validator.iter_errors(data))
    except Unresolvable as error:
        raise _unresolvable(error, file) from None
    except RecursionError:
        raise UsageError(f"{file} refers to itself without end") from None
    errors.sort(key=lambda error: [(isinstance(part, str), part) for part in error.absolute_path])
    return [DataFault(error.json_path, _message(error)) for error in errors]


def _validator_class(schema: Json, file: Path) -> Any:
    """The validator of the schema's draft."""
    if not isinstance(schema, dict | bool):
        raise UsageError(f"{file} is not a JSON Schema: it is {kind_of(schema)}")
    draft = schema.get("$schema") if isinstance(schema, dict) else None
    if draft is None:
        return Draft202012Validator
    known: Any = validator_for({"$schema": draft}, default=cast("Any", None))
    if known is None:
        raise UsageError(
            f"{file}: the draft {draft!r} is not known",
            hint='write "$schema": "https://json-schema.org/draft/2020-12/schema"',
        )
    return known


def _retriever(file: Path, validator_class: Any) -> Any:
    """Resolves references to files beside the schema; refuses everything else."""

    def retrieve(uri: str) -> Resource[Any]:
        parts = urlsplit(uri)
        if parts.scheme or parts.netloc:
            raise UsageError(
                f"{file} refers to {uri!r}, and nothing is fetched from the network",
                hint="save that schema beside the file and refer to it by its name",
            )
        specification = specification_with(
            validator_class.META_SCHEMA.get("$id") or validator_class.META_SCHEMA["id"]
        )
        return specification.create_resource(read(file.parent / unquote(parts.path)))

    return retrieve


def _unresolvable(error: Unresolvable, file: Path) -> KurtError:
    """The reason why a reference leads nowhere."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KurtError):
            return UsageError(cause.message, hint=cause.hint)
        cause = cause.__cause__ or cause.__context__
    return UsageError(
        f"{file} refers to {error.ref!r}, which is not there", hint="check the path after `$ref`"
    )


def _message(error: _Error) -> str:
    """What is wrong, without the library's Python notation for values."""
    return _MESSAGES.get(str(error.validator), _broken_rule)(error)


def _broken_rule(error: _Error) -> str:
    return f"{_shown(error.instance)} breaks the rule {error.validator!r}: {_shown(error.validator_value)}"


def _wrong_type(error: _Error) -> str:
    wanted: Any = error.validator_value
    return f"is {kind_of(error.instance)}, not of type {' or '.join(wanted) if isinstance(wanted, list) else wanted}"


def _missing_key(error: _Error) -> str:
    names: Any = error.validator_value
    missing = next((name for name in names if error.message.startswith(f"{name!r} ")), "?")
    return f"the key {missing!r} is missing"


def _no_alternative(error: _Error) -> str:
    wanted: Any = error.validator_value
    count = "more than one" if "more than one" in error.message or "each of" in error.message else "none"
    return f"{_shown(error.instance)} fits {count} of the {len(wanted)} alternatives"


def _unknown_keys(error: _Error) -> str:
    return error.message[:1].lower() + error.message[1:]


_MESSAGES: Final[dict[str, Callable[[_Error], str]]] = {
    "type": _wrong_type,
    "required": _missing_key,
    "enum": lambda error: f"{_shown(error.instance)} is none of {_shown(error.validator_value)}",
    "const": lambda error: f"{_shown(error.instance)} is not {_shown(error.validator_value)}",
    "pattern": lambda error: f"{_shown(error.instance)} does not match {_shown(error.validator_value)}",
    "format": lambda error: f"{_shown(error.instance)} is not of the format {error.validator_value!r}",
    "anyOf": _no_alternative,
    "oneOf": _no_alternative,
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
}


def _shown(value: Json) -> str:
    text = dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
