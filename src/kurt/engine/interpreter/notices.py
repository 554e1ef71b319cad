"""Telling people of a run: one durable step for each notification of the file, and one for those of the settings.

Numbers are drawn by what is frozen with the run, never by the settings, which may change between a crash and the
recovery after it. Nothing that goes wrong here fails the run: it stands in the log and in the step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kurt.engine.interpreter import loading
from kurt.engine.interpreter.context import WorkflowContext
from kurt.engine.interpreter.envelope import FAILED, SKIPPED, SUCCEEDED, Envelope, error_json, error_scope
from kurt.engine.kinds import Limits, StepContext
from kurt.engine.language.schema import WorkflowDefinition
from kurt.engine.notifiers.base import Event, Notice, NotifierInfo
from kurt.engine.notifiers.registry import notifiers
from kurt.engine.notifiers.sending import TIME_LIMIT, deliver
from kurt.engine.notifiers.texts import make_notice
from kurt.engine.notifiers.wanted import Wanted, is_wanted, wanted_by
from kurt.errors import StepError
from kurt.runtime import durable
from kurt.runtime.durable import Slot
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.notify import NotifySpec

LABEL = "notify"
"""First part of the paths of these steps, and their kind."""


@dataclass(frozen=True, slots=True)
class _About:
    """What is told.

    Attributes:
        context: the run, item or branch that tells it.
        event: what has happened.
        facts: of the notice: `step`, `error`, `message`, `fields`, `command`, `lived_with`.
        names: what the fields of a file's notifications may refer to, beside `notice`.
        submitted: when the run was asked for, seconds since the epoch.
    """

    context: WorkflowContext
    event: Event
    facts: Mapping[str, Any]
    names: Mapping[str, Any]
    submitted: float | None = None

    def notice(self) -> Notice:
        """The notice, without secrets."""
        context = self.context
        started_at = str(context.run["started_at"])
        began = self.submitted or datetime.fromisoformat(started_at).timestamp()
        run = {
            "id": context.root_id,
            "name": context.run["name"],
            "file": context.definition.file,
            "project": str(context.project_root),
            "started_at": started_at,
            "attempt": context.run["attempt"],
            "seconds": max(0.0, time.time() - began),
        }
        masked: Any = context.masker.mask_value(dict(self.facts))
        return make_notice(self.event, run, **masked)


async def tell_end(
    context: WorkflowContext, inputs: JsonObject, *, error: JsonObject | None = None, outputs: Json = None
) -> None:
    """Tell that the run has failed, if there is an error, or else succeeded; draws numbers."""
    tally = context.tally
    facts = {
        "error": error,
        "step": error.get("step") if error is not None else None,
        "lived_with": tally.skipped_failures + tally.items_failed,
    }
    names = {**inputs, "inputs": inputs, "error": error, "outputs": outputs}
    event: Event = "success" if error is None else "failure"
    about = _About(context, event, facts, names, _submitted(context))
    await _tell(about, context.definition, LABEL, with_settings=is_wanted(context.settings))


async def tell_too_late(context: WorkflowContext, inputs: JsonObject) -> None:
    """Tell that the run's time was over. A cancelled run has no steps any more: this stands in the log alone."""
    error = {"type": "RunTimeout", "message": "it took longer than its timeout", "step": None}
    names = {**inputs, "inputs": inputs, "error": error_scope(error), "outputs": None}
    about = _About(context, "failure", {"error": error, "status": "cancelled"}, names, _submitted(context))
    wanted = [_of_file(spec) for spec in context.definition.notify if about.event in spec.on]
    await asyncio.gather(
        *(_step(about, LABEL, one) for one in ([one] for one in wanted)), _step(about, LABEL, None)
    )


async def tell_waiting(
    context: WorkflowContext,
    path: str,
    *,
    message: str | None,
    fields: Mapping[str, str],
    command: str,
    with_settings: bool = True,
) -> None:
    """Tell that a step waits for somebody; draws as many numbers as the run's file has such notifications, and one.

    Args:
        context: of the step.
        path: of the step.
        message: what it asks.
        fields: what the answer may hold: types by name.
        command: what answers it.
        with_settings: the settings may name somebody too; fixed with the run, since a number is drawn for it.
    """
    payload, root, inputs = await durable.inputs_of(context.root_id), context, dict[str, Any]()
    if isinstance(payload, dict) and "frozen" in payload:
        root, inputs = loading.of_root(context, payload), payload["inputs"]
    step = context.base + path
    facts = {"step": step, "message": message, "fields": dict(fields) or None, "command": command}
    names = {**inputs, "inputs": inputs, "error": None, "outputs": None}
    submitted = payload.get("submitted_at") if root is not context else None
    about = _About(root, "waiting", facts, names, submitted)
    await _tell(about, root.definition, f"{path}.{LABEL}", with_settings=with_settings)


