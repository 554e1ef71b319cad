"""Binding what a run is given to the inputs that its workflow declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Protocol

from kurt.engine.expressions.allowance import MAX_WORK
from kurt.engine.expressions.automaton import compile_pattern
from kurt.engine.expressions.operators import is_number
from kurt.engine.expressions.patterns import PatternError
from kurt.engine.expressions.references import kind_of
from kurt.engine.language.faults import shown
from kurt.engine.language.schema import InputSpec
from kurt.engine.language.source import read_source
from kurt.engine.language.yaml12 import plain_scalar
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import DefinitionError, InputError
from kurt.types import Json, JsonObject


class Declares(Protocol):
    """What declares inputs: a workflow, or a question."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """What it accepts, by name."""
        ...


def bind_inputs(
    definition: Declares, given: Mapping[str, Json] | None = None, *, texts: Iterable[str] = ()
) -> JsonObject:
    """The value of every declared input: what is given, or its default, or null.

    Args:
        definition: what declares the inputs.
        given: values by name.
        texts: `name=value` from a command line. A value is read as YAML unless its input is text; a list may be given
            by repeating its name. They win over `given`.

    Raises:
        InputError: something is wrong; `causes` holds every fault, `hint` the names that are declared.
    """
    faults: list[str] = []
    wrong: set[str] = set()
    values = dict(given or {})
    values.update(_from_texts(definition, texts, faults, wrong))
    missing = [name for name, spec in definition.inputs.items() if _is_missing(name, spec, values, wrong)]
    faults += [f"the input `{name}` is missing" for name in missing]
    bound: JsonObject = {}
    for name, spec in definition.inputs.items():
        bound[name] = _bind(name, spec, values, faults)
    faults += [_unknown(name, definition) for name in values if name not in definition.inputs]
    if faults:
        raise _error(definition, faults, missing)
    return bound


def _is_missing(name: str, spec: InputSpec, values: Mapping[str, Json], wrong: set[str]) -> bool:
    """Whether a required input has no value, not even a wrong one."""
    return spec.required and not spec.has_default and name not in values and name not in wrong


def _error(definition: Declares, faults: list[str], missing: list[str]) -> InputError:
    declared = listing(definition.inputs)
    hint = (
        f"the inputs of {definition.name!r} are {declared}" if definition.inputs else "it declares no inputs"
    )
    if missing:
        hint = f"add {' '.join(f'--input {name}=...' for name in missing)}; {hint}"
    if len(faults) == 1:
        return InputError(faults[0], hint=hint)
    return InputError(f"{len(faults)} inputs are wrong", hint=hint, causes=tuple(faults))


def _unknown(name: str, definition: Declares) -> str:
    near = did_you_mean(name, definition.inputs)
    return f"there is no input `{name}`" + (f"; {near}" if near else "")


def _from_texts(definition: Declares, texts: Iterable[str], faults: list[str], wrong: set[str]) -> JsonObject:
    """The values of `name=value` texts; what is not understood is noted, and its name is added to `wrong`."""
    values: JsonObject = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.strip()
        if not separator or not name:
            faults.append(f"{shown(text)} is not `name=value`")
            wrong.add(name)
            continue
        spec = definition.inputs.get(name)
        try:
            _add_text(values, name, value, spec)
        except ValueError as error:
            faults.append(f"`{name}`: {error}")
            wrong.add(name)
    return values


def _add_text(values: JsonObject, name: str, text: str, spec: InputSpec | None) -> None:
    if spec is not None and spec.type == "list":
        values.setdefault(name, [])
        values[name] += list_text(text, spec)
    elif name in values:
        raise ValueError("it is given twice")
    else:
        values[name] = parse_text(text, spec)


def list_text(text: str, spec: InputSpec) -> list[Any]:
    """The items that a text adds to an input that is a list: those of a flow sequence, else the one item that it is.

    Raises:
        ValueError: it is no YAML.
    """
    if text.lstrip().startswith("["):
        return list(_flow(text))
    return [parse_text(text, spec.items)]


def parse_text(text: str, spec: InputSpec | None = None) -> Json:
    """The value of a text by its input's type: text stays as it is, everything else is YAML 1.2.

    Raises:
        ValueError: it is no YAML.
    """
    if spec is not None and spec.type in ("string", "path", "date"):
        return text
    if text.lstrip()[:1] in ("[", "{", '"', "'"):
        return _flow(text)
    return plain_scalar(text.strip())


def _flow(text: str) -> Json:
    try:
        source = read_source(text)
    except DefinitionError as error:
        return _json(text, f"{shown(text)} is {error.faults[-1].message}")
    if source.faults or source.odd_keys:
        raise ValueError([*source.faults, *(fault for _, fault in source.odd_keys)][0].message)
    return source.value


def _json(text: str, otherwise: str) -> Json:
    """JSON that YAML does not read, such as a character written as two surrogates."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(otherwise) from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _bind(name: str, spec: InputSpec, values: Mapping[str, Json], faults: list[str]) -> Json:
    if name not in values or (values[name] is None and spec.type != "any" and not spec.required):
        return spec.default
    try:
        return checked(values[name], spec, f"`{name}`")
    except ValueError as error:
        faults.append(str(error))
        return None


