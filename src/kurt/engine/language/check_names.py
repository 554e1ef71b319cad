"""Checking that what references and expressions look up can be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kurt.engine.expressions.references import Path, show_path
from kurt.engine.language.draft import DraftStep
from kurt.engine.language.faults import Report
from kurt.engine.language.names import Names, Reason
from kurt.engine.language.source import DataPath
from kurt.engine.suggestions import did_you_mean, listing

RUN_KEYS = ("id", "name", "started_at", "attempt")
_SCALARS = frozenset({"string", "str", "int", "float", "number", "bool", "date", "path"})


@dataclass(frozen=True, slots=True)
class Use:
    """One path that is looked up.

    Attributes:
        path: the path.
        place: where in the file.
        optional: there is a default.
        stored: what it gives is stored with the run.
    """

    path: Path
    place: DataPath
    optional: bool = False
    stored: bool = False


def check_use(report: Report, names: Names, use: Use) -> None:
    """Note what is wrong with looking up a path here."""
    root = str(use.path[0])
    found = names.variable(root)
    if found is not None:
        _check_variable(report, use, *found)
    elif root in _ROOTS:
        _ROOTS[root](report, names, use)
    elif why := names.why_no_variable(root):
        _hidden(report, use, why)
    else:
        _unknown(report, use, f"unknown name `{root}`", _name_hint(root, names))


def _check_variable(report: Report, use: Use, kind: str, uncertain: bool) -> None:
    if uncertain and not use.optional:
        _maybe_missing(report, use)
    if kind in _SCALARS and len(use.path) > 1:
        root = str(use.path[0])
        message = f"`{root}` is a {kind}, it has no parts such as `{show_path(use.path)}`"
        report.add(use.place, message, f"write `{root}`")


def _check_steps(report: Report, names: Names, use: Use) -> None:
    if len(use.path) == 1:
        return
    name = str(use.path[1])
    found = names.step(name)
    if found is not None:
        step, uncertain = found
        if uncertain and not use.optional:
            _maybe_missing(report, use)
        _check_branch(report, use, step)
    elif why := names.why_no_step(name):
        _hidden(report, use, why)
    else:
        known = names.step_names()
        hint = did_you_mean(name, known, f"steps that have run here: {listing(known)}")
        _unknown(report, use, f"there is no step {name!r}", hint)


def _check_branch(report: Report, use: Use, step: DraftStep) -> None:
    """The value of a `parallel` block is a mapping by the names of its steps."""
    if step.type != "parallel" or len(use.path) < 3:
        return
    branches = [branch.name for branch in step.bodies.get("steps", ())]
    if use.path[2] not in branches:
        hint = did_you_mean(str(use.path[2]), branches, f"its steps are {listing(branches)}")
        _unknown(report, use, f"the block {step.name!r} has no step {use.path[2]!r}", hint)


def _check_run(report: Report, names: Names, use: Use) -> None:
    del names
    if len(use.path) > 1 and use.path[1] not in RUN_KEYS:
        hint = did_you_mean(str(use.path[1]), RUN_KEYS, f"it has {listing(RUN_KEYS)}")
        _unknown(report, use, f"`run` has no key {use.path[1]!r}", hint)


def _check_env(report: Report, names: Names, use: Use) -> None:
    if len(use.path) == 1:
        if use.stored and names.secrets:
            _secret(report, use, "env")
        return
    name = str(use.path[1])
    if name not in names.env:
        near = did_you_mean(name, names.env)
        hint = near or f"declare it at the top of the file: `env: {{{name}: ...}}`, or `secrets: [{name}]`"
        _unknown(report, use, f"`env` has no {name!r}; only declared names are there", hint)
    elif name in names.secrets and use.stored:
        _secret(report, use, f"env.{name}")


def _secret(report: Report, use: Use, what: str) -> None:
    message = f"`{what}` is secret, and what stands here is stored with the run"
    report.add(
        use.place, message, "use the secret only in the fields and the `env` of the step that needs it"
    )


def _check_error(report: Report, names: Names, use: Use) -> None:
    if not names.has_error:
        message = "`error` is known only in `on_error`, `finally`, fallback steps and `retry.when`"
        _unknown(report, use, message, "remove it, or move the step there")
    elif names.error_may_be_null and len(use.path) > 1 and not use.optional:
        shown = show_path(use.path)
        hint = f"write `${{{shown} ?? null}}`, or give the step `when: error != null`"
        report.warn(use.place, f"`{shown}` is missing where the run has not failed", hint)


def _check_inputs(report: Report, names: Names, use: Use) -> None:
    if len(use.path) > 1 and use.path[1] not in names.inputs:
        hint = did_you_mean(str(use.path[1]), names.inputs, f"the inputs are {listing(names.inputs)}")
        _unknown(report, use, f"there is no input {use.path[1]!r}", hint)


def _check_secrets(report: Report, names: Names, use: Use) -> None:
    del names
    name = use.path[1] if len(use.path) > 1 else "NAME"
    _unknown(
        report,
        use,
        "there is no `secrets` to refer to",
        f"declare `secrets: [{name}]` and write `env.{name}`",
    )


_ROOTS: dict[str, Any] = {
    "steps": _check_steps,
    "run": _check_run,
    "env": _check_env,
    "error": _check_error,
    "inputs": _check_inputs,
    "secrets": _check_secrets,
}


def _name_hint(root: str, names: Names) -> str | None:
    if names.step(root) is not None:
        return f"write `steps.{root}`"
    return did_you_mean(root, names.all(), f"in scope are {listing(names.all())}")


def _maybe_missing(report: Report, use: Use) -> None:
    shown = show_path(use.path)
    message = f"`{shown}` is missing if the run failed before it was set"
    report.warn(use.place, message, f"write `${{{shown} ?? null}}`")


def _hidden(report: Report, use: Use, why: Reason) -> None:
    if not use.optional:
        report.add(use.place, why[0], why[1])


def _unknown(report: Report, use: Use, message: str, hint: str | None) -> None:
    """An error, or a warning where a default stands for what is missing."""
    report.add(use.place, message, hint, severity="warning" if use.optional else "error")
