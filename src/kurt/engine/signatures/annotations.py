"""Types of a signature's fields, from text: a fixed set of words and the project's own classes, never an import.

DSPy's own reader of such texts imports whatever module they name; this one looks at the text only.
"""

from __future__ import annotations

import ast
import datetime
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Optional, Union

from kurt.engine.suggestions import did_you_mean

MAX_TEXT = 1000
"""Characters of a type; longer ones belong into a class."""

WORDS: Mapping[str, Any] = {
    "str": str,
    "string": str,
    "int": int,
    "integer": int,
    "float": float,
    "number": float,
    "bool": bool,
    "boolean": bool,
    "list": list,
    "List": list,
    "array": list,
    "dict": dict,
    "Dict": dict,
    "object": dict,
    "tuple": tuple,
    "set": set,
    "Any": Any,
    "any": Any,
    "None": None,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "Literal": Literal,
    "Optional": Optional,
    "Union": Union,
}
"""The words of types: Python's, and those of a workflow's inputs."""

_GENERIC = (list, dict, tuple, set)

Own = Callable[[str], Any]
"""Gives the project's class of a name; raises `KeyError` for one that it does not know."""


class AnnotationError(ValueError):
    """A text is no type.

    Attributes:
        hint: what to write.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_annotation(text: str, own: Own, known: typing.Iterable[str] = ()) -> Any:
    """The type that a text means, such as `list[str]`, `Literal["a", "b"]`, `float | None`, or a class of the project.

    Args:
        text: the text.
        own: gives the project's own classes.
        known: names of these, for hints.

    Raises:
        AnnotationError: it is none.
    """
    if len(text) > MAX_TEXT:
        raise AnnotationError(
            f"the type {text[:40]!r}... is too long", "write a class into signatures.py, and its name here"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise AnnotationError(f"{text!r} is no type", "write one such as `str` or `list[str]`") from None
    return annotation_of(tree.body, own, known)


def annotation_of(node: ast.expr, own: Own, known: typing.Iterable[str] = ()) -> Any:
    """The type that a parsed expression means.

    Raises:
        AnnotationError: it is none.
    """
    return _Reader(own, tuple(known)).read(node)


class _Reader:
    """Turns expressions into types."""

    def __init__(self, own: Own, known: tuple[str, ...]) -> None:
        self._own = own
        self._known = known

    def read(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=None):
                return None
            case ast.Constant(value=str(name)):  # a forward reference
                return self._name(name)
            case ast.Name(id=name):
                return self._name(name)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return Union[self.read(left), self.read(right)]  # noqa: UP007 - made of values
            case ast.Subscript(value=ast.Name(id=name), slice=inner):
                return self._generic(name, inner)
            case _:
                raise _no_type(node)

    def _name(self, name: str) -> Any:
        if name in WORDS:
            return WORDS[name]
        try:
            return self._own(name)
        except KeyError:
            words = [*WORDS, *self._known]
            hint = (
                f"write a known one, such as {', '.join(f'`{word}`' for word in ('str', 'int', 'list[str]'))}"
            )
            also = f"{hint}, or add a class `{name}` to signatures.py"
            raise AnnotationError(
                f"there is no type {name!r}", did_you_mean(name, words, also) or also
            ) from None

    def _generic(self, name: str, inner: ast.expr) -> Any:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        base = self._name(name)
        if base is Literal:
            return Literal[tuple(_constant(part) for part in parts)]
        arguments = tuple(self.read(part) for part in parts)
        if base is Union:
            return Union[arguments]  # noqa: UP007 - made of values
        if base is Optional:
            _expect(name, arguments, 1)
            return Optional[arguments[0]]  # noqa: UP045 - as above
        if base not in _GENERIC:
            raise AnnotationError(f"the type {name!r} takes nothing in brackets", f"write `{name}`")
        if base in (list, set):
            _expect(name, arguments, 1)
        elif base is dict:
            _expect(name, arguments, 2)
        return types.GenericAlias(base, arguments)


def _expect(name: str, arguments: tuple[Any, ...], count: int) -> None:
    if len(arguments) != count:
        example = ", ".join(["str"] * count)
        raise AnnotationError(
            f"`{name}[...]` takes {count} type{'s' * (count > 1)}, not {len(arguments)}",
            f"write one such as `{name}[{example}]`",
        )


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | bool() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
        case _:
            raise AnnotationError(
                f"`Literal[...]` holds texts, numbers, true or false, not `{ast.unparse(node)}`",
                'write one such as `Literal["low", "high"]`',
            )


def _no_type(node: ast.expr) -> AnnotationError:
    return AnnotationError(
        f"`{ast.unparse(node)}` is no type", 'write one such as `str`, `list[str]` or `Literal["a", "b"]`'
    )
