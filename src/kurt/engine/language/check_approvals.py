"""Checking `approval` blocks: the fields of the answer, and what happens without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kurt.engine.language.check_inputs import check_input
from kurt.engine.language.draft import Draft, DraftStep
from kurt.engine.language.faults import Report
from kurt.engine.language.schema import InputSpec
from kurt.engine.language.source import DataPath
from kurt.engine.suggestions import listing

ANSWER_KEYS = ("approved", "by", "at", "comment", "timed_out")
"""What the value of every approval has, beside its fields."""


def check_approvals(report: Report, draft: Draft) -> None:
    """Check every `approval` block of a file."""
    for step in draft.walk():
        if step.type == "approval" and isinstance(step.value.get("approval"), dict):
            _check(report, step, step.value["approval"])


def _check(report: Report, step: DraftStep, spec: Mapping[str, Any]) -> None:
    base = step.place("approval")
    fields = spec.get("fields")
    specs = _fields(report, (*base, "fields"), fields if isinstance(fields, dict) else {})
    if "on_timeout" in spec and "timeout" not in step.value:
        message = (
            "`on_timeout` has no meaning without a `timeout`: the approval waits for as long as it takes"
        )
        report.add((*base, "on_timeout"), message, "add, for example, `timeout: 2d`", key=True)
    if spec.get("on_timeout") == "approve":
        for name, field in specs.items():
            if field.required and not field.has_default:
                message = f"`on_timeout: approve` approves without a value for the field `{name}`"
                report.add((*base, "on_timeout"), message, f"give `{name}` a default")


def _fields(report: Report, place: DataPath, fields: Mapping[str, Any]) -> dict[str, InputSpec]:
    found: dict[str, InputSpec] = {}
    for name, raw in fields.items():
        if name in ANSWER_KEYS:
            hint = f"rename it; every answer has {listing(ANSWER_KEYS)} of its own"
            report.add((*place, name), f"a field cannot be named `{name}`", hint, key=True)
        try:
            spec = found[name] = InputSpec.model_validate(raw)
        except ValidationError:
            continue  # reported with the rest of the file
        check_input(report, (*place, name), name, spec, default_may_refer=True)
    return found
