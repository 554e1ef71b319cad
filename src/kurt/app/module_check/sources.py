"""The files of a module as syntax trees, and what the names in them mean."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

OWN = "@"
"""Begins the name of something that the module itself defines: `@steps.clean_step`."""

_PACKAGES = ("kurt.workflows.", "kurt_new.workflows.", "workflows.")
"""Where a module's own package may be imported from."""

_KNOWN = {
    "DBOS": "dbos.DBOS",
    "LLMStep": "kurt.core.LLMStep",
    "EmbeddingStep": "kurt.core.EmbeddingStep",
    "Queue": "dbos.Queue",
}
"""What these names mean in a file that does not import them: an excerpt."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of a module.

    Attributes:
        shown: its path as people write it.
        part: its dotted place in the module: `steps`, `tests.test_e2e`, or the empty text for `__init__.py`.
        package: name of the module.
        tree: its syntax tree.
    """

    shown: str
    part: str
    package: str
    tree: ast.Module = field(repr=False)

    @cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name is, in full."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    found[item.asname or item.name.split(".")[0]] = _canonical(
                        item.name if item.asname else item.name.split(".")[0], self.package
                    )
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                for item in node.names:
                    found[item.asname or item.name] = _canonical(f"{origin}.{item.name}", self.package)
        return found

    @cached_property
    def defined(self) -> set[str]:
        """Names that the file defines at its top level."""
        found: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, Function | ast.ClassDef):
                found.add(node.name)
            else:
                found |= {
                    part.id
                    for part in ast.walk(node)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                }
        return found

    def own_name(self, name: str) -> str:
        """The full name of something that this file defines."""
        return f"{OWN}{self.part}.{name}" if self.part else f"{OWN}{name}"

    def meaning(self, name: str) -> str:
        """What a name means at the top level of the file."""
        if name in self.imports:
            return self.imports[name]
        return self.own_name(name) if name in self.defined else _KNOWN.get(name, name)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.part.split(".") if self.part else []
        here = parts[: len(parts) - node.level] if self.part else []
        return OWN + ".".join([*here, *([node.module] if node.module else [])])


def _canonical(name: str, package: str) -> str:
    """A full name in which the module's own package and the old import name are made one."""
    for prefix in _PACKAGES:
        if name.startswith(f"{prefix}{package}."):
            return OWN + name.removeprefix(f"{prefix}{package}.")
    name = name.replace(f"{OWN}.", OWN, 1)
    return "kurt." + name.removeprefix("kurt_new.") if name.startswith("kurt_new.") else name


def dotted(node: ast.AST, names: dict[str, str], source: Source) -> str:
    """An expression as a dotted name: `pathlib.Path().read_text`; empty for what has no name.

    Args:
        node: the expression.
        names: what local names mean.
        source: the file.
    """
    match node:
        case ast.Name(id=name):
            return names[name] if name in names else source.meaning(name)
        case ast.Attribute(value=value, attr=attribute):
            inner = dotted(value, names, source)
            return f"{inner}.{attribute}" if inner else f"?.{attribute}"
        case ast.Call(func=function):
            inner = dotted(function, names, source)
            return f"{inner}()" if inner else ""
        case ast.Await(value=value):
            return dotted(value, names, source)
        case _:
            return ""


@dataclass(frozen=True)
class Unreadable:
    """A file that is not Python.

    Attributes:
        shown: its path as people write it.
        line: where the parser stopped.
        column: the column there.
        problem: what it says.
    """

    shown: str
    line: int
    column: int
    problem: str


def read_module(home: Path, *, package: str, shown: Path) -> list[Source | Unreadable]:
    """The Python files of a folder, or one file.

    Args:
        home: the folder or file.
        package: name of the module.
        shown: its path as people write it.
    """
    if home.is_file():
        return [_read(home, str(shown), home.stem, package)]
    return [
        _read(path, str(shown / path.relative_to(home)), _part(path.relative_to(home)), package)
        for path in sorted(home.rglob("*.py"))
        if not {"__pycache__", "migrations"} & set(path.relative_to(home).parts)
    ]


def _part(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(path: Path, shown: str, part: str, package: str) -> Source | Unreadable:
    try:
        return Source(shown, part, package, ast.parse(path.read_bytes(), shown))
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        return Unreadable(shown, line, column, str(getattr(error, "msg", None) or error))
