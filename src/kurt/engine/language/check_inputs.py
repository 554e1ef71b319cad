"""Checking the declarations of inputs: that defaults fit, and that bounds and patterns mean something."""

from __future__ import annotations

from pydantic import ValidationError

from kurt.engine.expressions.automaton import compile_pattern
from kurt.engine.expressions.patterns import PatternError
from kurt.engine.expressions.references import has_references
from kurt.engine.language.draft import Draft
from kurt.engine.language.faults import Report
from kurt.engine.language.inputs import checked
from kurt.engine.language.schema import InputSpec
from kurt.engine.language.source import DataPath


def check_inputs(report: Report, draft: Draft) -> None:
    """Check every declared input."""
    inputs = draft.value["inputs"]
    if not isinstance(inputs, dict):
        return
    for name, raw in inputs.items():
        try:
            spec = InputSpec.model_validate(raw)
        except ValidationError:
            continue  # reported with the rest of the file
        check_input(report, ("inputs", name), name, spec)


def check_input(
    report: Report, place: DataPath, name: str, spec: InputSpec, *, default_may_refer: bool = False
) -> None:
    """Check one declaration.

    Args:
        report: receives what is wrong with it.
        place: where it stands.
        name: the input.
        spec: what it accepts.
        default_may_refer: its default may hold references, whose values only the run knows.
    """
    if spec.pattern is not None:
        try:
            compile_pattern(spec.pattern)
        except PatternError as error:
            report.add((*place, "pattern"), str(error), "mend the pattern")
            return
    if spec.items is not None and spec.type != "list":
        report.add(
            (*place, "items"), f"`items` has no meaning for the type `{spec.type}`", "write `type: list`"
        )
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        report.add((*place, "min"), "`min` is greater than `max`", "swap them")
    if spec.default is not None and not (default_may_refer and has_references(spec.default)):
        _check_default(report, (*place, "default"), name, spec)


def _check_default(report: Report, place: DataPath, name: str, spec: InputSpec) -> None:
    if has_references(spec.default):
        report.add(place, f"the default of `{name}` cannot hold references", "write the value itself")
        return
    try:
        checked(spec.default, spec, f"the default of `{name}`")
    except ValueError as error:
        report.add(place, str(error), "change the default or the type")
