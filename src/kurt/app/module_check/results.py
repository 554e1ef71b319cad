"""Results of plain steps that JSON changes: the first run sees one value, a replay another."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kurt.app.module_check.findings import WARNING, Finding, at
from kurt.app.module_check.index import STEP, Index, Part
from kurt.app.module_check.sources import Function

_CHANGED = {
    "tuple": ("a tuple", "a list"),
    "set": ("a set", "a sorted list"),
    "frozenset": ("a frozenset", "a sorted list"),
    "Tuple": ("a tuple", "a list"),
    "Set": ("a set", "a sorted list"),
    "FrozenSet": ("a frozenset", "a sorted list"),
    "uuid.uuid4": ("a UUID", "a text"),
    "uuid.UUID": ("a UUID", "a text"),
    "pathlib.Path": ("a path", "a text"),
}
"""Calls and annotations by full name: what they give, and what a replay sees."""

_REMEDY = {
    "a list": "return a list: [...] or list(...)",
    "a sorted list": "return sorted(...)",
    "a text": "return str(...)",
}
_MAPPINGS = {"dict", "Dict", "Mapping", "typing.Dict", "typing.Mapping", "collections.abc.Mapping"}


def changed_results(index: Index) -> Iterator[Finding]:
    """Findings about the `return` lines and annotations of steps; of each step one for a place."""
    for function in index.functions.values():
        if function.role == STEP:
            yield from _returned(function)
            yield from _annotated(function)


def _returned(function: Part) -> Iterator[Finding]:
    assigned = _assigned_once(function.node)
    for node in function.body():
        if isinstance(node, ast.Return) and node.value is not None:
            value = assigned.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
            yield from _inside(function, value or node.value)


def _assigned_once(node: Function) -> dict[str, ast.expr]:
    """Local names that have one value only."""
    found: dict[str, ast.expr] = {}
    stored = [
        part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    ]
    for part in ast.walk(node):
        match part:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if stored.count(name) == 1:
                found[name] = value
            case _:
                pass
    return found


def _inside(function: Part, node: ast.expr) -> Iterator[Finding]:
    """What JSON changes in a value that is written down in the source."""
    match node:
        case ast.Tuple(elts=items):
            yield _finding(function, node, "a tuple", "a list")
            yield from _all_inside(function, items)
        case ast.Set() | ast.SetComp():
            yield _finding(function, node, "a set", "a sorted list")
        case ast.List(elts=items):
            yield from _all_inside(function, items)
        case ast.Dict(keys=keys, values=values):
            yield from (_key(function, key) for key in keys if key is not None and _is_other_key(key))
            yield from _all_inside(function, values)
        case ast.DictComp(key=key, value=value):
            yield from (_key(function, key) for _ in (1,) if _is_other_key(key))
            yield from _inside(function, value)
        case ast.ListComp(elt=element):
            yield from _inside(function, element)
        case ast.IfExp(body=one, orelse=other):
            yield from _all_inside(function, [one, other])
        case ast.Call(func=called) if (name := function.dotted(called)) in _CHANGED:
            yield _finding(function, node, *_CHANGED[name])
        case _:
            pass


def _all_inside(function: Part, nodes: list[ast.expr]) -> Iterator[Finding]:
    for node in nodes:
        yield from _inside(function, node)


def _is_other_key(node: ast.expr) -> bool:
    """Whether a key is known not to be a text."""
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str)
    return isinstance(node, ast.Tuple) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"int", "bytes", "float"}
    )


def _annotated(function: Part) -> Iterator[Finding]:
    node = function.node.returns
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return
    for part in ast.walk(node) if node is not None else ():
        name = function.dotted(part) if isinstance(part, ast.Name | ast.Attribute) else ""
        if name.removeprefix("typing.") in _CHANGED and isinstance(part, ast.expr):
            yield _finding(function, part, *_CHANGED[name.removeprefix("typing.")])
        match part:
            case ast.Subscript(value=value, slice=ast.Tuple(elts=[key, *_])) if function.dotted(
                value
            ) in _MAPPINGS and function.dotted(key) in {"int", "float", "bytes", "bool"}:
                yield _key(function, key)
            case _:
                pass


def _finding(function: Part, node: ast.expr, given: str, seen: str) -> Finding:
    return Finding(
        "result_changed_by_json",
        f"the step {function.node.name!r} returns {given}; results are stored as JSON, and a replay sees {seen}",
        _REMEDY[seen],
        *at(function.source.shown, node),
        severity=WARNING,
    )


def _key(function: Part, node: ast.expr) -> Finding:
    return Finding(
        "key_not_text",
        f"the step {function.node.name!r} returns a mapping with the key {ast.unparse(node)}; JSON has text keys only",
        "use text keys, such as str(key), or return a list of pairs",
        *at(function.source.shown, node),
        severity=WARNING,
    )
