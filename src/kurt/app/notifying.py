"""Trying out who is told of runs, without a run."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kurt.app.targets import no_workflow, workflow_file
from kurt.app.verdicts import OK, WARN, Check
from kurt.errors import KurtError
from kurt.types import JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kurt.config import Settings
    from kurt.engine.kinds import StepContext
    from kurt.engine.language.schema import WorkflowDefinition
    from kurt.engine.notifiers.base import Event, Notice, NotifierInfo
    from kurt.engine.notifiers.wanted import Wanted

_log = logging.getLogger(__name__)

SETTINGS = "settings"
"""What stands for the project's settings in the place of a file."""


def try_out(settings: Settings, target: str | None, event: Event) -> list[JsonObject]:
    """Tell everybody whom the settings name, and those of a file, as if something had happened.

    Args:
        settings: the project's settings.
        target: a workflow file, None for the settings alone.
        event: what is said to have happened.

    Returns:
        `{type, from, state, to, error, hint}` of each: `told`, `failed`, or `not asked` for one that wants to be told of other
        events.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it has faults.
    """
    from kurt.engine.notifiers.registry import notifiers  # noqa: PLC0415 - only when it is tried out
    from kurt.engine.notifiers.wanted import Wanted, wanted_by  # noqa: PLC0415 - as above

    known = notifiers(settings.root)
    found, faults = wanted_by(settings, known)
    rows = [_row(name, SETTINGS, "failed", error=error) for name, error in faults.items()]
    definition = None if target is None else _definition(settings, target)
    trial = _Trial(settings, definition, event, known)
    places = [(one, SETTINGS) for one in found]
    if definition is not None:
        places += [(Wanted(one.type, tuple(one.on), one.spec), definition.file) for one in definition.notify]
    return [*rows, *asyncio.run(trial.all(places))]


def _definition(settings: Settings, target: str) -> WorkflowDefinition:
    from kurt.engine.language.parser import load_workflow  # noqa: PLC0415 - only when it is tried out
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above

    file = workflow_file(settings, target)
    if file is None:
        raise no_workflow(settings, target)
    return load_workflow(file, root=settings.root, kinds=kinds(settings.root)).definition


class _Trial:
    """Tells one after the other."""

    def __init__(
        self,
        settings: Settings,
        definition: WorkflowDefinition | None,
        event: Event,
        known: Mapping[str, NotifierInfo],
    ) -> None:
        self._settings = settings
        self._event: Event = event
        self._known = known
        self._name = definition.name if definition else "try-out"
        self._file = definition.file if definition else ""
        self._inputs = {name: spec.default for name, spec in definition.inputs.items()} if definition else {}
        names = definition.secrets if definition else []
        self._secrets = {name: settings.secret(name) or "" for name in names}

    async def all(self, places: list[tuple[Wanted, str]]) -> list[JsonObject]:
        """What became of each."""
        return [await self._one(wanted, place) for wanted, place in places]

    async def _one(self, wanted: Wanted, place: str) -> JsonObject:
        from kurt.engine.notifiers.sending import deliver  # noqa: PLC0415 - only when it is tried out

        if self._event not in wanted.on:
            return _row(wanted.type, place, "not asked")
        notice = self._notice()
        names: dict[str, Any] = {
            **self._inputs,
            "inputs": self._inputs,
            "env": self._secrets,
            "run": {"id": notice.run_id, "name": self._name, "started_at": notice.started_at, "attempt": 1},
            "error": notice.error,
            "outputs": None,
        }
        try:
            told = await deliver(wanted, self._known, notice, self._context(), names)
        except Exception as error:  # noqa: BLE001 - that of a plug-in may be anything, and the others are told all the same
            return _row(wanted.type, place, "failed", error=error)
        return _row(wanted.type, place, "told", to=told)

    def _notice(self) -> Notice:
        from kurt.engine.notifiers.texts import make_notice  # noqa: PLC0415 - only when it is tried out

        now = datetime.now(UTC)
        run = {
            "id": f"try-out-{now:%Y%m%dt%H%M%S}",
            "name": self._name,
            "file": self._file,
            "project": str(self._settings.root),
            "started_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "attempt": 1,
            "seconds": 0.0,
        }
        error = {"type": "TryOut", "message": "nothing has failed; somebody tries out notifications"}
        facts: dict[str, Any] = {
            "failure": {"step": "none", "error": error},
            "success": {},
            "waiting": {"step": "none", "message": "Nothing; somebody tries out notifications."},
        }[self._event]
        return make_notice(self._event, run, **facts)

    def _context(self) -> StepContext:
        from kurt.engine.kinds import Limits, StepContext  # noqa: PLC0415 - only when it is tried out
        from kurt.engine.notifiers.sending import TIME_LIMIT  # noqa: PLC0415 - as above

        def nothing(key: str, value: object) -> None:
            del key, value

        return StepContext(
            run_id="try-out",
            path="notify",
            attempt=1,
            project_root=self._settings.root,
            env=self._secrets,
            secrets=tuple(secret for secret in self._secrets.values() if secret),
            limits=Limits(timeout=TIME_LIMIT),
            log=lambda level, text: _log.debug("%s %s", level, text),
            log_file=self._settings.logs_dir / "notify.log",
            emit_event=nothing,
            emit_stream=nothing,
        )


def _row(
    name: str, place: str, state: str, *, to: str | None = None, error: Exception | None = None
) -> JsonObject:
    message = getattr(error, "message", str(error)) if error is not None else None
    hint = error.hint if isinstance(error, KurtError) else None
    return {"type": name, "from": place, "state": state, "to": to, "error": message, "hint": hint}


def check_notifications(settings: Settings) -> Check | None:
    """Whether the settings name people who can be told; None if they name nobody."""
    from kurt.engine.notifiers.registry import notifiers  # noqa: PLC0415 - loads Pydantic
    from kurt.engine.notifiers.wanted import is_wanted, wanted_by  # noqa: PLC0415 - as above

    if not is_wanted(settings):
        return None
    found, faults = wanted_by(settings, notifiers(settings.root))
    if faults:
        error = next(iter(faults.values()))
        return Check("notifications", WARN, error.message, error.hint)
    told = ", ".join(f"{one.type} of {' and '.join(one.on)}" for one in found)
    return Check("notifications", OK, told)
