"""Steps of type `cli` whose command executes a run: they become `workflow` blocks, so that the run is a child run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.references import has_references
from kurt.engine.language.inputs import list_text, parse_text
from kurt.engine.language.schema import InputSpec
from kurt.engine.processes.child import resolve
from kurt.errors import KurtError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kurt.engine.language.draft import Draft, DraftStep
    from kurt.engine.language.faults import Report
    from kurt.engine.language.source import DataPath
    from kurt.engine.starts import Started
    from kurt.types import Json

_FIELDS = frozenset({"command", "args", "argv"})


def adopt_runs(report: Report, draft: Draft, root: Path) -> None:
    """Make a `workflow` block of each `cli` step whose command executes a run.

    Args:
        report: receives what is wrong with such steps.
        draft: the file.
        root: the project's root, where the project's own commands are looked for.
    """
    for step in draft.walk():
        if step.type != "cli":
            continue
        started = _started(report, step, root)
        if started is not None and _fits(report, step, started):
            _become_block(report, step, started)


def _started(report: Report, step: DraftStep, root: Path) -> Started | None:
    """The run that the step starts; None if it starts none, or if its fields have faults that are reported elsewhere."""
    spec = step.value["spec"]
    command, args, argv = spec.get("command"), spec.get("args") or {}, spec.get("argv") or []
    well_formed = isinstance(command, str) and isinstance(args, dict) and isinstance(argv, list)
    if not well_formed or set(spec) - _FIELDS or has_references(command) or not command.split():
        return None
    try:
        # The command line is a layer above this one: it is reached by name, like any other plug-in.
        return resolve("kurt.cli.invoke:run_started_by")(command.split(), args, argv, str(root))
    except KurtError as error:
        report.add((*step.path, "command"), error.message, error.hint)
        return None


def _fits(report: Report, step: DraftStep, started: Started) -> bool:
    """Whether the run can be a child; why not is reported."""
    start, faults = started.start, len(report.faults)
    for name, remedy in start.misplaced.items():
        place = started.places.get(name, ("command",))
        what = f"`{place[-1]}` has no meaning in a step, which has the run of `{started.command}` as a child"
        report.add((*step.path, *place), what, remedy, key=place[0] == "args")
    if "cache" in step.value:
        what = f"`cache` has no meaning in a step, which has the run of `{started.command}` as a child"
        report.add(
            step.place("cache"), what, "write `cache` on steps of that workflow, or remove it", key=True
        )
    if start.workflow is None:
        message = f"`{started.command}` goes on with a run that exists, which a step cannot have as a child"
        report.add(
            (*step.path, "command"), message, "add `background: true` to its args: a worker takes it up"
        )
    elif has_references(start.workflow):
        message = (
            "which workflow the command runs comes from a reference, so it cannot be frozen with the run"
        )
        hint = "write the file or the name itself; choose between workflows with a `switch` block"
        report.add(_place_of(step, started), message, hint)
    return len(report.faults) == faults


def _place_of(step: DraftStep, started: Started) -> DataPath:
    """Where the step says which workflow it runs."""
    return (*step.path, *started.places.get(started.start.named_by or "", ("command",)))


def _become_block(report: Report, step: DraftStep, started: Started) -> None:
    start = started.start
    target = start.workflow or ""
    step.places["workflow"] = _place_of(step, started)
    step.value["type"] = "workflow"
    inputs = dict(start.inputs)
    for name, text, place in _texts(report, step, started):
        step.places[f"inputs/{name}"] = place
        if has_references(text):
            inputs[name] = text
        else:
            step.texts.setdefault(name, []).append(text)
    step.is_command = True
    step.value["workflow"] = {"target": target, "inputs": inputs}
    del step.value["spec"]


def _texts(report: Report, step: DraftStep, started: Started) -> list[tuple[str, str, DataPath]]:
    """The `name=value` texts, each with its place."""
    base: DataPath = (*step.path, *started.places.get("inputs", ("command",)))
    at: Any = step.value["spec"]
    for key in started.places.get("inputs", ()):
        at = at[key]
    found: list[tuple[str, str, DataPath]] = []
    for index, given in enumerate(started.start.texts):
        place = (*base, index) if isinstance(at, list) else base
        name, equals, text = str(given).partition("=")
        if not equals or not name.strip() or has_references(name):
            hint = "write `NAME=VALUE`, the name without a reference"
            report.add(place, f"the input {given!r} has no name that is known now", hint)
        else:
            found.append((name.strip(), text, place))
    return found


def read_texts(report: Report, step: DraftStep, declared: Mapping[str, Json]) -> None:
    """Read the inputs that were given as texts, by the types that the workflow declares.

    Args:
        report: receives what cannot be read.
        step: a block that was made of a command.
        declared: the inputs of the workflow as they stand in its file; empty for a Python workflow.
    """
    inputs = step.value["workflow"]["inputs"]
    for name, texts in step.texts.items():
        spec = _spec(declared.get(name))
        try:
            inputs[name] = _read(texts, spec)
        except ValueError as error:
            report.add(step.input_place(name), f"the input `{name}`: {error}", "look at the value")


def _spec(declared: Json) -> InputSpec | None:
    try:
        return None if declared is None else InputSpec.model_validate(declared)
    except ValueError:  # a fault of the other file, reported there
        return None


def _read(texts: list[str], spec: InputSpec | None) -> Json:
    if spec is not None and spec.type == "list":
        return [item for text in texts for item in list_text(text, spec)]
    if len(texts) > 1:
        raise ValueError("it is given twice")
    return parse_text(texts[0], spec)
