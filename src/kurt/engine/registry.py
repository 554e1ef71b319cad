"""Finding step kinds: Kurt's own, those of installed packages, and those in a project's `steps/` folder.

Kinds register through the entry-point group `kurt.steps`. Scanning the entry points of everything that is installed
costs more than reading a workflow file, so Kurt's own are also in a table here (a test holds the two together), and
the scan and the project's folder wait until a kind is asked for that is not in the table, or until all are listed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kurt.engine.kinds import KindInfo, StepKind
from kurt.engine.language.schema import BLOCK_KINDS
from kurt.engine.plugin_files import plugin_classes, plugin_stamp
from kurt.errors import ConflictError

GROUP = "kurt.steps"
OWN = "kurt"
FOLDER = "steps"

BUILT_IN: Mapping[str, str] = {
    "cli": "kurt.engine.steps.cli:CliKind",
    "dspy": "kurt.engine.steps.dspy:DspyKind",
    "run": "kurt.engine.steps.run:RunKind",
    "script": "kurt.engine.steps.script:ScriptKind",
    "python": "kurt.engine.steps.python:PythonKind",
    "http": "kurt.engine.steps.http:HttpKind",
    "emit": "kurt.engine.steps.emit:EmitKind",
    "llm": "kurt.engine.steps.llm:LlmKind",
    "embed": "kurt.engine.steps.embed:EmbedKind",
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
    stamp = plugin_stamp(project_root, FOLDER)
    known = _found.get(project_root)
    if known is None or known[0] != stamp:
        known = _found[project_root] = (stamp, Kinds(project_root))
    return known[1]


_found: dict[Path | None, tuple[tuple[tuple[str, int], ...], Kinds]] = {}


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
    found = plugin_classes(root, FOLDER, StepKind, "the step kind")
    return (KindInfo(kind.type, kind, origin) for kind, origin in found)


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
