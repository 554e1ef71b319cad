"""Importing a project's own Python files: always what the file says now, never a cached translation of it.

Python keeps the byte code of a module beside it and takes it for current when the file's size and its time in whole
seconds are the same. A file that was edited twice within a second may then run as it was before, which a live worker
must never do. A project's modules are few and small, so they are translated anew in each process.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_INSTALLED = ("/site-packages/", "/dist-packages/")
"""A virtual environment may lie in the project's folder: what is installed there is not the project's code."""


class SourceLoader(SourceFileLoader):
    """Loads a module from its source and neither reads nor writes byte code."""

    def path_stats(self, path: str) -> dict[str, float]:
        """Refuse to tell the file's time: that is how a loader says that its code cannot be cached."""
        raise OSError(f"{path} is not cached")


class _Finder(MetaPathFinder):
    """Finds the modules in the folders of projects; leaves all others to Python."""

    def __init__(self) -> None:
        self.roots: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        own = [root for root in self.roots if root in sys.path] if path is None else self._own(path)
        spec = PathFinder.find_spec(fullname, own, target) if own else None
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None  # not here, or a bare folder, which an installed package of that name goes before
        spec.loader = SourceLoader(spec.loader.name, spec.loader.path)
        spec.cached = None
        return spec

    def _own(self, path: Sequence[str]) -> list[str]:
        return [entry for entry in path if any(_belongs(entry, root) for root in self.roots)]


def _belongs(path: str, root: str) -> bool:
    return f"{path}/".startswith(f"{root}/") and not any(part in f"{path}/" for part in _INSTALLED)


_finder = _Finder()


def make_importable(root: str) -> None:
    """Let the modules in a project's root be imported, before installed ones of the same name.

    Args:
        root: absolute path of the project's root.
    """
    if root not in sys.path:
        sys.path.insert(0, root)
    if root not in _finder.roots:
        _finder.roots.append(root)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(sys.meta_path.index(PathFinder), _finder)


def load_file(name: str, path: str) -> ModuleType:
    """The module of one file, executed now and kept in `sys.modules` under the name.

    Args:
        name: the module's full name.
        path: absolute path of the file.

    Raises:
        ImportError: the file is no Python file.
        Exception: whatever the file's own code raises; half a module does not stay behind.
    """
    spec = spec_from_file_location(name, path, loader=SourceLoader(name, path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded as a Python module", name=name, path=path)
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:  # whatever it raised, half a module must not stay behind
        sys.modules.pop(name, None)
        raise
    return module
