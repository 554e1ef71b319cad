"""Names and one-line helps of the commands in a Python file, from its text: nothing of it is run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAKERS = {"command", "group"}
_ENDINGS = ("_command", "_cmd", "_group", "_grp")


def names_in(path: str) -> list[tuple[str, str]]:
    """The commands that a file defines at its top level.

    A file in which none is recognised, or which is no valid Python, counts as one command of the file's name, so
    that calling it tells what is wrong.
    """
    file = Path(path)
    try:
        tree = ast.parse(file.read_bytes(), filename=path)
    except (SyntaxError, ValueError, OSError):
        return [(file.stem, f"A command of {file.name}, which cannot be read.")]
    found = [named for node in tree.body for named in _command_of(node, _local_names(tree))]
    return found or [(file.stem.replace("_", "-"), f"A command of {file.name}.")]


def _local_names(tree: ast.Module) -> set[str]:
    """Functions of the file: `@notes.command()` on one of them makes a command below it, not one of the top level."""
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _command_of(node: ast.stmt, local: set[str]) -> Iterator[tuple[str, str]]:
    if not isinstance(node, ast.FunctionDef):
        return
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        maker = call.func if call else decorator
        if _is_maker(maker, local):
            yield _name(call, node.name), _help(call, node)
            return


def _is_maker(maker: ast.expr, local: set[str]) -> bool:
    """`command`, `group`, `click.command`, `kurt.cli.command.group`..., but not `notes.command`."""
    if isinstance(maker, ast.Name):
        return maker.id in _MAKERS
    if not isinstance(maker, ast.Attribute) or maker.attr not in _MAKERS:
        return False
    return not (isinstance(maker.value, ast.Name) and maker.value.id in local)


def _name(call: ast.Call | None, function: str) -> str:
    """The name given to the decorator, else the one that click makes of the function's."""
    given = (
        [call.args[0]]
        if call and call.args
        else [k.value for k in call.keywords if k.arg == "name"]
        if call
        else []
    )
    for value in given:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    for ending in _ENDINGS:
        if function.endswith(ending) and function != ending:
            function = function.removesuffix(ending)
            break
    return function.lower().replace("_", "-")


def _help(call: ast.Call | None, node: ast.FunctionDef) -> str:
    """The first sentence of the help, as click shortens it."""
    for keyword in call.keywords if call else []:
        if keyword.arg in {"short_help", "help"} and isinstance(keyword.value, ast.Constant):
            return " ".join(str(keyword.value.value).split())
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    text = " ".join(paragraph.split())
    return text.partition(". ")[0].removesuffix(".") + "." if text else ""
