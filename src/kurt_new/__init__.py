"""The old import name of Kurt: `kurt_new.a.b` is the module `kurt.a.b`, at any depth.

Both names give one module object, whichever is imported first, so classes, tables and registered workflows exist
once. `kurt_new` itself is `kurt`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import kurt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

PREFIX = f"{__name__}."


def _real_name(alias: str) -> str:
    """The name under `kurt` of a name under `kurt_new`."""
    return f"{kurt.__name__}.{alias.removeprefix(PREFIX)}"


def _real_spec(alias: str) -> ModuleSpec | None:
    """How the real module is found, or None if there is none. Imports its parents."""
    try:
        return importlib.util.find_spec(_real_name(alias))
    except ModuleNotFoundError:  # a parent is no package
        return None


class _AliasLoader(InspectLoader):
    """Loads an alias by importing the real module and putting that one in its place."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002 - a given signature
        return None  # the place-holder that `exec_module` replaces

    def exec_module(self, module: ModuleType) -> None:
        # The import system returns what it finds in `sys.modules` after this call.
        sys.modules[module.__name__] = importlib.import_module(_real_name(module.__name__))

    def is_package(self, fullname: str) -> bool:
        spec = _real_spec(fullname)
        return spec is not None and spec.submodule_search_locations is not None

    def get_source(self, fullname: str) -> str | None:
        loader = getattr(_real_spec(fullname), "loader", None)
        return loader.get_source(_real_name(fullname)) if isinstance(loader, InspectLoader) else None

    def get_code(self, fullname: str) -> CodeType | None:
        """The real module's code, for `python -m kurt_new`."""
        loader = getattr(_real_spec(fullname), "loader", None)
        return loader.get_code(_real_name(fullname)) if isinstance(loader, InspectLoader) else None


class _AliasFinder(MetaPathFinder):
    """Finds every name below `kurt_new`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - a given signature
        target: ModuleType | None = None,  # noqa: ARG002 - a given signature
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX):
            return None
        real = _real_spec(fullname)
        if real is None:
            return None
        is_package = real.submodule_search_locations is not None
        return ModuleSpec(fullname, _AliasLoader(), origin=real.origin, is_package=is_package)


# First of all finders: the package's path is that of `kurt`, in which the usual finder would make second copies.
sys.meta_path.insert(0, _AliasFinder())
sys.modules[__name__] = kurt
