"""Signatures that stand in a workflow file: `"question -> answer: str"`, or a mapping with inputs, outputs and a prompt."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from kurt.engine.signatures.annotations import AnnotationError, Own, annotation_of, parse_annotation

ARROW = "->"
"""Stands between the inputs and the outputs of a signature in one line."""

RESERVED = frozenset(
    {"signature", "demos", "config", "lm", "new_signature", "prediction", "self"}  # when a module is called
    | {"fields", "instructions", "input_fields", "output_fields"}  # of a signature's class
)
"""Names that DSPy keeps for itself."""

MAX_TEXT = 4000
"""Characters of a signature in one line; longer ones belong into a mapping or a class."""


class ShapeError(ValueError):
    """A signature cannot be used.

    Attributes:
        hint: what to write.
        part: where in it: `inputs.NAME`, `outputs.NAME`, or empty for the whole.
    """

    def __init__(self, message: str, hint: str, part: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.part = part


@dataclass(frozen=True, slots=True)
class ShapeField:
    """A field of a signature.

    Attributes:
        type: its type; None where nobody knows.
        description: what the model is told of it.
        required: an input that has to be given.
    """

    type: Any = str
    description: str | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """A signature: what goes in, what comes out, and what is to be done.

    Attributes:
        inputs: by name, in their order.
        outputs: likewise.
        prompt: the instructions; None for DSPy's own sentence.
    """

    inputs: Mapping[str, ShapeField]
    outputs: Mapping[str, ShapeField]
    prompt: str | None = None


def shape_of_text(text: str, own: Own, known: Iterable[str] = ()) -> Shape:
    """Read a signature in one line.

    Args:
        text: such as `question, context: list[str] -> answer: str`.
        own: gives the project's own classes.
        known: names of these, for hints.

    Raises:
        ShapeError: it is none.
    """
    if len(text) > MAX_TEXT:
        raise ShapeError(
            "the signature is too long for one line", "write it as a mapping with `inputs` and `outputs`"
        )
    if text.count(ARROW) != 1:
        raise ShapeError(
            f"a signature has one `{ARROW}` between its inputs and its outputs, {text!r} has {text.count(ARROW)}",
            "write one such as `question -> answer: str`",
        )
    left, right = text.split(ARROW)
    sides = {
        name: _fields_of_text(part, name, own, known) for name, part in (("inputs", left), ("outputs", right))
    }
    return _checked(Shape(sides["inputs"], sides["outputs"]))


def _fields_of_text(text: str, side: str, own: Own, known: Iterable[str]) -> dict[str, ShapeField]:
    try:
        function, *more = ast.parse(f"def f({text.strip()}): pass").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _no_fields(text, side) from None
    if more or not isinstance(function, ast.FunctionDef):
        raise _no_fields(text, side)
    given = function.args
    if given.defaults or given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
        raise _no_fields(text, side)
    found: dict[str, ShapeField] = {}
    for argument in given.args:
        node = argument.annotation
        with_part = f"{side}.{argument.arg}"
        found[argument.arg] = ShapeField(
            str if node is None else _typed(with_part, annotation_of, node, own, known)
        )
    return found


def _no_fields(text: str, side: str) -> ShapeError:
    return ShapeError(
        f"{text.strip()!r} are no {side} of a signature",
        "write names with commas between, each with its type or without: `question, context: list[str]`",
    )


def _typed(part: str, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except AnnotationError as error:
        raise ShapeError(str(error), error.hint, part) from None


def shape_of_mapping(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    prompt: str | None,
    own: Own,
    known: Iterable[str] = (),
) -> Shape:
    """The signature that a mapping in a file means.

    Args:
        inputs: types by name: a text, null for `str`, or an object with `type` and `description`.
        outputs: likewise.
        prompt: the instructions.
        own: gives the project's own classes.
        known: names of these, for hints.

    Raises:
        ShapeError: it is none.
    """
    return _checked(
        Shape(
            _fields_of_mapping(inputs, "inputs", own, known),
            _fields_of_mapping(outputs, "outputs", own, known),
            prompt,
        )
    )


def _fields_of_mapping(
    given: Mapping[str, Any], side: str, own: Own, known: Iterable[str]
) -> dict[str, ShapeField]:
    found: dict[str, ShapeField] = {}
    for name, item in given.items():
        text = item if isinstance(item, str) else getattr(item, "type", "str")
        description = getattr(item, "description", None)
        part = f"{side}.{name}"
        found[name] = ShapeField(_typed(part, parse_annotation, text, own, known), description)
    return found


def _checked(shape: Shape) -> Shape:
    """The shape, if its names can be used.

    Raises:
        ShapeError: they cannot.
    """
    for side, fields in (("inputs", shape.inputs), ("outputs", shape.outputs)):
        if not fields:
            raise ShapeError(
                f"a signature has at least one of `{side}`", "write one such as `question -> answer`"
            )
        for name in fields:
            _check_name(name, f"{side}.{name}")
    both = [name for name in shape.inputs if name in shape.outputs]
    if both:
        raise ShapeError(
            f"`{both[0]}` is both an input and an output",
            "give one of them another name",
            f"outputs.{both[0]}",
        )
    return shape


def _check_name(name: str, part: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ShapeError(
            f"{name!r} cannot be the name of a field",
            "use letters, digits and `_`, beginning with a letter",
            part,
        )
    if name in RESERVED or (name.startswith("model_") and hasattr(BaseModel, name)):
        raise ShapeError(f"DSPy keeps the name {name!r} for itself", "give the field another name", part)
