"""Checking one module: all findings at once."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import kurt
from kurt.app.module_check.determinism import nondeterminism
from kurt.app.module_check.findings import ERROR, Finding, ModuleError
from kurt.app.module_check.index import build
from kurt.app.module_check.llm import prompts
from kurt.app.module_check.misuse import misuses
from kurt.app.module_check.options import dropped_options
from kurt.app.module_check.removed import removed
from kurt.app.module_check.results import changed_results
from kurt.app.module_check.shape import shape
from kurt.app.module_check.sources import Source, Unreadable, read_module
from kurt.app.module_check.tables import tables
from kurt.app.registry import WorkflowModule, WorkflowRegistry
from kurt.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from kurt.config import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked.

    Attributes:
        name: name of the module.
        home: its folder, or one file.
        shown: that path as people write it.
    """

    name: str
    home: Path
    shown: Path


_KURT: Final = Path(kurt.__file__).parent
_KEPT_ELSEWHERE: Final = frozenset({"missing_tests", "missing_e2e_test", "missing_migration"})
"""What modules that come with Kurt do not have in their folders: they share its tests and the one history of its tables."""


def check(settings: Settings, word: str) -> tuple[list[Finding], ModuleError | None]:
    """The findings in a module, by file and line, and the error with which a command about them ends.

    Args:
        settings: the project's settings.
        word: name of a workflow module, its folder, or a file.

    Raises:
        NotFoundError: there is no such module.
        UsageError: it is no Python module.
    """
    target = find(settings, word)
    found = check_target(target)
    failed = any(finding.severity == ERROR for finding in found)
    return found, ModuleError(str(target.shown), found) if failed else None


def check_target(target: Target) -> list[Finding]:
    """The findings in a folder or file, by file and line."""
    read = read_module(target.home, package=target.name, shown=target.shown)
    sources = [item for item in read if isinstance(item, Source)]
    own = [item for item in sources if not item.part.startswith("tests")]
    index = build(own)
    found = [_unreadable(item) for item in read if isinstance(item, Unreadable)]
    found += [
        *misuses(index),
        *nondeterminism(index),
        *changed_results(index),
        *prompts(own),
        *dropped_options(index),
        *removed(sources),
    ]
    if target.home.is_dir():
        found += shape(build(sources), target.home, package=target.name, shown=target.shown)
        found += tables(sources, target.home, package=target.name, shown=target.shown)
    if target.home.is_relative_to(_KURT):
        found = [item for item in found if item.code not in _KEPT_ELSEWHERE]
    return sorted(set(found), key=lambda item: (item.file, item.line, item.column, item.code))


def find(settings: Settings, word: str) -> Target:
    """The module that a word means.

    Raises:
        NotFoundError: there is none.
        UsageError: it is no Python module.
    """
    for path in (Path(word), settings.root / word):
        if path.is_file():
            return _file(path, settings)
        if path.is_dir():
            if not any(path.glob("*.py")):
                raise UsageError(
                    f"there is no Python file in {word!r}", hint="kurt workflows new NAME makes a module"
                )
            return Target(path.resolve().name, path.resolve(), _shown(path.resolve(), settings))
    module = WorkflowRegistry(settings).find(word)
    home = _home(module) if module is not None else None
    if module is None or home is None:
        raise NotFoundError(
            f"there is no workflow module {word!r} in {settings.workflows_dir}",
            hint="give the name of a folder there, or the path of a folder or file",
        )
    return Target(module.name, home, _shown(home, settings))


def _file(path: Path, settings: Settings) -> Target:
    if path.suffix in {".yaml", ".yml"}:
        raise UsageError(f"{path} is a workflow file", hint=f"kurt workflows validate {path}")
    if path.suffix != ".py":
        raise UsageError(f"{path} is no Python file", hint="give a .py file, or the folder of a module")
    path = path.resolve()
    return Target(path.parent.name, path, _shown(path, settings))


def _home(module: WorkflowModule) -> Path | None:
    """The folder of a module; that of an installed one is where Python finds it."""
    if module.folder is not None:
        return module.folder
    spec = importlib.util.find_spec(module.module)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _shown(path: Path, settings: Settings) -> Path:
    for base in (Path.cwd(), settings.root.resolve()):
        if path.is_relative_to(base):
            return path.relative_to(base)
    return path


def _unreadable(item: Unreadable) -> Finding:
    return Finding(
        "not_python",
        f"this is not Python: {item.problem}",
        "mend the line; until then the module cannot be imported",
        item.shown,
        item.line,
        item.column,
    )
