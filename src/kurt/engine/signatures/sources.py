"""What a project's files define, read without running them: for checks of a workflow file before anything begins."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kurt.engine.signatures.shapes import ShapeField

SIGNATURES = "signatures"
"""The module of the project in which signatures are looked for by their name alone."""

_FIELD_CALLS = {"InputField": "inputs", "OutputField": "outputs"}
_BASE = "Signature"


class SourceError(ValueError):
    """A file of the project cannot be read as Python.

    Attributes:
        hint: what to do.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ClassSource:
    """A class as its text shows it.

    Attributes:
        name: its name.
        inputs: fields made by `InputField`, in their order.
        outputs: fields made by `OutputField`.
        is_signature: whether it derives from DSPy's `Signature`; None where a base is not in the file.
    """

    name: str
    inputs: Mapping[str, ShapeField]
    outputs: Mapping[str, ShapeField]
    is_signature: bool | None


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A module as its text shows it.

    Attributes:
        file: its file.
        classes: the classes that it defines, by name.
        functions: the functions that it defines.
        others: other names at its top level, such as imported ones.
        is_open: names may come from elsewhere (`from x import *`, a module's `__getattr__`).
    """

    file: Path
    classes: Mapping[str, ClassSource] = field(default_factory=dict[str, ClassSource])
    functions: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    is_open: bool = False

    def knows(self, name: str) -> bool:
        """Whether the name may be there."""
        return self.is_open or name in self.classes or name in self.functions or name in self.others


def file_of_module(root: Path, module: str) -> Path | None:
    """The file of the project that a module's full name means, None if it is not one of the project's."""
    place = root.joinpath(*module.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def read_module(file: Path) -> ModuleSource:
    """What a file defines.

    Raises:
        SourceError: it cannot be read, or is not Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is legal, though odd, is no fault of the workflow
            tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise SourceError(
            f"{file.name} is not Python: {error.msg}, in its line {error.lineno}", "correct that line"
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"{file.name} cannot be read: {error}", "correct the file") from None
    return _Reader(tree).module(file)


class _Reader:
    """Collects what stands at a module's top level."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._functions = {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self._others = set(_other_names(tree))

    def module(self, file: Path) -> ModuleSource:
        return ModuleSource(
            file,
            {name: self._class(name, ()) for name in self._nodes},
            frozenset(self._functions),
            frozenset(self._others - {"*"}),
            "*" in self._others or "__getattr__" in self._functions,
        )

    def _class(self, name: str, trail: tuple[str, ...]) -> ClassSource:
        node = self._nodes[name]
        inputs: dict[str, ShapeField] = {}
        outputs: dict[str, ShapeField] = {}
        kinds: list[bool | None] = []
        for base in node.bases:
            called = _last_name(base)
            if called == _BASE:
                kinds.append(True)
            elif isinstance(base, ast.Name) and called in self._nodes and called not in (*trail, name):
                above = self._class(called, (*trail, name))
                inputs |= above.inputs
                outputs |= above.outputs
                kinds.append(above.is_signature)
            else:
                kinds.append(None)
        for side, field_name, found in _fields(node):
            (inputs if side == "inputs" else outputs)[field_name] = found
        if True in kinds:
            return ClassSource(name, inputs, outputs, is_signature=None if None in kinds else True)
        return ClassSource(name, inputs, outputs, is_signature=None if None in kinds else False)


def _other_names(tree: ast.Module) -> Iterator[str]:
    """Names that imports and assignments of a module's top level bind, also those inside `if` and `try`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((name.asname or name.name).split(".")[0] for name in names)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.If() | ast.Try():
                yield from (
                    inner.name
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                )
            case _:
                pass


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, ShapeField]]:
    """The fields of a signature's class: side, name, and what is known."""
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call, annotation=annotation):
                optional = _allows_none(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                optional = False
            case _:
                continue
        side = _FIELD_CALLS.get(_last_name(call.func) or "")
        if side is not None:
            default = any(word.arg in ("default", "default_factory", None) for word in call.keywords)
            yield side, name, ShapeField(None, None, required=not (default or call.args or optional))


def _allows_none(annotation: ast.expr) -> bool:
    """Whether a type's text lets a value be None."""
    text = ast.unparse(annotation)
    return "None" in text or "Optional" in text


def _last_name(node: ast.expr) -> str | None:
    """The last part of a dotted name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None
