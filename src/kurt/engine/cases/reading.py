"""Reading and checking test files: all faults at once, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kurt.engine.cases.schema import CaseFile, MockSpec
from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.language.faults import Origin, Report
from kurt.engine.language.parser import SUFFIXES, LoadedWorkflow
from kurt.engine.language.source import DataPath, decode, read_bytes, read_source
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import DefinitionError, ExpressionError, Fault, UsageError
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep

MARK = ".test"
"""What stands before the suffix of a test file."""

SCOPE = ("outputs", "steps", "inputs", "status", "error", "calls")
"""Names that the expressions of `that` may use."""

_ASKING_BY_CODE = frozenset({"workflow", "cli", "python", "script", "run"})
"""Kinds of steps in which steps of other names may ask models: Python workflows, other files, functions."""

_KEY = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class LoadedCases:
    """A test file without faults.

    Attributes:
        file: the test file as it is named to people.
        path: the test file.
        workflow: the workflow file.
        loaded: the workflow.
        spec: what the test file says.
        steps: paths of all steps of the workflow and of files that it runs, without keys of items.
    """

    file: str
    path: Path
    workflow: Path
    loaded: LoadedWorkflow
    spec: CaseFile
    steps: tuple[str, ...]


def is_test_file(path: Path) -> bool:
    """Whether a file is named as test files are: `pages.test.yaml`."""
    return path.suffix in SUFFIXES and path.stem.endswith(MARK)


def cases_file_of(workflow: Path) -> Path:
    """The test file that belongs to a workflow file: the one that is there, else the one that should be."""
    places = [workflow.with_name(f"{workflow.stem}{MARK}{suffix}") for suffix in (workflow.suffix, *SUFFIXES)]
    return next((place for place in places if place.is_file()), places[0])


def load_cases(path: Path, *, root: Path, load: Callable[[Path], LoadedWorkflow]) -> LoadedCases:
    """Read and check a test file and its workflow file.

    Args:
        path: the test file.
        root: the project's root.
        load: reads and checks a workflow file.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: one of the two has faults; carries all of them.
    """
    name = _name(path, root)
    report = Report(read_source(decode(read_bytes(path, name), name), name))
    value = _checked(report)
    workflow = _workflow(report, value, path, root)
    faults, loaded = _load(workflow, load)
    steps = tuple(paths_of(loaded.definition, loaded.subworkflows)) if loaded is not None else ()
    if loaded is not None:
        _Names(report, loaded.definition, steps).check(value)
    faults = [*report.sorted(), *faults]
    if any(fault.severity == "error" for fault in faults) or loaded is None or workflow is None:
        raise DefinitionError(faults)
    return LoadedCases(name, path, workflow, loaded, CaseFile.model_validate(_plain(value)), steps)


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _load(
    workflow: Path | None, load: Callable[[Path], LoadedWorkflow]
) -> tuple[list[Fault], LoadedWorkflow | None]:
    if workflow is None:
        return [], None
    try:
        return [], load(workflow)
    except DefinitionError as error:
        return error.faults, None


def _plain(value: JsonObject) -> JsonObject:
    """Without `x-` keys, which are free for anchors."""
    return {key: item for key, item in value.items() if not key.startswith("x-")}


def _checked(report: Report) -> JsonObject:
    """The file as a mapping; what the models refuse is noted."""
    source = report.source
    report.faults += [*source.faults, *(fault for _, fault in source.odd_keys)]
    if not isinstance(source.value, dict):
        report.add((), "a test file is a mapping", "write `cases:` and a list of tests")
        return {}
    report.check_model(CaseFile, _plain(source.value), Origin((), "a test file"))
    cases = source.value.get("cases")
    names: dict[str, int] = {}
    for index, case in enumerate(cases if isinstance(cases, list) else []):
        name = case.get("name") if isinstance(case, dict) else None
        if isinstance(name, str) and names.setdefault(name, index) != index:
            report.add(("cases", index, "name"), f"there are two cases {name!r}", "give each its own name")
    return source.value


def _workflow(report: Report, value: JsonObject, path: Path, root: Path) -> Path | None:
    """The workflow file that is tested, None if there is none."""
    said = value.get("workflow")
    if said is None:
        stem = path.stem.removesuffix(MARK)
        places = [path.with_name(f"{stem}{suffix}") for suffix in SUFFIXES]
        message, place = f"there is no workflow file {_name(places[0], root)}", ()
    else:
        places = [path.parent / str(said), root / str(said)]
        message, place = f"there is no file {str(said)!r}", ("workflow",)
    found = next((one for one in places if one.is_file()), None)
    if found is None:
        report.add(place, message, "name the workflow file that is tested: `workflow: x.yaml`")
    return found


def paths_of(definition: WorkflowDefinition, subworkflows: Mapping[str, JsonObject]) -> Iterator[str]:
    """Paths of all steps, without keys of items; those of a file that a step runs are below that step."""
    for part, steps in definition.lists():
        yield from _paths(steps, "" if part == "steps" else f"{part}.", subworkflows)


def _paths(
    steps: Iterable[WorkflowStep], prefix: str, subworkflows: Mapping[str, JsonObject]
) -> Iterator[str]:
    from kurt.engine.language.schema import WorkflowDefinition  # noqa: PLC0415 - a type elsewhere

    for step in steps:
        path = f"{prefix}{step.name}"
        yield path
        for _, inner in step.bodies():
            yield from _paths(inner, f"{path}.", subworkflows)
        if step.workflow is not None and step.workflow.is_file:
            called = WorkflowDefinition.from_frozen(subworkflows[step.workflow.target])
            yield from (f"{path}.{inner}" for inner in paths_of(called, subworkflows))


class _Names:
    """Checks what a test file names against what its workflow has."""

    def __init__(self, report: Report, definition: WorkflowDefinition, steps: tuple[str, ...]) -> None:
        self._report = report
        self._definition = definition
        self._steps = steps
        self._is_known = not any(step.type in _ASKING_BY_CODE for step in definition.walk())

    def check(self, value: JsonObject) -> None:
        """Note every name that leads nowhere."""
        self._mocks(value.get("mocks"), ("mocks",))
        cases = value.get("cases")
        for index, case in enumerate(cases if isinstance(cases, list) else []):
            if isinstance(case, dict):
                self._case(case, ("cases", index))

    def _case(self, case: JsonObject, place: DataPath) -> None:
        self._mocks(case.get("mocks"), (*place, "mocks"))
        for name in _mapping(case.get("inputs")):
            if name not in self._definition.inputs:
                known = self._definition.inputs
                hint = did_you_mean(
                    name, known, f"its inputs are {listing(known)}" if known else "it has no inputs"
                )
                self._report.add(
                    (*place, "inputs", name), f"the workflow has no input `{name}`", hint, key=True
                )
        self._paths(case.get("answers"), (*place, "answers"))
        expect = _mapping(case.get("expect"))
        self._paths(expect.get("steps"), (*place, "expect", "steps"))
        that = expect.get("that")
        for index, text in enumerate(that if isinstance(that, list) else []):
            self._expression(text, (*place, "expect", "that", index))

    def _mocks(self, mocks: Json, place: DataPath) -> None:
        self._paths(_mapping(mocks).get("steps"), (*place, "steps"))
        rules = _mapping(mocks).get("models")
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            step = _mapping(rule).get("step")
            if isinstance(step, str):
                self._rule(step, (*place, "models", index, "step"))

    def _rule(self, step: str, place: DataPath) -> None:
        if "[" in step:
            hint = f"write `step: {without_keys(step)}`, and a part of the prompt as `prompt`"
            self._report.add(place, "answers of models cannot be chosen by the key of an item", hint)
        elif not self._may_ask(step):
            self._report.add(place, f"the workflow has no step `{step}`", _meant(step, self._steps))

    def _may_ask(self, step: str) -> bool:
        """Whether there may be a step of that name or path: those of Python workflows are not known here."""
        return not self._is_known or any(step in (path, path.rpartition(".")[2]) for path in self._steps)

    def _paths(self, named: Json, place: DataPath) -> None:
        for path in _mapping(named):
            if without_keys(path) not in self._steps:
                hint = _meant(path, self._steps)
                self._report.add((*place, path), f"the workflow has no step `{path}`", hint, key=True)

    def _expression(self, text: Json, place: DataPath) -> None:
        if not isinstance(text, str):
            return
        try:
            expression = compile_expression(text)
        except ExpressionError as error:
            self._report.add(place, error.message, error.hint)
            return
        for name in sorted(expression.names - set(SCOPE)):
            self._report.add(place, f"`{name}` is not known here", f"the names are {listing(SCOPE)}")


def _meant(path: str, steps: Sequence[str]) -> str | None:
    """What may have been meant by a path that leads nowhere: a step of that name inside of a block, or one like it."""
    bare = without_keys(path)
    inside = [step for step in steps if step.endswith(f".{bare}")]
    if inside:
        return f"did you mean `{inside[0]}`?"
    return did_you_mean(bare, steps, f"its steps are {listing(steps)}" if steps else None)


def _mapping(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def without_keys(path: str) -> str:
    """A path without the keys of items: that of the step in the file."""
    return _KEY.sub("", path)


def mock_of(*specs: MockSpec, answered: Iterable[str] = ()) -> JsonObject:
    """What is stored with a run as what it pretends.

    Args:
        specs: where two of them say something of the same step, the first counts.
        answered: paths of steps that wait for an answer and get one.
    """
    steps = {path: mock.outcomes for spec in reversed(specs) for path, mock in spec.steps.items()}
    answers = [rule.to_json() for spec in specs for rule in spec.models]
    return {"llm": True, "answers": answers, "steps": steps, "hurry": True, "answered": [*answered]}


def given_mocks(given: Mapping[str, Any], steps: Iterable[str]) -> MockSpec:
    """Mocks that code gives, of the form that `mocks:` has in a test file.

    Args:
        given: the mocks.
        steps: paths of all steps of the workflow.

    Raises:
        UsageError: they have another form, or name a step that there is not.
    """
    try:
        spec = MockSpec.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"the mocks are not well formed: `{place}`: {first['msg']}",
            hint='write {"steps": {"fetch": value}, "models": [{"step": "ask", "answer": {...}}]}',
        ) from None
    known = list(steps)
    for path in spec.steps:
        if without_keys(path) not in known:
            raise UsageError(
                f"the workflow has no step {path!r} that could be mocked", hint=_meant(path, known)
            )
    return spec