def _submitted(context: WorkflowContext) -> float | None:
    return loading.load(context.owner_id, {}).payload.get("submitted_at")


async def _tell(about: _About, definition: WorkflowDefinition, base: str, *, with_settings: bool) -> None:
    """Draw the numbers in the order of the file, then tell all at the same time."""
    work = [
        _in_slot(about, f"{base}.{name}", [_of_file(spec)])
        for name, spec in _named(definition.notify)
        if about.event in spec.on
    ]
    if with_settings:
        work.append(_in_slot(about, f"{base}.project", None))
    await asyncio.gather(*work)


def _named(notify: Sequence[NotifySpec]) -> list[tuple[str, NotifySpec]]:
    """Each notification with a name of its own: its type, from the second of that type on with a number."""
    seen: dict[str, int] = {}
    named: list[tuple[str, NotifySpec]] = []
    for spec in notify:
        seen[spec.type] = seen.get(spec.type, 0) + 1
        named.append((spec.type if seen[spec.type] == 1 else f"{spec.type}-{seen[spec.type]}", spec))
    return named


def _of_file(spec: NotifySpec) -> Wanted:
    return Wanted(spec.type, tuple(spec.on), spec.spec)


def _in_slot(about: _About, path: str, wanted: Sequence[Wanted] | None) -> Awaitable[None]:
    """Draw a number now; what is given back runs in it.

    Args:
        about: what is told.
        path: of the step.
        wanted: who is told; None for those of the settings.
    """
    slot = Slot()

    async def attempt() -> JsonObject:
        return (await _step(about, path, wanted)).to_json()

    async def run() -> None:
        await slot.run(path, attempt)

    return run()


async def _step(about: _About, path: str, wanted: Sequence[Wanted] | None) -> Envelope:
    """Tell everybody; never raises but when the run is cancelled."""
    progress, began = about.context.progress, time.monotonic()
    if wanted is None and not is_wanted(about.context.settings):
        return Envelope(state=SKIPPED, kind=LABEL)
    if about.context.mocks.on:
        progress.log.write("INFO", path, "not sent: parts of this run are pretended")
        return Envelope(state=SKIPPED, kind=LABEL)
    progress.step(path, "running", kind=LABEL, attempt=1)
    try:
        value = await _tell_all(about, path, wanted)
    except durable.Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - a run never fails because somebody could not be told
        described: Any = about.context.masker.mask_value(error_json(error))
        progress.step(path, FAILED, kind=LABEL, attempt=1, error=described)
        return Envelope(state=FAILED, kind=LABEL, error=described)
    progress.step(path, SUCCEEDED, kind=LABEL, attempt=1, seconds=time.monotonic() - began)
    return Envelope(state=SUCCEEDED, kind=LABEL, value=value)


async def _tell_all(about: _About, path: str, wanted: Sequence[Wanted] | None) -> Json:
    """Tell everybody at the same time; to whom it was told, by type.

    Raises:
        StepError: somebody could not be told; the others were.
    """
    known = notifiers(about.context.project_root)
    failures: dict[str, BaseException] = {}
    if wanted is None:
        found, faults = wanted_by(about.context.settings, known)
        wanted = [one for one in found if about.event in one.on]
        failures.update(faults)
    results: list[Any] = await asyncio.gather(
        *(_send(about, path, one, known) for one in wanted), return_exceptions=True
    )
    told = {one.type: result for one, result in zip(wanted, results, strict=True)}
    failures.update({name: result for name, result in told.items() if isinstance(result, BaseException)})
    if len(failures) > 1:
        text = "; ".join(f"{name}: {error}" for name, error in failures.items())
        raise StepError(text, type="NotificationFailed", details={"told": sorted(told.keys() - failures)})
    for error in failures.values():
        raise error
    return told


async def _send(about: _About, path: str, wanted: Wanted, known: Mapping[str, NotifierInfo]) -> str:
    """Tell one; to whom. `env` alone may bring secrets into its fields."""
    context = about.context
    names: dict[str, Any] = {
        **{name: context.masker.mask_value(value) for name, value in about.names.items()},
        "run": context.run,
        "env": context.env,
    }
    return await deliver(wanted, known, about.notice(), _step_context(context, path), names)


def _step_context(context: WorkflowContext, path: str) -> StepContext:
    """What a notifier knows of the run around it."""

    def nothing(key: str, value: Json) -> None:
        del key, value

    return StepContext(
        run_id=context.root_id,
        path=path,
        attempt=1,
        project_root=context.project_root,
        env=dict(context.env),
        secrets=context.secrets,
        limits=Limits(timeout=TIME_LIMIT),
        log=lambda level, text: context.progress.log.write(level, path, text),
        log_file=context.progress.log.path,
        emit_event=nothing,
        emit_stream=nothing,
    )
