"""Reading small workflow files in tests of the language."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from kurt.engine.language.parser import LoadedWorkflow, check_file, load_workflow
from kurt.engine.language.schema import WorkflowDefinition
from kurt.engine.registry import Kinds, kinds
from kurt.errors import Fault

BUILT_IN: Kinds = kinds(None)
"""The kinds that a project without its own has."""


def written(folder: Path, text: str, name: str = "flow.yaml") -> Path:
    """A file with this text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def faults_in(
    folder: Path, text: str, *, severity: str | None = None, workflows: list[str] | None = None
) -> list[Fault]:
    """What is wrong with a file of this text."""
    faults = check_file(written(folder, text), root=folder, kinds=BUILT_IN, workflows=workflows)
    return [fault for fault in faults if severity in (None, fault.severity)]


def loaded(folder: Path, text: str) -> LoadedWorkflow:
    """A file of this text, read."""
    return load_workflow(written(folder, text), root=folder, kinds=BUILT_IN)


def definition(folder: Path, text: str) -> WorkflowDefinition:
    """The definition in a file of this text."""
    return loaded(folder, text).definition
