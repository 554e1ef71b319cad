"""The operators of expressions, over JSON values only."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from kurt.engine.expressions.allowance import (
    MAX_BITS,
    Allowance,
    LimitError,
    check_item_count,
    check_text_length,
)
from kurt.engine.expressions.references import kind_of
from kurt.types import Json


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether the value is a number of JSON; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Json) -> Json:
    """The number itself.

    Raises:
        LimitError: JSON cannot hold it, or it is absurdly large.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise LimitError("the result is not a finite number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise LimitError("the result is too large a number")
    return value


def add(left: Json, right: Json, allowance: Allowance) -> Json:
    """`left + right`: the sum of numbers, texts or lists joined."""
    if is_number(left) and is_number(right):
        return finite(left + right)
    if isinstance(left, str) and isinstance(right, str):
        check_text_length(len(left) + len(right))
        return allowance.made(left + right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        check_item_count(len(left) + len(right))
        return allowance.made([*left, *right])
    raise TypeError(f"cannot add {kind_of(right)} to {kind_of(left)}")


def _arithmetic(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Json, Json, Allowance], Json]:
    def apply(left: Json, right: Json, allowance: Allowance) -> Json:
        del allowance
        if is_number(left) and is_number(right):
            return finite(compute(left, right))
        raise TypeError(f"`{name}` takes numbers, not {kind_of(left)} and {kind_of(right)}")

    return apply


subtract = _arithmetic("-", operator.sub)
multiply = _arithmetic("*", operator.mul)
divide = _arithmetic("/", operator.truediv)
remainder = _arithmetic("%", operator.mod)


def negative(value: Json) -> Json:
    """`-value`."""
    if is_number(value):
        return -value
    raise TypeError(f"`-` takes a number, not {kind_of(value)}")


def positive(value: Json) -> Json:
    """`+value`."""
    if is_number(value):
        return value
    raise TypeError(f"`+` takes a number, not {kind_of(value)}")


def equal(left: Json, right: Json, allowance: Allowance) -> bool:
    """`left == right`; true is not 1, and a text is never equal to a number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | dict | tuple) and isinstance(right, list | dict | tuple):
        if len(left) != len(right):
            return False
        allowance.charge_for(left)
    return bool(left == right)


def unequal(left: Json, right: Json, allowance: Allowance) -> bool:
    """`left != right`."""
    return not equal(left, right, allowance)


def _ordering(name: str, compute: Callable[[Any, Any], bool]) -> Callable[[Json, Json, Allowance], bool]:
    def apply(left: Json, right: Json, allowance: Allowance) -> bool:
        del allowance
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return compute(left, right)
        raise TypeError(f"`{name}` cannot compare {kind_of(left)} with {kind_of(right)}")

    return apply


less = _ordering("<", operator.lt)
less_or_equal = _ordering("<=", operator.le)
greater = _ordering(">", operator.gt)
greater_or_equal = _ordering(">=", operator.ge)


def contained(left: Json, right: Json, allowance: Allowance) -> bool:
    """`left in right`: a part of a text, an item of a list, a key of a mapping."""
    if isinstance(right, str):
        if not isinstance(left, str):
            raise TypeError(f"`in` looks for text in a text, not for {kind_of(left)}")
        allowance.charge(len(right) // 64)
        return left in right
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    if isinstance(right, list | tuple):
        allowance.charge(len(right))
        if not isinstance(left, list | dict | tuple) and left not in right:
            return False  # Python finds all that are equal here, and true where 1 is looked for
        return any(equal(left, item, allowance) for item in right)
    raise TypeError(f"`in` looks into a text, a list or a mapping, not into {kind_of(right)}")


def not_contained(left: Json, right: Json, allowance: Allowance) -> bool:
    """`left not in right`."""
    return not contained(left, right, allowance)


def index(value: Json, key: Json) -> Json:
    """`value[key]`: an item of a list (from the end if negative) or the value of a mapping's key.

    Raises:
        LookupError: there is none.
        TypeError: the value cannot be indexed so.
    """
    if isinstance(value, Mapping) and isinstance(key, str):
        if key in value:
            return value[key]
        raise LookupError(f"there is no key {key!r}")
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        raise LookupError(f"there is no item [{key}] in a list of {len(value)}")
    if value is None:
        raise LookupError("null has no items")
    raise TypeError(f"{kind_of(value)} cannot be indexed with {kind_of(key)}")
