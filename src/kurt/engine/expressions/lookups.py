"""How expressions look up names, keys and indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kurt.engine.expressions.allowance import Allowance
from kurt.engine.expressions.references import Path, find, is_missing, kind_of, show_path, suggest
from kurt.types import Json, Scope


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation.

    Attributes:
        scope: the names that are known.
        allowance: the work that is left.
    """

    scope: Scope
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class Lookup:
    """A path that an expression looks up.

    Attributes:
        path: the name, keys and indices.
        optional: there is a default for when it is missing.
    """

    path: Path
    optional: bool


class MissingError(LookupError):
    """A name or key is not there; `default` catches it.

    Attributes:
        hint: what is there.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


Run: TypeAlias = Callable[[Evaluation], Json]
"""A compiled part of an expression."""


def path_lookup(path: Path) -> Run:
    """Looks up a path; fails with `MissingError`, which says at which part there is nothing."""
    if len(path) == 1:
        name = str(path[0])

        def run_name(evaluation: Evaluation) -> Json:
            try:
                return evaluation.scope[name]
            except KeyError:
                hint = suggest(name, evaluation.scope, "in scope are")
                raise MissingError(f"unknown name `{name}`", hint) from None

        return run_name

    def run(evaluation: Evaluation) -> Json:
        value = find(path, evaluation.scope)
        if is_missing(value):
            raise _missing(path, evaluation.scope)
        return value

    return run


def _missing(path: Path, scope: Scope) -> MissingError:
    """Why there is nothing at `path`."""
    depth = 1
    while not is_missing(find(path[:depth], scope)):
        depth += 1
    parent = path[: depth - 1]
    return _missing_part(parent, path[depth - 1], find(parent, scope))


def _missing_part(parent: Path, part: str | int, value: Json) -> MissingError:
    if not parent:
        return MissingError(f"unknown name `{part}`", suggest(str(part), value, "in scope are"))
    shown = show_path(parent)
    if isinstance(value, Mapping) and isinstance(part, str):
        return MissingError(f"`{shown}` has no key {part!r}", suggest(part, value, "its keys are"))
    if isinstance(value, list | tuple) and isinstance(part, int):
        return MissingError(f"`{shown}` has {len(value)} items, there is no [{part}]")
    return MissingError(f"`{shown}` is {kind_of(value)}, it has no {part!r}")


def key_lookup(value: Run, key: str) -> Run:
    """Looks up a key in what another part gives."""

    def run(evaluation: Evaluation) -> Json:
        found = value(evaluation)
        if not isinstance(found, Mapping):
            raise MissingError(f"{kind_of(found)} has no key {key!r}")
        if key not in found:
            raise MissingError(f"there is no key {key!r}", suggest(key, found, "its keys are"))
        return found[key]

    return run
