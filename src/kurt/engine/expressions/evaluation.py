"""Expressions: `when`, `on`, `until`, `retry.when` and `--filter`.

A whitelist over Python's syntax tree is compiled once into closures over JSON values. There are no attributes (a dot
looks up a key of a mapping), no powers, no comprehensions, no keywords, and only the functions of one table. A
reference `${...}`, also inside a quoted text, is bound as a value: it is never pasted into the text and parsed.
Length, depth, work, and the size of every result are limited.

Python's `and`, `or` and `not` take false, null, 0, and what is empty as false; so does a condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kurt.engine.expressions.allowance import Allowance
from kurt.engine.expressions.compiler import Compiler
from kurt.engine.expressions.lookups import Evaluation, Lookup, MissingError
from kurt.engine.expressions.references import Path
from kurt.engine.expressions.syntax import EXAMPLE, ExpressionSyntaxError, parse
from kurt.errors import ExpressionError
from kurt.types import Json, Scope

__all__ = ["Expression", "Lookup", "compile_expression", "evaluate", "is_true"]

_MAX_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    Attributes:
        text: as it was written.
        lookups: the paths that it looks up, each with whether it may be missing.
    """

    text: str
    lookups: tuple[Lookup, ...]
    _run: Callable[[Evaluation], Json] = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(str(lookup.path[0]) for lookup in self.lookups)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that it looks up."""
        return tuple(lookup.path for lookup in self.lookups)

    def evaluate(self, scope: Scope) -> Json:
        """Its value.

        Raises:
            ExpressionError: it fails, or goes beyond a limit; the message holds the expression and what failed, the
                details what was in scope.
        """
        try:
            return self._run(Evaluation(scope, Allowance()))
        except MissingError as error:
            raise self._failure(scope, str(error), error.hint) from None
        except ExpressionError as error:
            raise self._failure(scope, error.message, error.hint) from None
        except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise self._failure(scope, _reason(error), None) from None

    def is_true(self, scope: Scope) -> bool:
        """Whether its value counts as true: false, null, 0 and what is empty do not.

        Raises:
            ExpressionError: it fails.
        """
        return bool(self.evaluate(scope))

    def _failure(self, scope: Scope, what: str, hint: str | None) -> ExpressionError:
        names = sorted(str(name) for name in scope)
        details: dict[str, Any] = {"expression": self.text, "in_scope": names}
        return ExpressionError(
            f"the expression {_shown(self.text)} failed: {what}", hint=hint, details=details
        )


def _reason(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, RecursionError):
        return "a value is nested too deep"
    return str(error)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "...")


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Compile an expression.

    Args:
        text: such as `len(pages) > 0 and mode == 'fast'`.

    Raises:
        ExpressionError: it is not one; the message says what is wrong, the hint what to write.
    """
    try:
        tree, references = parse(text)
        compiler = Compiler(references)
        run = compiler.compile(tree)
    except ExpressionSyntaxError as error:
        message = f"{_shown(text)} is not an expression: {error}"
        raise ExpressionError(message, hint=error.hint or EXAMPLE, details={"expression": text}) from None
    return Expression(text, tuple(compiler.lookups), run)


def evaluate(text: str, scope: Scope) -> Json:
    """The value of an expression.

    Raises:
        ExpressionError: it is not well formed, or it fails.
    """
    return compile_expression(text).evaluate(scope)


def is_true(text: str, scope: Scope) -> bool:
    """Whether a condition holds.

    Raises:
        ExpressionError: it is not well formed, or it fails.
    """
    return compile_expression(text).is_true(scope)
