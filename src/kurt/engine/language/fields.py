"""Small types that the models of workflow files are made of."""

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from kurt.engine.durations import parse_duration, parse_size

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
REFERENCE_SCHEMA = {"type": "string", "pattern": r"\$\{"}
"""A reference such as `${name.key}`; without a description, which editors would show in place of the field's own."""

_NAME = re.compile(NAME)
_VARIABLE = re.compile(VARIABLE)


class Model(BaseModel):
    """Base of the models of a workflow file: unknown keys are refused, fields may be given by name or by key."""

    # Built when the first file is read: each model alone would be built once more for each one around it.
    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use letters, digits, `_` and `-`, not a digit first")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not the name of a variable; use letters, digits and `_`, not a digit first"
        )
    return value


def _condition(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "minimum": 0,
            "examples": ["30s", "5m", "1h30m", "PT5M", 90],
        }
    ),
]
"""A duration as people write it, in seconds."""

Bytes: TypeAlias = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "minimum": 0, "examples": ["512MB", "1GiB"]}),
]
"""A size as people write it, in bytes."""

Name: TypeAlias = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})
]
"""A name in which `-` may stand."""

Variable: TypeAlias = Annotated[
    str, AfterValidator(_variable), WithJsonSchema({"type": "string", "pattern": f"^{VARIABLE}$"})
]
"""A name that Python and shells accept."""

Condition: TypeAlias = Annotated[
    str, BeforeValidator(_condition), WithJsonSchema({"type": ["string", "boolean"]})
]
"""An expression; true and false may stand without quotes."""

Text: TypeAlias = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"]})]
"""A text; a number is taken as its text."""

Names: TypeAlias = Annotated[
    list[str],
    BeforeValidator(_list),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
"""Names; one may stand without brackets."""

Variables: TypeAlias = dict[Variable, str | int | float | bool]
"""Environment variables: names to texts, which may hold references."""
