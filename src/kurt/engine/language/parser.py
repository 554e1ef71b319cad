"""Reading, checking and freezing workflow files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kurt.engine.kinds import KindInfo
from kurt.engine.language.check_approvals import check_approvals
from kurt.engine.language.check_inputs import check_inputs
from kurt.engine.language.check_kinds import check_kinds
from kurt.engine.language.check_order import check_order
from kurt.engine.language.check_policies import check_policies
from kurt.engine.language.check_scope import ScopeCheck
from kurt.engine.language.draft import DraftStep
from kurt.engine.language.drafter import make_draft
from kurt.engine.language.faults import Report
from kurt.engine.language.foreign import foreign_fault, other_system
from kurt.engine.language.notify import check_notify
from kurt.engine.language.schema import FROZEN_FORMAT, WorkflowDefinition
from kurt.engine.language.source import DataPath, decode, read_bytes, read_source
from kurt.engine.language.started_runs import adopt_runs, read_texts
from kurt.engine.notifiers.registry import notifiers
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import DefinitionError, Fault
from kurt.types import Json, JsonObject

SUFFIXES = (".yaml", ".yml")
"""How the names of workflow files end."""


@dataclass(frozen=True, slots=True)
class LoadedWorkflow:
    """A workflow file without errors.

    Attributes:
        definition: what is run.
        file: the file as it is named to people: relative to the project where it lies in it.
        sha256: of the file's bytes.
        body: the definition as plain JSON.
        subworkflows: the frozen definitions of the files that it runs, and of those that they run, by path.
        warnings: what does not stop a run.
    """

    definition: WorkflowDefinition
    file: str
    sha256: str
    body: JsonObject
    subworkflows: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    warnings: tuple[Fault, ...] = ()


def load_workflow(
    path: Path | str, *, root: Path, kinds: Mapping[str, KindInfo], workflows: Collection[str] | None = None
) -> LoadedWorkflow:
    """Read and check a file, and the files that it runs.

    Args:
        path: the file; a relative one starts at the working directory.
        root: the project's root.
        kinds: step kinds by type.
        workflows: names of registered workflows, None if they are not known here.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it, or a file that it runs, has faults; carries all of them, warnings too.
    """
    file = Path(path).absolute()
    loader = _Loader(root.resolve(), kinds, workflows)
    name = loader.name_of(file.resolve())
    data = read_bytes(file, name)
    body = loader.read(data, file.resolve(), name, ())
    errors = [fault for fault in loader.faults if fault.severity == "error"]
    if body is None or errors:
        raise DefinitionError(loader.faults, _summary(errors, name))
    frozen = _frozen(body, name, data)
    definition = WorkflowDefinition.from_frozen(frozen)
    return LoadedWorkflow(definition, name, frozen["sha256"], body, loader.found, tuple(loader.faults))


def check_file(
    path: Path | str, *, root: Path, kinds: Mapping[str, KindInfo], workflows: Collection[str] | None = None
) -> list[Fault]:
    """All faults of a file and of the files that it runs, warnings too, in the order of the files.

    Raises:
        NotFoundError: there is no such file.
    """
    try:
        return list(load_workflow(path, root=root, kinds=kinds, workflows=workflows).warnings)
    except DefinitionError as error:
        return error.faults


def freeze(loaded: LoadedWorkflow) -> JsonObject:
    """What a run stores: plain JSON, from which `WorkflowDefinition.from_frozen` makes the definition again."""
    return {
        "format": FROZEN_FORMAT,
        "file": loaded.file,
        "sha256": loaded.sha256,
        "definition": loaded.body,
        "subworkflows": dict(loaded.subworkflows),
    }


def _frozen(body: JsonObject, file: str, data: bytes) -> JsonObject:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"format": FROZEN_FORMAT, "file": file, "sha256": sha256, "definition": body}


def _summary(errors: list[Fault], name: str) -> str:
    count = f"{len(errors)} error" + ("" if len(errors) == 1 else "s")
    return f"{name} has {count}"


class _Loader:
    """Reads a file and, through its `workflow` blocks, others.

    Attributes:
        faults: of all files.
        found: the frozen definitions of the other files by path.
    """

    def __init__(self, root: Path, kinds: Mapping[str, KindInfo], workflows: Collection[str] | None) -> None:
        self.faults: list[Fault] = []
        self.found: dict[str, JsonObject] = {}
        self._root = root
        self._kinds = kinds
        self._workflows = workflows
        self._inputs: dict[str, Json] = {}

    def name_of(self, path: Path) -> str:
        """The name of a file for people: relative to the project where it lies in it."""
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)

    def read(self, data: bytes, path: Path, name: str, trail: tuple[Path, ...]) -> JsonObject | None:
        """The body of one file; its faults, and those of the files that it runs, are noted."""
        try:
            report = Report(read_source(decode(data, name), name))
            value = report.source.value
            foreign = other_system(value, name) if isinstance(value, dict) else None
            if foreign is None and not (isinstance(value, dict) and "steps" in value):
                foreign = foreign_fault(data, name)
        except DefinitionError as error:
            foreign = foreign_fault(data, name)
            self.faults.extend(error.faults if foreign is None else [foreign])
            return None
        if foreign is not None:
            self.faults.append(foreign)
            return None
        draft = make_draft(report)
        if draft is not None:
            adopt_runs(report, draft, self._root)
            check_inputs(report, draft)
            check_approvals(report, draft)
            check_policies(report, draft)
            check_order(report, draft)
            ScopeCheck(report, draft, check_kinds(report, draft, self._kinds, self._root)).run()
            if draft.value.get("notify"):
                check_notify(report, draft.value["notify"], notifiers(self._root))
            self._inputs[name] = draft.value["inputs"]
            for step in draft.walk():
                if step.type == "workflow":
                    self._call(report, step, path, (*trail, path))
        self.faults[:0] = report.sorted()
        return draft.to_json() if draft is not None else None

    def _call(self, report: Report, step: DraftStep, path: Path, trail: tuple[Path, ...]) -> None:
        call = step.value["workflow"]
        target = call["target"]
        place = step.place("workflow")
        if not isinstance(target, str) or not target:
            return  # reported by the model
        if "${" in target:
            hint = "write the path itself; choose between files with a `switch` block"
            report.add(place, "the path of a workflow cannot hold references", hint)
        elif target.endswith(SUFFIXES) or "/" in target:
            file = self._file(report, place, target, path, trail)
            if file is not None:
                call.update(target=file, is_file=True)
                declared = self._inputs.get(file)
                read_texts(report, step, declared if isinstance(declared, dict) else {})
                self._check_inputs(report, step, file)
        else:
            self._python(report, step, target)

    def _python(self, report: Report, step: DraftStep, target: str) -> None:
        """A registered workflow, which runs in the executor itself."""
        read_texts(report, step, {})
        if self._workflows is not None and target not in self._workflows:
            hint = did_you_mean(
                target, self._workflows, "for a file write its path, as in `workflows/x.yaml`"
            )
            report.add(step.place("workflow"), f"there is no workflow named {target!r}", hint)
        for key in ("env", "limits"):
            if key in step.value:
                message = f"`{key}` has no meaning for a Python workflow, which starts no process by itself"
                report.add((*step.path, key), message, "remove it, or give it as an input", key=True)

    def _file(
        self, report: Report, place: DataPath, target: str, path: Path, trail: tuple[Path, ...]
    ) -> str | None:
        """The name of the file that is meant, read if it was not before."""
        candidates = [(self._root / target).resolve(), (path.parent / target).resolve()]
        file = next((candidate for candidate in candidates if candidate.is_file()), None)
        if file is None:
            hint = f"paths start at the project's root, {self._root}, or at the file's own folder"
            report.add(place, f"there is no file {target!r}", hint)
            return None
        if not (file.is_relative_to(self._root) or file.is_relative_to(trail[0].parent)):
            report.add(place, f"the file {target!r} lies outside of the project", "move it into the project")
            return None
        if file in trail:
            names = [self.name_of(other) for other in (*trail[trail.index(file) :], file)]
            report.add(
                place, f"workflows run each other in a circle: {' -> '.join(names)}", "take one call away"
            )
            return None
        return self._load(file, trail)

    def _load(self, file: Path, trail: tuple[Path, ...]) -> str:
        name = self.name_of(file)
        if name not in self.found:
            data = read_bytes(file, name)
            body = self.read(data, file, name, trail)
            self.found[name] = _frozen(body or {}, name, data)
        return name

    def _check_inputs(self, report: Report, step: DraftStep, file: str) -> None:
        """Inputs that the other file does not have, and those that it requires."""
        declared = self._inputs.get(file)
        given = step.value["workflow"]["inputs"]
        if not isinstance(declared, dict) or not isinstance(given, dict):
            return
        for name in given:
            if name not in declared:
                hint = did_you_mean(name, declared, f"its inputs are {listing(declared)}")
                place = step.input_place(name)
                report.add(place, f"{file} has no input `{name}`", hint, key=not step.is_command)
        for name, spec in declared.items():
            if isinstance(spec, dict) and spec.get("required") is True and name not in given:
                report.add(
                    step.place("workflow"),
                    f"the input `{name}` of {file} is missing",
                    f"add `args: {{input: [{name}=...]}}`"
                    if step.is_command
                    else f"add `inputs: {{{name}: ...}}`",
                )
