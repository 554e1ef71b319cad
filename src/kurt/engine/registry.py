"""Finding step kinds: Kurt's own, those of installed packages, and those in a project's `steps/` folder.

Kinds register through the entry-point group `kurt.steps`. Scanning the entry points of everything that is installed
costs more than reading a workflow file, so Kurt's own are also in a table here (a test holds the two together), and
the scan and the project's folder wait until a kind is asked for that is not in the table, or until all are listed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from kurt.engine.kinds import KindInfo, StepKind
from kurt.engine.language.schema import BLOCK_KINDS
from kurt.errors import ConflictError, DefinitionError, Fault
from kurt.project_code import load_file, make_importable

GROUP = "kurt.steps"
OWN = "kurt"
FOLDER = "steps"

BUILT_IN: Mapping[str, str] = {
    "cli": "kurt.engine.steps.cli:CliKind",
    "run": "kurt.engine.steps.run:RunKind",
    "script": "kurt.engine.steps.script:ScriptKind",
    "python": "kurt.engine.steps.python:PythonKind",
    "http": "kurt.engine.steps.http:HttpKind",
    "emit": "kurt.engine.steps.emit:EmitKind",
}
"""Kurt's own kinds by type, as the entry points of the distribution declare them."""


class Kinds(Mapping[str, KindInfo]):
    """The kinds of a project by type, loaded when they are asked for.

    Looking up one of Kurt's own kinds loads that kind only. Anything else loads all.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._loaded: dict[str, KindInfo] = {}
        self._all: dict[str, KindInfo] | None = None

    def __getitem__(self, kind: str) -> KindInfo:
        if kind in self._loaded:
            return self._loaded[kind]
        if kind in BUILT_IN:
            info = self._loaded[kind] = KindInfo(kind, _load(BUILT_IN[kind]), OWN)
            return info
        return self._everything()[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._everything())

    def __len__(self) -> int:
        return len(self._everything())

    def _everything(self) -> dict[str, KindInfo]:
        if self._all is None:
            found: dict[str, KindInfo] = {}
            for info in [*_installed(), *_of_project(self._root)]:
                _add(found, info)
            self._all = found
            self._loaded.update(found)
        return self._all


def kinds(project_root: Path | None) -> Kinds:
    """The step kinds that a project can use.

    Args:
        project_root: the project's root, None outside of one.

    What was found is kept until a file of the project's `steps/` folder changes. Looking a kind up may raise:
        ConflictError: two kinds have one type.
        DefinitionError: a file of the project's `steps/` folder cannot be loaded.
    """
    stamp = _stamp(project_root)
    known = _found.get(project_root)
    if known is None or known[0] != stamp:
        known = _found[project_root] = (stamp, Kinds(project_root))
    return known[1]


_found: dict[Path | None, tuple[tuple[tuple[str, int], ...], Kinds]] = {}


def _stamp(root: Path | None) -> tuple[tuple[str, int], ...]:
    """Names and times of the files that may define kinds."""
    return tuple((str(file), file.stat().st_mtime_ns) for file in _files(root))


def _files(root: Path | None) -> list[Path]:
    folder = root / FOLDER if root else None
    if folder is None or not folder.is_dir():
        return []
    return [file for file in sorted(folder.glob("*.py")) if not file.stem.startswith("_")]


def _load(target: str) -> type[StepKind]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _installed() -> Iterator[KindInfo]:
    """The kinds of the entry points, Kurt's own from the table."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs 15 ms, seldom needed

    for kind, target in BUILT_IN.items():
        yield KindInfo(kind, _load(target), OWN)
    for point in entry_points(group=GROUP):
        if BUILT_IN.get(point.name) != point.value:
            origin = point.dist.name if point.dist else point.value
            yield KindInfo(point.name, _load(point.value), origin)


def _of_project(root: Path | None) -> Iterator[KindInfo]:
    """The `StepKind` subclasses that the Python files of the project's `steps/` folder define."""
    files = _files(root)
    if root is None or not files:
        return
    make_importable(str(root))
    for file in files:
        module = _project_module(root / FOLDER, file)
        for found in vars(module).values():
            if _is_kind_of(found, module):
                yield KindInfo(found.type, found, f"{FOLDER}/{file.name}")


def _is_kind_of(found: object, module: ModuleType) -> TypeGuard[type[StepKind]]:
    """Whether it is a kind that the module itself defines; one without a type is a base class."""
    if not isinstance(found, type) or not issubclass(found, StepKind):
        return False
    return found.__module__ == module.__name__ and bool(getattr(found, "type", None))


def _project_module(folder: Path, file: Path) -> ModuleType:
    """The module of a file, loaded as `steps.<stem>`; again if the file has changed."""
    name = f"{FOLDER}.{file.stem}"
    stamp = (str(file), file.stat().st_mtime_ns)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__kurt_stamp__", None) == stamp:
        return known
    _ensure_package(folder)
    try:
        module = load_file(name, str(file))
    except Exception as error:
        # Whatever the project's own code raises is a fault of that file, reported as such.
        raise DefinitionError([_load_fault(file, error)]) from error
    module.__dict__["__kurt_stamp__"] = stamp
    return module


def _ensure_package(folder: Path) -> None:
    """`steps` as a package of this project's folder, so that its files may import each other."""
    package = sys.modules.get(FOLDER)
    if package is None or list(getattr(package, "__path__", ())) != [str(folder)]:
        package = ModuleType(FOLDER)
        package.__path__ = [str(folder)]
        sys.modules[FOLDER] = package


def _load_fault(file: Path, error: Exception) -> Fault:
    line = error.lineno if isinstance(error, SyntaxError) else _line_in(file, error)
    message = f"the step kind cannot be loaded: {type(error).__name__}: {error}"
    return Fault(
        message, hint="mend the file, or take it out of the folder", file=f"{FOLDER}/{file.name}", line=line
    )


def _line_in(file: Path, error: Exception) -> int | None:
    trace = error.__traceback__
    line: int | None = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _add(found: dict[str, KindInfo], info: KindInfo) -> None:
    if info.type in BLOCK_KINDS:
        message = f"the step kind {info.type!r} of {info.origin} has the type of one of Kurt's blocks"
        raise ConflictError(message, hint=f"change `type` in {info.origin}")
    other = found.get(info.type)
    if other is not None:
        raise ConflictError(
            f"two step kinds have the type {info.type!r}: one of {other.origin}, one of {info.origin}",
            hint=f"change `type` in {info.origin}",
        )
    found[info.type] = info
