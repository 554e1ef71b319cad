"""Classes that a project's own Python files define: step kinds in `steps/`, notifiers in `notifiers/`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeGuard, TypeVar

from kurt.errors import DefinitionError, Fault
from kurt.project_code import load_file, make_importable

Base = TypeVar("Base")


def plugin_files(root: Path | None, folder: str) -> list[Path]:
    """The Python files of a folder of the project that may define plug-ins; those with `_` in front are helpers."""
    place = root / folder if root else None
    if place is None or not place.is_dir():
        return []
    return [file for file in sorted(place.glob("*.py")) if not file.stem.startswith("_")]


def plugin_stamp(root: Path | None, folder: str) -> tuple[tuple[str, int], ...]:
    """Names and times of those files: another stamp, another set of plug-ins."""
    return tuple((str(file), file.stat().st_mtime_ns) for file in plugin_files(root, folder))


def plugin_classes(
    root: Path | None, folder: str, base: type[Base], what: str
) -> Iterator[tuple[type[Base], str]]:
    """The subclasses with a `type` that the files define, each with the file as people know it.

    Args:
        root: the project's root, None outside of one.
        folder: name of the folder in it.
        base: what they are subclasses of; one without a `type` is a base class itself.
        what: how messages call one, such as `the step kind`.

    Raises:
        DefinitionError: a file cannot be loaded.
    """
    files = plugin_files(root, folder)
    if root is None or not files:
        return
    make_importable(str(root))
    for file in files:
        module = _module(root / folder, file, what)
        for found in vars(module).values():
            if _is_plugin(found, module, base):
                yield found, f"{folder}/{file.name}"


def _is_plugin(found: object, module: ModuleType, base: type[Base]) -> TypeGuard[type[Base]]:
    """Whether it is a class that the module itself defines."""
    if not isinstance(found, type) or not issubclass(found, base):
        return False
    return found.__module__ == module.__name__ and bool(getattr(found, "type", None))


def _module(folder: Path, file: Path, what: str) -> ModuleType:
    """The module of a file, loaded as `<folder>.<stem>`; again if the file has changed."""
    name = f"{folder.name}.{file.stem}"
    stamp = (str(file), file.stat().st_mtime_ns)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__kurt_stamp__", None) == stamp:
        return known
    _ensure_package(folder)
    try:
        module = load_file(name, str(file))
    except Exception as error:
        # Whatever the project's own code raises is a fault of that file, reported as such.
        raise DefinitionError([_load_fault(file, error, what)]) from error
    module.__dict__["__kurt_stamp__"] = stamp
    return module


def _ensure_package(folder: Path) -> None:
    """The folder as a package of this project, so that its files may import each other."""
    package = sys.modules.get(folder.name)
    if package is None or list(getattr(package, "__path__", ())) != [str(folder)]:
        package = ModuleType(folder.name)
        package.__path__ = [str(folder)]
        sys.modules[folder.name] = package


def _load_fault(file: Path, error: Exception, what: str) -> Fault:
    line = error.lineno if isinstance(error, SyntaxError) else _line_in(file, error)
    message = f"{what} cannot be loaded: {type(error).__name__}: {error}"
    place = f"{file.parent.name}/{file.name}"
    return Fault(message, hint="mend the file, or take it out of the folder", file=place, line=line)


def _line_in(file: Path, error: Exception) -> int | None:
    trace = error.__traceback__
    line: int | None = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
