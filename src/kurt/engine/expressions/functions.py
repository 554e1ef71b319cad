"""The fixed table of functions that expressions may call."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kurt.engine.expressions.allowance import Allowance, LimitError, check_item_count, check_text_length
from kurt.engine.expressions.automaton import compile_pattern
from kurt.engine.expressions.operators import contained, finite, is_number
from kurt.engine.expressions.references import kind_of
from kurt.types import Json

_MAX_NUMERAL = 400
_MAX_JSON = 1_000_000


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the expression language.

    Attributes:
        name: how it is called.
        call: what computes it.
        least: number of arguments at least.
        most: number of arguments at most.
        help: what it gives, with its arguments; one line for documentation and hints.
        metered: `call` takes the allowance before the arguments, since its work is not in proportion to them.
        makes: its result is a new text or list.
    """

    name: str
    call: Callable[..., Json]
    least: int
    most: int
    help: str
    metered: bool = False
    makes: bool = False


def _text(value: Json, name: str) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"`{name}` takes a text, not {kind_of(value)}")


def _list(value: Json, name: str) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value
    raise TypeError(f"`{name}` takes a list, not {kind_of(value)}")


def _mapping(value: Json, name: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise TypeError(f"`{name}` takes a mapping, not {kind_of(value)}")


def _number(value: Json, name: str) -> Any:
    if is_number(value):
        return value
    raise TypeError(f"`{name}` takes a number, not {kind_of(value)}")


def _len(value: Json) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise TypeError(f"`len` takes a text, a list or a mapping, not {kind_of(value)}")


def _lower(text: Json) -> str:
    return _text(text, "lower").lower()


def _upper(text: Json) -> str:
    return _text(text, "upper").upper()


def _strip(text: Json) -> str:
    return _text(text, "strip").strip()


def _startswith(text: Json, start: Json) -> bool:
    return _text(text, "startswith").startswith(_text(start, "startswith"))


def _endswith(text: Json, end: Json) -> bool:
    return _text(text, "endswith").endswith(_text(end, "endswith"))


def _contains(allowance: Allowance, whole: Json, part: Json) -> bool:
    return contained(part, whole, allowance)


def _matches(allowance: Allowance, text: Json, pattern: Json) -> bool:
    return compile_pattern(_text(pattern, "matches")).search(_text(text, "matches"), allowance.charge)


def _replace(text: Json, old: Json, new: Json) -> str:
    whole, part, by = _text(text, "replace"), _text(old, "replace"), _text(new, "replace")
    if not part:
        raise ValueError("`replace` cannot replace the empty text")
    check_text_length(len(whole) + whole.count(part) * max(len(by) - len(part), 0))
    return whole.replace(part, by)


def _split(text: Json, separator: Json = "\n") -> list[str]:
    whole, part = _text(text, "split"), _text(separator, "split")
    if not part:
        raise ValueError("`split` needs a separator")
    check_item_count(whole.count(part) + 1)
    return whole.split(part)


def _join(allowance: Allowance, items: Json, separator: Json = "") -> str:
    texts: list[str] = []
    length = 0
    between = _text(separator, "join")
    allowance.charge(4 * len(_list(items, "join")))
    for item in items:
        texts.append(allowance.text(item))
        length += len(texts[-1]) + len(between)
        check_text_length(length)
    return between.join(texts)


def _int(value: Json) -> int:
    if isinstance(value, bool | int | float):
        return int(value)
    text = _text(value, "int").strip()
    try:
        return int(finite(int(text[:_MAX_NUMERAL])))
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a whole number") from None


def _float(value: Json) -> float:
    if isinstance(value, bool | int | float):
        return float(value)
    text = _text(value, "float").strip()
    try:
        number = float(text[:_MAX_NUMERAL])
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a number") from None
    return float(finite(number))


def _shown(text: str) -> str:
    """A text of an error message, cut short."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _str(allowance: Allowance, value: Json) -> str:
    return allowance.text(value)


def _json(allowance: Allowance, value: Json) -> str:
    return allowance.json(value)


def _parse_json(text: Json) -> Json:
    source = _text(text, "parse_json")
    if len(source) > _MAX_JSON:
        raise LimitError(f"`parse_json` takes {_MAX_JSON} characters; use `parse: json` or a `read` step")
    try:
        return json_module.loads(source, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the text is not JSON: {error}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a value of JSON")


def _comparable(values: Sequence[Any], name: str) -> Sequence[Any]:
    if all(is_number(value) for value in values) or all(isinstance(value, str) for value in values):
        return values
    raise TypeError(f"`{name}` takes either numbers or texts, not both or others")


def _several(allowance: Allowance, values: tuple[Json, ...], name: str) -> Sequence[Any]:
    items = _list(values[0], name) if len(values) == 1 else list(values)
    allowance.charge(4 * len(items))
    if not items:
        raise ValueError(f"`{name}` of an empty list")
    return _comparable(items, name)


def _min(allowance: Allowance, *values: Json) -> Json:
    return min(_several(allowance, values, "min"))


def _max(allowance: Allowance, *values: Json) -> Json:
    return max(_several(allowance, values, "max"))


def _sum(allowance: Allowance, values: Json) -> Json:
    items = _list(values, "sum")
    allowance.charge(2 * len(items))
    for item in items:
        if not is_number(item):
            raise TypeError(f"`sum` takes numbers, not {kind_of(item)}")
    return finite(sum(items))


def _any(values: Json) -> bool:
    return any(_list(values, "any"))


def _all(values: Json) -> bool:
    return all(_list(values, "all"))


def _sorted(allowance: Allowance, values: Json) -> list[Any]:
    items = _list(values, "sorted")
    allowance.charge(len(items) * 16)
    return sorted(_comparable(items, "sorted"))


def _reversed(values: Json) -> list[Any]:
    return list(reversed(_list(values, "reversed")))


def _first(values: Json) -> Json:
    items = _list(values, "first")
    return items[0] if items else None


def _last(values: Json) -> Json:
    items = _list(values, "last")
    return items[-1] if items else None


def _keys(value: Json) -> list[str]:
    return list(_mapping(value, "keys"))


def _values(value: Json) -> list[Any]:
    return list(_mapping(value, "values").values())


def _bool(value: Json) -> bool:
    return bool(value)


def _abs(value: Json) -> Json:
    return abs(_number(value, "abs"))


def _round(value: Json, digits: Json = 0) -> Json:
    number, places = _number(value, "round"), _number(digits, "round")
    if not -20 <= places <= 20 or not isinstance(places, int):
        raise ValueError("`round` takes a whole number of digits between -20 and 20")
    return round(number, places) if places else round(number)


def _default(value: Json, otherwise: Json) -> Json:
    return otherwise if value is None else value


_TABLE = (
    Function("len", _len, 1, 1, "`len(x)`: length of a text, list or mapping"),
    Function("lower", _lower, 1, 1, "`lower(text)`: in lower case", makes=True),
    Function("upper", _upper, 1, 1, "`upper(text)`: in upper case", makes=True),
    Function("strip", _strip, 1, 1, "`strip(text)`: without white space around it", makes=True),
    Function("startswith", _startswith, 2, 2, "`startswith(text, start)`: whether it starts so"),
    Function("endswith", _endswith, 2, 2, "`endswith(text, end)`: whether it ends so"),
    Function(
        "contains", _contains, 2, 2, "`contains(x, part)`: a part of a text, an item, a key", metered=True
    ),
    Function(
        "matches",
        _matches,
        2,
        2,
        "`matches(text, pattern)`: whether the pattern is found in it",
        metered=True,
    ),
    Function("replace", _replace, 3, 3, "`replace(text, old, new)`: every `old` by `new`", makes=True),
    Function(
        "split", _split, 1, 2, "`split(text, separator)`: a list; lines without a separator", makes=True
    ),
    Function("join", _join, 1, 2, "`join(list, separator)`: a text", metered=True, makes=True),
    Function("int", _int, 1, 1, "`int(x)`: a whole number"),
    Function("float", _float, 1, 1, "`float(x)`: a number"),
    Function(
        "str", _str, 1, 1, "`str(x)`: a text as it is, everything else as JSON", metered=True, makes=True
    ),
    Function("bool", _bool, 1, 1, "`bool(x)`: false for false, null, 0 and what is empty"),
    Function("json", _json, 1, 1, "`json(x)`: its JSON text", metered=True, makes=True),
    Function("parse_json", _parse_json, 1, 1, "`parse_json(text)`: the value of a JSON text", makes=True),
    Function("min", _min, 1, 100, "`min(list)` or `min(a, b)`: the smallest", metered=True),
    Function("max", _max, 1, 100, "`max(list)` or `max(a, b)`: the largest", metered=True),
    Function("sum", _sum, 1, 1, "`sum(list)`: the sum of numbers", metered=True),
    Function("any", _any, 1, 1, "`any(list)`: whether one item is true"),
    Function("all", _all, 1, 1, "`all(list)`: whether every item is true"),
    Function("sorted", _sorted, 1, 1, "`sorted(list)`: numbers or texts in order", metered=True, makes=True),
    Function("reversed", _reversed, 1, 1, "`reversed(list)`: from the end", makes=True),
    Function("first", _first, 1, 1, "`first(list)`: the first item, null if there is none"),
    Function("last", _last, 1, 1, "`last(list)`: the last item, null if there is none"),
    Function("keys", _keys, 1, 1, "`keys(mapping)`: its keys", makes=True),
    Function("values", _values, 1, 1, "`values(mapping)`: its values", makes=True),
    Function("abs", _abs, 1, 1, "`abs(number)`: without its sign"),
    Function("round", _round, 1, 2, "`round(number, digits)`: rounded"),
    Function("default", _default, 2, 2, "`default(x, y)`: `y` where `x` is missing or null"),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
"""The functions by name. `default` also catches a missing name or key in its first argument."""
