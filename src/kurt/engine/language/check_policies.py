"""Checking what a file says about when and how often it runs: schedules, `debounce`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kurt.engine.expressions.references import TemplateSyntaxError, has_references, references
from kurt.engine.language.draft import Draft
from kurt.engine.language.faults import Origin, Report
from kurt.engine.language.inputs import checked
from kurt.engine.language.policies import ScheduleSpec
from kurt.engine.language.schema import InputSpec
from kurt.engine.language.source import DataPath
from kurt.engine.suggestions import did_you_mean, listing
from kurt.types import Json, JsonObject

TICK_NAMES = ("at", "date", "time", "timezone", "schedule")
"""What `tick` has in the inputs of a schedule."""


def draft_schedules(report: Report, raw: Json) -> list[JsonObject]:
    """The schedules of a file, which may be one mapping; those with faults are left out."""
    if isinstance(raw, dict):
        raw = [raw]
        places: list[DataPath] = [("schedule",)]
    elif isinstance(raw, list) and raw:
        places = [("schedule", index) for index in range(len(raw))]
    else:
        message = "`schedule` is empty" if raw == [] else "`schedule` must be a mapping or a list of them"
        report.add(("schedule",), message, "write, for example, `schedule: {cron: 0 7 * * 1}`")
        return []
    found: list[JsonObject] = []
    for place, item in zip(places, raw, strict=True):
        if isinstance(item, dict):
            report.check_model(ScheduleSpec, item, Origin(place, "`schedule`"))
            found.append(item)
        else:
            report.add(place, "a schedule must be a mapping", "write `- cron: 0 7 * * 1`")
    return found


def check_policies(report: Report, draft: Draft) -> None:
    """Check schedules against the file's inputs and each other, and that `debounce` fits the rest."""
    raw: Json = report.source.value.get("schedule")
    written: list[Json] = [raw] if isinstance(raw, dict) else raw if isinstance(raw, list) else []
    seen: set[str] = set()
    for index, schedule in enumerate(written):
        if not isinstance(schedule, dict):
            continue
        place: DataPath = ("schedule", index) if isinstance(raw, list) else ("schedule",)
        name = str(schedule.get("name") or draft.value["name"])
        if name in seen:
            where = (*place, "name") if "name" in schedule else place
            report.add(where, f"two schedules are named {name!r}", "give each a `name:` of its own")
        seen.add(name)
        given = schedule.get("inputs", {})
        if isinstance(given, dict):
            _check_inputs(report, draft, given, place)
    _check_debounce(report, draft)


def _check_inputs(report: Report, draft: Draft, given: JsonObject, place: DataPath) -> None:
    """What a schedule gives its runs is what they accept: nobody sits there to be told."""
    declared = draft.value["inputs"]
    if not isinstance(declared, dict):
        return
    for name, value in given.items():
        where = (*place, "inputs", name)
        if name not in declared:
            hint = did_you_mean(name, declared, f"its inputs are {listing(declared)}")
            report.add(where, f"there is no input `{name}`", hint, key=True)
        else:
            _check_value(report, where, name, value, declared[name])
    for name, spec in declared.items():
        required = isinstance(spec, dict) and spec.get("required") is True and "default" not in spec
        if required and name not in given:
            hint = f"add `inputs: {{{name}: ...}}`; nobody is there to give it"
            report.add(place, f"the schedule gives no value for the required input `{name}`", hint)


def _check_value(report: Report, place: DataPath, name: str, value: Json, spec: Any) -> None:
    if has_references(value):
        _check_references(report, place, value)
        return
    try:
        checked(value, InputSpec.model_validate(spec), f"`{name}`")
    except ValidationError:
        return  # the declaration is reported
    except ValueError as error:
        report.add(place, str(error), f"change the value or the input `{name}`")


def _check_references(report: Report, place: DataPath, value: Json) -> None:
    """In a schedule there is only the tick: a run does not exist yet."""
    try:
        paths = [path for reference in references(value) for path in reference.paths]
    except TemplateSyntaxError as error:
        report.add(place, str(error), "write `${tick.date}`, or `$${` for a literal `${`")
        return
    for path in paths:
        if path[0] != "tick":
            hint = "here are `tick.at`, `tick.date`, `tick.time`, `tick.timezone` and `tick.schedule`"
            report.add(place, f"`{path[0]}` is not known in a schedule", hint)
        elif len(path) > 1 and path[1] not in TICK_NAMES:
            hint = did_you_mean(str(path[1]), TICK_NAMES, f"`tick` has {listing(TICK_NAMES)}")
            report.add(place, f"`tick` has no `{path[1]}`", hint)


def _check_debounce(report: Report, draft: Draft) -> None:
    raw = draft.value.get("debounce")
    if raw is None:
        return
    if draft.value.get("priority") is not None:
        hint = "remove one of them: what is still waited for has no place on a queue"
        report.add(("debounce",), "`debounce` and `priority` exclude each other", hint, key=True)
    key = raw.get("key") if isinstance(raw, dict) else None
    declared = draft.value["inputs"] if isinstance(draft.value["inputs"], dict) else {}
    if not isinstance(key, str):
        return
    place = ("debounce", "key")
    try:
        paths = [path for reference in references(key) for path in reference.paths]
    except TemplateSyntaxError as error:
        report.add(place, str(error), "write `${input}`, or `$${` for a literal `${`")
        return
    for path in paths:
        first, *rest = path
        wanted = rest[0] if first == "inputs" and rest else first
        if wanted != "inputs" and wanted not in declared:
            hint = did_you_mean(str(wanted), declared, f"here are the inputs: {listing(declared)}")
            report.add(place, f"there is no input `{wanted}`", hint)
