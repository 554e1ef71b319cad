"""`transform`: select, filter, map, deduplicate, sort, group and limit, always in this order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.references import (
    Reference,
    TemplateSyntaxError,
    find,
    is_missing,
    kind_of,
    parse_template,
)
from kurt.errors import DataError, ExpressionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.types import Json

_RANKS: Final = {bool: 0, int: 1, float: 1, str: 2, list: 3, dict: 4}


@dataclass(frozen=True, slots=True)
class Operations:
    """What to do with the data, in the order in which it is done.

    Attributes:
        select: path of the part of the data that is meant, such as `pages[0].links`.
        filter: expression that holds for the elements to keep; like `when`, it does not hold for false, null, 0 and
            what is empty.
        map: expression that gives what an element becomes.
        unique: keep the first of the elements that are equal at this path, `""` for the whole element.
        sort: paths to sort by, the first first; one that starts with `-` sorts from high to low.
        group: path by whose value elements are put together.
        limit: how many elements (or groups) to keep.
    """

    select: str | None = None
    filter: str | None = None
    map: str | None = None
    unique: str | None = None
    sort: tuple[str, ...] = ()
    group: str | None = None
    limit: int | None = None


def transform(data: Json, operations: Operations) -> Json:
    """The data after the operations.

    Expressions see an element as `item`, its place as `index`, and the keys of an element that is a mapping as names.

    Raises:
        UsageError: a path cannot be read.
        ExpressionError: an expression cannot be read, or fails for an element.
        DataError: the data is no list where one is needed, or no element has what it is sorted by.
    """
    if operations.select is not None:
        data = _reference("data", operations.select, "--select").resolve({"data": data})
    for option, step in _STEPS.items():
        argument = getattr(operations, option)
        if argument is None or argument == ():
            continue
        if not isinstance(data, list):
            raise DataError(
                f"--{option} needs a list, the data is {kind_of(data)}",
                hint="name the list in it with --select PATH",
            )
        data = step(data, argument)
    return data


def _filter(items: list[Json], text: str) -> list[Json]:
    results = _evaluated(items, text, "--filter")
    return [item for item, keep in zip(items, results, strict=True) if keep]


def _map(items: list[Json], text: str) -> list[Json]:
    return _evaluated(items, text, "--map")


def _evaluated(items: list[Json], text: str, option: str) -> list[Json]:
    """The expression's value for each element."""
    expression = compile_expression(text)
    results: list[Json] = []
    for index, item in enumerate(items):
        keys: dict[str, Any] = item if isinstance(item, dict) else {}
        try:
            results.append(expression.evaluate({**keys, "item": item, "index": index}))
        except ExpressionError as error:
            message = f"{option} fails for element {index}: {error.message}"
            raise ExpressionError(message, hint=error.hint, details=error.details) from error
    return results


def _unique(items: list[Json], path: str) -> list[Json]:
    values = _values(items, path, "--unique") if path else items
    first: dict[str, Json] = {}
    for item, value in zip(items, values, strict=True):
        first.setdefault(_canonical(value), item)
    return list(first.values())


def _sort(items: list[Json], paths: tuple[str, ...]) -> list[Json]:
    ordered = list(enumerate(items))
    for path in reversed(paths):
        descending = path.startswith("-")
        values = _values(items, path.removeprefix("-"), "--sort")
        keys = [_sort_key(value) for value in values]
        present = [pair for pair in ordered if values[pair[0]] is not None]
        missing = [pair for pair in ordered if values[pair[0]] is None]
        present.sort(key=_by(keys), reverse=descending)
        ordered = [*present, *missing]
    return [item for _, item in ordered]


def _by(keys: list[tuple[int, Any]]) -> Callable[[tuple[int, Json]], tuple[int, Any]]:
    return lambda pair: keys[pair[0]]


def _group(items: list[Json], path: str) -> list[Json]:
    groups: dict[str, dict[str, Any]] = {}
    for item, value in zip(items, _values(items, path, "--group"), strict=True):
        group = groups.setdefault(_canonical(value), {"key": value, "count": 0, "items": []})
        group["count"] += 1
        group["items"].append(item)
    return list(groups.values())


def _limit(items: list[Json], count: int) -> list[Json]:
    if count < 0:
        raise UsageError(f"--limit {count} is negative", hint="give the number of elements to keep")
    return items[:count]


_STEPS: Final[dict[str, Callable[[list[Json], Any], list[Json]]]] = {
    "filter": _filter,
    "map": _map,
    "unique": _unique,
    "sort": _sort,
    "group": _group,
    "limit": _limit,
}


def _values(items: list[Json], path: str, option: str) -> list[Json]:
    """Each element's value at the path, null where it has none; an error if no element has one."""
    reference = _reference("item", path, option)
    if reference.is_optional:
        raise UsageError(f"{option} {path!r}: no default can be given here", hint="leave out `??`")
    found = [find(reference.paths[0], {"item": item}) for item in items]
    if items and all(is_missing(value) for value in found):
        raise DataError(f"{option} {path!r}: no element has a value there", hint=_keys_hint(items[0]))
    return [None if is_missing(value) else value for value in found]


def _keys_hint(item: Json) -> str:
    if isinstance(item, dict):
        return f"the first element has the keys {', '.join(map(repr, item))}"
    return f"the first element is {kind_of(item)}"


def _reference(root: str, path: str, option: str) -> Reference:
    """The path as a reference from `root`."""
    text = f"${{{root}{'' if path.startswith('[') else '.'}{path}}}"
    try:
        parts = parse_template(text).parts
    except TemplateSyntaxError as error:
        raise UsageError(f"{option} {path!r} is not a path: {error}", hint=_PATH_HINT) from None
    if len(parts) != 1 or not isinstance(parts[0], Reference):
        raise UsageError(f"{option} {path!r} is not a path", hint=_PATH_HINT)
    return parts[0]


_PATH_HINT: Final = 'write it like `pages[0].title` or `["a key"].title`'


def _sort_key(value: Json) -> tuple[int, Any]:
    """An order over all JSON values: booleans, numbers, texts, lists, mappings."""
    rank = _RANKS.get(type(value), 5)
    return rank, value if rank <= 2 else _canonical(value)


def _canonical(value: Json) -> str:
    """A text that identifies a JSON value; the order of keys does not matter."""
    return json.dumps(value, sort_keys=True)
