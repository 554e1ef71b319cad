"""`until`: a time as it stands, text with references that gives one, or an expression that gives one."""

from __future__ import annotations

import re

from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.references import Path, TemplateSyntaxError, parse_template
from kurt.engine.times import parse_time
from kurt.errors import ExpressionError
from kurt.types import Json, Scope

_DATE = re.compile(r"\s*\d{4}-\d")


def until_seconds(value: str | float, scope: Scope) -> float:
    """Seconds since 1970 of what stands after `until:`.

    Args:
        value: `2026-11-21T07:00:00Z`, `${day}T07:00:00Z`, `deadline`, or seconds since 1970.
        scope: the names that are known.

    Raises:
        ExpressionError: it gives no time.
    """
    if _is_time(value) or not isinstance(value, str):
        return parse_time(value)
    if _is_expression(value):
        return parse_time(compile_expression(value).evaluate(scope))
    return parse_time(parse_template(value).resolve(scope))


def until_paths(value: str | float | None) -> tuple[Path, ...]:
    """The paths that it looks up; none if it is not well formed."""
    if not isinstance(value, str) or _is_time(value):
        return ()
    if _is_expression(value):
        return compile_expression(value).paths
    try:
        return tuple(path for reference in parse_template(value).references for path in reference.paths)
    except TemplateSyntaxError:
        return ()


def until_fault(value: Json) -> tuple[str, str | None] | None:
    """What is wrong with it and the remedy; None if it is well formed."""
    if _is_time(value) or (isinstance(value, str) and _is_expression(value)):
        return None
    try:
        if isinstance(value, str) and parse_template(value).references:
            return None
    except TemplateSyntaxError as error:
        return str(error), error.hint
    hint = "write it as 2026-11-21T07:00:00Z, or as an expression that gives such a text"
    return f"{value!r} is neither a time nor an expression", hint


def _is_time(value: Json) -> bool:
    try:
        parse_time(value)
    except ExpressionError:
        return False
    return True


def _is_expression(value: str) -> bool:
    if _DATE.match(value):
        return False  # a date that does not exist, such as 2026-13-01, would be a subtraction
    try:
        compile_expression(value)
    except ExpressionError:
        return False
    return True
