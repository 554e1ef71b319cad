"""Options that a command accepts and forgets."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kurt.app.module_check.findings import Finding, at
from kurt.app.module_check.index import Index, Part

_OPTIONS = frozenset({"background", "priority"})


def dropped_options(index: Index) -> Iterator[Finding]:
    """Commands, and functions that start a workflow, which take `background` or `priority` and do nothing with it."""
    for item in index.functions.values():
        if item.node.decorator_list or item.node.name.startswith("run_"):
            yield from _in_function(item)


def _in_function(item: Part) -> Iterator[Finding]:
    used = {node.id for node in ast.walk(item.node) if isinstance(node, ast.Name)}
    for argument in (*item.node.args.args, *item.node.args.kwonlyargs):
        if argument.arg in _OPTIONS - used:
            yield Finding(
                "option_dropped",
                f"{item.node.name!r} accepts {argument.arg!r} and does nothing with it",
                f"pass it on: {argument.arg}={argument.arg}",
                *at(item.source.shown, argument),
            )