def checked(value: Json, spec: InputSpec, name: str) -> Json:
    """The value as its input takes it.

    Args:
        value: what is given.
        spec: what the input accepts.
        name: how messages call it, with a backtick at its end: `` `x` ``.

    Raises:
        ValueError: it does not fit; the message says why.
    """
    value = _typed(value, spec, name)
    if spec.enum is not None and value not in spec.enum:
        raise ValueError(f"{name} must be one of {listing(map(str, spec.enum))}, not {shown(value)}")
    _check_bounds(value, spec, name)
    if spec.pattern is not None and isinstance(value, str) and not _matches(value, spec.pattern, name):
        raise ValueError(f"{name} must match the pattern {spec.pattern!r}, unlike {shown(value)}")
    return value


def _typed(value: Json, spec: InputSpec, name: str) -> Json:
    match spec.type:
        case "int":
            fits = is_number(value) and float(value).is_integer()
            value = int(value) if fits else value
        case "float":
            fits = is_number(value)
        case "bool":
            fits = isinstance(value, bool)
        case "list":
            fits = isinstance(value, list)
        case "object":
            fits = isinstance(value, dict)
        case "date":
            fits = _is_date(value)
        case "any":
            fits = True
        case _:
            fits = isinstance(value, str)
    if not fits:
        raise ValueError(f"{name} must be {_TYPE_NAMES[spec.type]}, not {_named(value)}")
    if isinstance(value, list) and spec.items is not None:
        base = name.removesuffix("`")
        return [checked(item, spec.items, f"{base}[{index}]`") for index, item in enumerate(value)]
    return value


_TYPE_NAMES = {
    "string": "a text",
    "path": "a path",
    "date": "a date such as 2026-11-21",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "object": "a mapping",
}


def _named(value: Json) -> str:
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return kind_of(value) if isinstance(value, list | dict) else json.dumps(value)


def _is_date(value: Json) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _check_bounds(value: Json, spec: InputSpec, name: str) -> None:
    size, unit = _size(value)
    if size is None:
        return
    verb = "have" if unit else "be"
    if spec.min is not None and size < spec.min:
        raise ValueError(f"{name} must {verb} at least {spec.min:g}{unit}, not {size:g}")
    if spec.max is not None and size > spec.max:
        raise ValueError(f"{name} must {verb} at most {spec.max:g}{unit}, not {size:g}")


def _size(value: Json) -> tuple[float | None, str]:
    """What bounds measure of a value, with its unit."""
    if is_number(value):
        return float(value), ""
    if isinstance(value, str):
        return len(value), " characters"
    return (len(value), " items") if isinstance(value, list | dict) else (None, "")


def _matches(value: str, pattern: str, name: str) -> bool:
    left = MAX_WORK

    def charge(work: int) -> None:
        nonlocal left
        left -= work
        if left < 0:
            raise ValueError(f"{name} is too long for its pattern")

    try:
        return compile_pattern(pattern).search(value, charge)
    except PatternError as error:
        raise ValueError(str(error)) from None
