"""Importing a project's signatures into the executor: always what the files say now."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from kurt.engine.processes.child import tail_of_traceback
from kurt.engine.signatures.sources import SIGNATURES, file_of_module
from kurt.engine.suggestions import did_you_mean
from kurt.errors import StepError
from kurt.project_code import make_importable

_INSTALLED = ("site-packages", "dist-packages")
_CONFIGURE = "can only be"  # of DSPy's refusal to be configured by a second thread or task

_lock = threading.Lock()
_files: dict[str, dict[str, tuple[str, int, int]]] = {}
"""By module: the project's modules that its import has loaded, each with its file, time and size."""


def load_class(root: Path, module: str, name: str) -> Any:
    """A class of a module; the module is imported anew when it, or what it imports of the project, has changed.

    Raises:
        StepError: the module or the class is not there (`SignatureNotFound`), or the module's code raised.
    """
    found = load_module(root, module)
    try:
        return vars(found)[name]
    except KeyError:
        near = did_you_mean(name, [key for key, value in vars(found).items() if isinstance(value, type)])
        raise StepError(
            f"{module} has no class {name!r}", type="SignatureNotFound", hint=near or f"add it to {module}"
        ) from None


def own_types(root: Path) -> Mapping[str, Any]:
    """The classes that a project's `signatures.py` knows, for types of fields; none where there is no such file.

    Raises:
        StepError: its code raised.
    """
    if file_of_module(root, SIGNATURES) is None:
        return {}
    return vars(load_module(root, SIGNATURES))


def load_module(root: Path, name: str) -> ModuleType:
    """A module of the project or of an installed package.

    Raises:
        StepError: it is not there (`SignatureNotFound`), or its code raised.
    """
    make_importable(str(root))
    with _lock:
        if any(_stamp(Path(file)) != (time, size) for file, time, size in _files.get(name, {}).values()):
            for loaded in _files.pop(name):
                sys.modules.pop(loaded, None)
        known = sys.modules.get(name)
        if known is not None and name in _files:
            return known
        importlib.invalidate_caches()
        return _import(root, name)


def _import(root: Path, name: str) -> ModuleType:
    if file_of_module(root, name) is not None:
        sys.modules.pop(name, None)  # another project's, or one that was imported before it changed
    before = set(sys.modules)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _raised(name, error) from error
        raise StepError(
            f"there is no module {name!r}",
            type="SignatureNotFound",
            hint="modules are looked for in the project's folder and among the installed packages",
        ) from None
    except Exception as error:
        raise _raised(name, error) from error
    _files[name] = dict(_of_project(root, {name, *set(sys.modules) - before}))
    return module


def _raised(name: str, error: Exception) -> StepError:
    """The failure that the module's own code is."""
    kind = type(error).__name__
    hint = None
    if isinstance(error, RuntimeError) and "dspy" in str(error) and _CONFIGURE in str(error):
        hint = "take `dspy.configure(...)` out of the file: the model of a step is named in the workflow"
    return StepError(
        f"{name} cannot be imported: {kind}: {error}",
        type=kind,
        hint=hint,
        details={"traceback": tail_of_traceback(error)},
    )


def _of_project(root: Path, names: set[str]) -> list[tuple[str, tuple[str, int, int]]]:
    found: list[tuple[str, tuple[str, int, int]]] = []
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(root) and not _is_installed(file):
            stamp = _stamp(Path(file))
            if stamp is not None:
                found.append((name, (file, *stamp)))
    return found


def _is_installed(file: str) -> bool:
    return any(part in file for part in _INSTALLED)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
