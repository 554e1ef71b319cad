"""Checking the fields of plug-in kinds by their models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kurt.engine.kinds import KindInfo
from kurt.engine.language.draft import STEP_KEYS, Draft, DraftStep
from kurt.engine.language.faults import Origin, Report
from kurt.engine.language.schema import BLOCK_KINDS
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import ConflictError, DefinitionError

_QUOTED_KEY = re.compile(r"`([^`]+)`")


def check_kinds(
    report: Report, draft: Draft, kinds: Mapping[str, KindInfo], root: Path
) -> dict[str, KindInfo]:
    """Check the type and the own fields of every step; the kinds that the file uses.

    Args:
        report: takes the faults.
        draft: the file.
        kinds: step kinds by type.
        root: the project's root.
    """
    found: dict[str, KindInfo | None] = {}
    for step in draft.walk():
        if step.type == "" or step.type in BLOCK_KINDS:
            continue
        if step.type not in found:
            found[step.type] = _find(report, step, kinds)
        info = found[step.type]
        if info is not None:
            _check_fields(report, step, info, root)
        elif step.type not in kinds_or_none(kinds):
            _unknown(report, step, kinds_or_none(kinds))
    return {kind: info for kind, info in found.items() if info is not None}


def kinds_or_none(kinds: Mapping[str, KindInfo]) -> list[str]:
    """The types of the known kinds; none if they cannot be loaded, which is reported elsewhere."""
    try:
        return sorted(kinds)
    except (ConflictError, DefinitionError):
        return []


def _find(report: Report, step: DraftStep, kinds: Mapping[str, KindInfo]) -> KindInfo | None:
    try:
        return kinds[step.type]
    except KeyError:
        return None
    except ConflictError as error:
        report.add(step.place("type"), error.message, error.hint)
    except DefinitionError as error:
        report.faults.extend(error.faults)
    return None


def _unknown(report: Report, step: DraftStep, known: list[str]) -> None:
    place = step.place("type")
    add = f"or add the kind: a `StepKind` class in a file of the folder `steps/`. Known are {listing([*known, *BLOCK_KINDS])}"
    near = did_you_mean(step.type, [*known, *BLOCK_KINDS])
    report.add(
        place,
        f"unknown step kind {step.type!r}",
        f"{near} {add[0].upper()}{add[1:]}" if near else f"use a known kind, {add}",
    )


def _check_fields(report: Report, step: DraftStep, info: KindInfo, root: Path) -> None:
    spec: dict[str, Any] = step.value["spec"]
    model, where = info.kind.Model, f"a `{step.type}` step"
    report.check_model(model, spec, Origin(step.path, where, also=STEP_KEYS), deferred=True)
    if "budget" in step.value and not info.kind.calls_models:
        what = f"`budget` has no meaning for a `{step.type}` step, which calls no model"
        report.add(
            step.place("budget"), what, "remove it, or write it on the steps that call models", key=True
        )
    for message in info.kind.check(spec):
        what, _, remedy = message.partition(". ")
        hint = remedy[:1].lower() + remedy[1:]  # as all hints are written
        report.add(_named_place(step, message), what, hint or "change the field")
    for found in info.kind.check_project(spec, root):
        part = _known_part(step.value["spec"], found.place)
        place = step.place("type") if found.place == ("type",) else (*step.path, *part)
        report.add(place, found.message, found.hint, key=found.is_key and part == found.place)


def _known_part(spec: Any, place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """As much of a place as the file has."""
    for count, part in enumerate(place):
        try:
            spec = spec[part]
        except (KeyError, IndexError, TypeError):
            return place[:count]
    return place


def _named_place(step: DraftStep, message: str) -> tuple[str | int, ...]:
    """The place of the first field that a message names in backticks, else the step's."""
    for word in _QUOTED_KEY.findall(message):
        if word in step.value["spec"]:
            return (*step.path, word)
    return step.path
