"""References: `${path}` and `${path ?? default}` inside the values of a workflow file.

A path is a name and then any number of `.key`, `[index]` and `["key"]`. It is looked up through mappings and lists
only, never through the attributes of a Python object. A string that is exactly one reference stands for the value
itself, of whatever type; inside other text a string is inserted as it is and everything else as JSON. What a value
contains is never looked at again. `$${` is a literal `${`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from kurt.engine.expressions.reference_syntax import ReferenceSyntaxError, read_reference
from kurt.engine.suggestions import closest, listing
from kurt.errors import ExpressionError
from kurt.types import Json, Scope

Path: TypeAlias = tuple[str | int, ...]
"""The name that a reference starts from, then keys and indices."""

_MISSING = object()


class TemplateSyntaxError(ValueError):
    """A text with references cannot be read.

    Attributes:
        hint: the remedy.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Literal:
    """The constant after `??`.

    Attributes:
        value: its JSON value.
    """

    value: Json


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${...}`.

    Attributes:
        text: as it stands in the file.
        choices: paths, tried in order, perhaps a constant at the end.
    """

    text: str
    choices: tuple[Path | Literal, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that it may look up."""
        return tuple(choice for choice in self.choices if not isinstance(choice, Literal))

    @property
    def is_optional(self) -> bool:
        """Whether there is a default, so that the first path may be missing."""
        return len(self.choices) > 1

    def resolve(self, scope: Scope) -> Json:
        """The value; with `??` the first that is neither missing nor null, else the last.

        Raises:
            ExpressionError: the path leads nowhere and there is no default.
        """
        for choice in self.choices[:-1]:
            value = choice.value if isinstance(choice, Literal) else find(choice, scope)
            if value is not _MISSING and value is not None:
                return value
        last = self.choices[-1]
        return last.value if isinstance(last, Literal) else look_up(last, scope, self.text)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with references.

    Attributes:
        parts: literal texts and references, in order.
    """

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """Its references, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def names(self) -> frozenset[str]:
        """The names that its references start from."""
        return frozenset(str(path[0]) for reference in self.references for path in reference.paths)

    def resolve(self, scope: Scope) -> Json:
        """Its value: text, or for exactly one reference the value that it refers to.

        Raises:
            ExpressionError: a reference leads nowhere.
        """
        parts = self.parts
        if len(parts) == 1 and isinstance(parts[0], Reference):
            return parts[0].resolve(scope)
        return "".join(part if isinstance(part, str) else as_text(part.resolve(scope)) for part in parts)


def as_text(value: Json) -> str:
    """A value inside text: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def has_references(value: Json) -> bool:
    """Whether `${` stands anywhere in the value's strings (also an escaped one or one that is not well formed)."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Mapping):
        return any(has_references(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_references(item) for item in value)


@lru_cache(maxsize=8192)
def parse_template(value: str) -> Template:
    """Read a text with references.

    Raises:
        TemplateSyntaxError: a reference is not well formed; the message says what and where.
    """
    parts: list[str | Reference] = []
    literal = ""
    position = 0
    while (start := value.find("${", position)) != -1:
        if start > position and value[start - 1] == "$":
            literal += value[position : start - 1] + "${"
            position = start + 2
            continue
        literal += value[position:start]
        if literal:
            parts.append(literal)
        literal = ""
        reference, position = reference_at(value, start)
        parts.append(reference)
    literal += value[position:]
    if literal or not parts:
        parts.append(literal)
    return Template(tuple(parts))


def reference_at(text: str, start: int) -> tuple[Reference, int]:
    """The reference that begins with the `${` at `start`, and the position after its `}`.

    Raises:
        TemplateSyntaxError: it is not well formed.
    """
    try:
        choices, end = read_reference(text, start + 2)
    except ReferenceSyntaxError as error:
        raise TemplateSyntaxError(str(error), error.hint) from None
    paths = tuple(Literal(choice[0]) if kind == "literal" else choice for kind, choice in choices)
    return Reference(text[start:end], paths), end


def resolve(value: Json, scope: Scope) -> Json:
    """A copy of the value in which every reference, at any depth, is replaced; keys stay as they are.

    Raises:
        ExpressionError: a reference leads nowhere.
    """
    if isinstance(value, str):
        return parse_template(value).resolve(scope) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    return value


def references(value: Json) -> Iterator[Reference]:
    """Every reference in the value, at any depth.

    Raises:
        TemplateSyntaxError: one is not well formed.
    """
    if isinstance(value, str):
        if "${" in value:
            yield from parse_template(value).references
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def roots(value: Json) -> set[str]:
    """The names that the references in the value start from.

    Raises:
        TemplateSyntaxError: a reference is not well formed.
    """
    return {str(path[0]) for reference in references(value) for path in reference.paths}


def find(path: Path, scope: Scope) -> Json:
    """The value at `path`, or a private marker that `is_missing` knows."""
    value: Json = scope
    for part in path:
        value = _step(value, part)
        if value is _MISSING:
            break
    return value


def is_missing(value: Json) -> bool:
    """Whether `find` found nothing."""
    return value is _MISSING


def _step(value: Json, part: str | int) -> Json:
    if isinstance(part, str):
        return value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
    if isinstance(value, list | tuple) and 0 <= part < len(value):
        return value[part]
    return _MISSING


def look_up(path: Path, scope: Scope, text: str) -> Json:
    """The value at `path`.

    Args:
        path: where to look.
        scope: the names that are known.
        text: the reference as the user wrote it, for the message.

    Raises:
        ExpressionError: there is nothing; the message says at which part, the hint what there is.
    """
    value: Json = scope
    for depth, part in enumerate(path):
        found = _step(value, part)
        if found is _MISSING:
            raise _not_found(path, depth, value, text)
        value = found
    return value


def _not_found(path: Path, depth: int, value: Json, text: str) -> ExpressionError:
    part = path[depth]
    where = f" in `{text}`" if text != str(path[0]) else ""
    if depth == 0:
        return unknown_name(str(part), value, where)
    parent = show_path(path[:depth])
    if isinstance(part, str) and isinstance(value, Mapping):
        message = f"`{parent}` has no key {part!r}{where}"
        return ExpressionError(message, hint=suggest(part, value, "its keys are"))
    if isinstance(part, int) and isinstance(value, list | tuple):
        return ExpressionError(f"`{parent}` has {len(value)} items, there is no [{part}]{where}")
    wanted = "an index" if isinstance(part, int) else f"a key {part!r}"
    return ExpressionError(f"`{parent}` is {kind_of(value)}, it cannot have {wanted}{where}")


def unknown_name(name: str, known: Iterable[str], where: str = "") -> ExpressionError:
    """The error for a name that is not in scope."""
    names = sorted(str(item) for item in known)
    hint = suggest(name, names, "in scope are")
    return ExpressionError(f"unknown name `{name}`{where}", hint=hint, details={"in_scope": names})


def suggest(word: str, known: Iterable[str], label: str) -> str:
    """A hint: the closest known word if there is one, and the known words."""
    names = sorted(str(item) for item in known)
    near = closest(word, names)
    return (f"did you mean `{near}`? " if near else "") + f"{label}: {listing(names)}"


def show_path(path: Path) -> str:
    """A path as it is written: `steps.a[0]["b c"]`."""
    text = str(path[0])
    for part in path[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if part.replace("-", "_").isidentifier() else f"[{json.dumps(part)}]"
    return text


def kind_of(value: Json) -> str:
    """The type of a JSON value, with its article, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a mapping" if isinstance(value, Mapping) else "a list"
