"""Python workflows: those of the project's `workflows/` folder and of installed packages, found by name.

A module is imported when a run names it, never before. Names are found without importing: by the guide's convention
(folder `x` holds `x_workflow`), else by reading the sources.
"""

from __future__ import annotations

import ast
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import kurt.workflows
from kurt.project_code import make_importable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings

_log = logging.getLogger(__name__)

ENTRY_POINTS = "kurt.workflows"
"""Group in which installed packages name their workflow modules: `name = package.module`."""

PACKAGE = "kurt.workflows"
"""Package under which a project's own modules are imported."""


@dataclass(frozen=True, slots=True)
class WorkflowModule:
    """A module that holds a Python workflow.

    Attributes:
        name: the short name: that of its folder, or of the entry point.
        module: import path of the package.
        folder: where its sources are, None for a module that only its import finds.
    """

    name: str
    module: str
    folder: Path | None

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Names, times and sizes of its sources: another stamp means edited code."""
        if self.folder is None:
            return ()
        found = ((path, path.stat()) for path in sorted(self.folder.rglob("*.py")))
        return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)

    def workflow_names(self) -> set[str]:
        """Durable names of the DBOS workflows in its sources, found without importing them."""
        if self.folder is None:
            return set()
        return {
            name for path in sorted(self.folder.rglob("*.py")) for name in _decorated(path.read_text("utf-8"))
        }


def _decorated(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _is_workflow(decorator.func):
                    yield _given_name(decorator) or node.name


def _is_workflow(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "workflow"


def _given_name(decorator: ast.Call) -> str | None:
    for keyword in decorator.keywords:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


class WorkflowRegistry:
    """The Python workflows that a project can run.

    Args:
        settings: the project's settings.
        on_stale: called when a loaded module's sources have changed on disk.
    """

    def __init__(self, settings: Settings, *, on_stale: Callable[[], None] | None = None) -> None:
        self._folder = settings.workflows_dir
        self._root = settings.root
        self.on_stale = on_stale
        self._loaded: dict[str, tuple[WorkflowModule, Any]] = {}
        _make_importable(self._root, self._folder)

    def modules(self) -> list[WorkflowModule]:
        """All modules by name; those of the project hide installed ones."""
        found = {module.name: module for module in _installed()}
        found.update({module.name: module for module in self._own()})
        return [found[name] for name in sorted(found)]

    def _own(self) -> Iterator[WorkflowModule]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if folder.name.isidentifier() and (folder / "workflow.py").is_file():
                yield WorkflowModule(folder.name, f"{PACKAGE}.{folder.name}", folder)

    def find(self, name: str) -> WorkflowModule | None:
        """The module of a short name, or of a workflow's durable name."""
        own = {module.name: module for module in self._own()}
        short = name.removesuffix("_workflow")
        if (module := own.get(name) or own.get(short)) is not None:
            return module
        for module in own.values():
            if name in module.workflow_names():
                return module
        return next((module for module in _installed() if module.name in {name, short}), None)

    def function(self, module: WorkflowModule, name: str | None = None) -> Callable[..., Any] | None:
        """Import the module and give its workflow function.

        Args:
            module: where it is.
            name: its durable name, or the name of its function; by default, and for the module's short name, it is
                `<short name>_workflow`.
        """
        stamp = module.stamp()
        package = importlib.import_module(module.module)
        inner = _submodule(package, "workflow")
        self._loaded.setdefault(module.name, (module, stamp))
        wanted = f"{module.name}_workflow" if name in {None, module.name} else name
        found = [
            (attribute, function)
            for holder in (inner, package)
            if holder is not None
            for attribute, function in vars(holder).items()
            if _is_registered_workflow(function)
        ]
        by_durable_name = (function for _, function in found if durable_name(function) == wanted)
        by_attribute = (function for attribute, function in found if attribute == wanted)
        return next(by_durable_name, None) or next(by_attribute, None)

    def stale(self) -> bool:
        """True if the sources of an imported module have changed."""
        return any(module.stamp() != stamp for module, stamp in self._loaded.values())

    def resolve(self, name: str, *, child: bool = False) -> Callable[..., Any] | None:
        """The function for a run that this executor has taken, None where DBOS's own table is right.

        An unknown name gives a workflow that fails with that word, stale code one that hands the run back.

        Args:
            name: the workflow's durable name; for a child also its short name.
            child: it is to be started as a child of a run that is at work here; that run keeps the code it began with.
        """
        from kurt.app.fallbacks import hand_back, unknown  # noqa: PLC0415 - registers with DBOS, only executors may

        if name.startswith(("kurt.", "<temp>")):
            return None
        if not child and self.stale():
            if self.on_stale is not None:
                self.on_stale()
            return hand_back
        module = self.find(name)
        function = self.function(module, name) if module is not None else None
        if child:
            return function
        return None if _registered(name) else unknown


def _registered(name: str) -> bool:
    """True if a test or an application has registered the function itself."""
    from kurt.runtime.recovery import is_registered  # noqa: PLC0415 - loads DBOS

    return is_registered(name)


def _is_registered_workflow(function: Any) -> bool:
    """True for a DBOS workflow; a step has a durable name too."""
    name = durable_name(function)
    return name is not None and _registered(name)


def durable_name(function: Any) -> str | None:
    """The name under which DBOS knows a function, None for any other object."""
    name = getattr(function, "dbos_function_name", None)
    return name if isinstance(name, str) else None


def _submodule(package: ModuleType, name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"{package.__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package.__name__}.{name}":
            raise
        return None


def _installed() -> Iterator[WorkflowModule]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and only installed workflows need it

    for point in entry_points(group=ENTRY_POINTS):
        yield WorkflowModule(point.name, point.module, None)


def _make_importable(root: Path, folder: Path) -> None:
    """Let the project's root be imported from, and its `workflows/x` as `kurt.workflows.x` and `workflows.x`."""
    make_importable(str(root))
    if str(folder) not in kurt.workflows.__path__:
        kurt.workflows.__path__.append(str(folder))
    _Alias.install()


class _Alias(MetaPathFinder, Loader):
    """Makes `workflows.x` of a project the module `kurt.workflows.x`: two copies would register everything twice."""

    @classmethod
    def install(cls) -> None:
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != "workflows" and not fullname.startswith("workflows."):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        del spec
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(f"kurt.{module.__name__}")
