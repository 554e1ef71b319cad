"""Making the context of a run, or of one of its items, from what is stored with the run."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kurt.config import is_secret, load_settings
from kurt.engine.expressions.references import as_text, resolve
from kurt.engine.interpreter.context import Around, Frame, Interpreter, WorkflowContext
from kurt.engine.interpreter.mocks import Mocks
from kurt.engine.interpreter.progress import Progress
from kurt.engine.language.analysis import default_paths, paths_used
from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep
from kurt.engine.registry import kinds
from kurt.errors import CredentialsError
from kurt.runtime import durable
from kurt.runtime.logs import open_log
from kurt.runtime.masking import Masker
from kurt.types import JsonObject

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Loaded:
    """The definition of a run, ready for use.

    Attributes:
        payload: the run's stored input.
        definition: the workflow.
        places: each step by its pointer, with the list in which it stands.
        asks_attempt: something in it depends on how often the run was started.
    """

    payload: JsonObject
    definition: WorkflowDefinition
    places: Mapping[str, tuple[WorkflowStep, Sequence[WorkflowStep]]]
    asks_attempt: bool


_loaded: OrderedDict[str, Loaded] = OrderedDict()
_progress: dict[str, Progress] = {}
_root: list[Path] = []


def use(settings: Settings) -> None:
    """Name the project whose runs this process executes."""
    _root[:] = [settings.root]


def current_settings() -> Settings:
    """The project's settings, read anew: `.env` may have changed since the last run."""
    return load_settings(_root[0] if _root else None)


def load(owner_id: str, payload: JsonObject) -> Loaded:
    """The definition stored with a run; kept for its items."""
    if (known := _loaded.get(owner_id)) is not None:
        _loaded.move_to_end(owner_id)
        return known
    definition = WorkflowDefinition.from_frozen(payload["frozen"])
    loaded = Loaded(payload, definition, _places(definition), _asks_attempt(definition))
    _loaded[owner_id] = loaded
    if len(_loaded) > _KEPT:
        _loaded.popitem(last=False)
    return loaded


def _places(definition: WorkflowDefinition) -> dict[str, tuple[WorkflowStep, Sequence[WorkflowStep]]]:
    places: dict[str, tuple[WorkflowStep, Sequence[WorkflowStep]]] = {}
    todo = [steps for _, steps in definition.lists()]
    while todo:
        steps = todo.pop()
        places.update({step.pointer: (step, steps) for step in steps})
        todo.extend(inner for step in steps for _, inner in step.bodies())
    return places


def _asks_attempt(definition: WorkflowDefinition) -> bool:
    """Whether `run.attempt` is looked up, or blocks that are tried again count by it."""
    everything = [step for _, steps in definition.lists() for step in steps]
    declared: JsonObject = {**definition.defaults.env, **definition.env, "outputs": definition.outputs}
    used = paths_used(everything, extra=declared) | default_paths(definition)
    asked = any(path[0] == "run" and path[1:2] in ((), ("attempt",)) for path in used)
    return asked or any(step.has_attempts(definition) for step in definition.walk())


async def run_context(payload: JsonObject, run_id: str, interpreter: Interpreter) -> WorkflowContext:
    """The context of a run of a file, whether a user or another file started it."""
    known = load(run_id, payload)
    if known.payload.get("attempt") != payload.get("attempt"):  # a retry, with the file as it was
        known = _loaded[run_id] = replace(known, payload=payload)
    attempt = payload.get("attempt", 1) if "root" not in payload else await _attempt(known, payload["root"])
    return _context(known, run_id, run_id, attempt, interpreter)


async def _attempt(loaded: Loaded, root_id: str) -> int:
    """How often the run that the user started has been started, as it stands with that run: a retry changes it there."""
    if not loaded.asks_attempt:
        return 1
    given = await durable.inputs_of(root_id)
    return given.get("attempt", 1) if isinstance(given, dict) else 1


async def branch_context(payload: JsonObject, run_id: str, interpreter: Interpreter) -> WorkflowContext:
    """The context of an item or a branch."""
    owner = payload["owner"]
    loaded = _loaded.get(owner) or load(owner, await durable.inputs_of(owner))
    attempt = await _attempt(loaded, payload["root"])
    context = _context(loaded, owner, run_id, attempt, interpreter)
    context.prefix = payload["prefix"]
    context.around = Around.from_json(payload.get("around"))
    return context


def _context(
    loaded: Loaded, owner_id: str, run_id: str, attempt: int, interpreter: Interpreter
) -> WorkflowContext:
    payload, definition = loaded.payload, loaded.definition
    settings = current_settings()
    secrets = _secrets(definition, settings)
    hidden = [*secrets.values(), *_secret_settings(settings)]
    masker = Masker(hidden)
    root_id = payload.get("root") or owner_id
    context = WorkflowContext(
        root_id=root_id,
        owner_id=owner_id,
        run_id=run_id,
        queue=payload["queue"],
        definition=definition,
        frozen=payload["frozen"],
        settings=settings,
        kinds=kinds(settings.root),
        progress=_enter(root_id, settings, hidden, anew=run_id == root_id),
        masker=masker,
        secrets=tuple(secrets.values()),
        env={},
        interpreter=interpreter,
        outside=Around.from_json(payload.get("around")),
        base=payload.get("base", ""),
        mocks=Mocks.from_json(payload.get("mock")),
        use_cache=not payload.get("no_cache", False),
    )
    context.run = _run_scope(context, payload, attempt)
    context.env = {**secrets, **_file_env(context, payload["inputs"])}
    return context


def of_root(context: WorkflowContext, payload: JsonObject) -> WorkflowContext:
    """The same context as the run that the user started sees it: its file, its name, its `env` and secrets.

    Args:
        context: of a run of a file, which another file may have started.
        payload: the stored input of the run that the user started.
    """
    definition = WorkflowDefinition.from_frozen(payload["frozen"])
    secrets = {name: context.settings.secret(name) or "" for name in definition.secrets}
    known = tuple({*context.secrets, *secrets.values()} - {""})
    masker = Masker([*known, *_secret_settings(context.settings)])
    root = replace(
        context, definition=definition, owner_id=context.root_id, secrets=known, masker=masker, env={}
    )
    root.run = _run_scope(root, payload, context.run["attempt"])
    root.env = {**secrets, **_file_env(root, payload["inputs"])}
    return root


def require_secrets(context: WorkflowContext) -> None:
    """See that all declared secrets are there; apart from making the context, so that its lack can be told.

    Raises:
        CredentialsError: one is missing.
    """
    missing = [name for name in context.definition.secrets if context.settings.secret(name) is None]
    if missing:
        raise CredentialsError(
            f"the secret {missing[0]} is not set",
            hint=f"add the line {missing[0]}=... to {context.settings.root / '.env'}",
        )


def _secrets(definition: WorkflowDefinition, settings: Settings) -> dict[str, str]:
    """Values of the declared secrets, as far as they are there."""
    found = {name: settings.secret(name) for name in definition.secrets}
    return {name: value for name, value in found.items() if value is not None}


def _secret_settings(settings: Settings) -> list[str]:
    """Values of settings that are secret by their name, such as a password in DATABASE_URL."""
    return [str(value) for key, value in settings.items() if value and is_secret(key)]


def _enter(root_id: str, settings: Settings, secrets: list[str], *, anew: bool) -> Progress:
    """The run's reports from this process; one for the run and all its children.

    A run that begins here gets its own: an earlier execution of it, cancelled and not yet ended, may use the other.
    """
    if anew or root_id not in _progress:
        _progress[root_id] = Progress(root_id, open_log(settings, root_id))
    _progress[root_id].join(secrets)
    return _progress[root_id]


async def leave(context: WorkflowContext, status: str | None = None) -> None:
    """An execution is over in this process; with the last one the log is closed.

    Args:
        context: of the execution.
        status: how the run ended, None for an item or branch, or when it goes on elsewhere.
    """
    progress = context.progress
    progress.users -= 1
    if status is not None:
        await progress.close(status)
    if progress.users == 0:
        if _progress.get(context.root_id) is progress:
            del _progress[context.root_id]
        await progress.close()
        progress.log.close()


def _run_scope(context: WorkflowContext, payload: JsonObject, attempt: int) -> JsonObject:
    started = payload.get("submitted_at") or time.time()
    return {
        "id": context.root_id,
        "name": context.definition.name,
        "started_at": datetime.fromtimestamp(started, UTC)
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z"),
        "attempt": attempt,
    }


def _file_env(context: WorkflowContext, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The file's `env` with its references replaced; they may name inputs and `run`."""
    names = {**inputs, "inputs": inputs, "run": context.run, "env": {}, "steps": {}}
    declared = {**context.definition.defaults.env, **context.definition.env}
    return {name: as_text(resolve(value, names)) for name, value in declared.items()}


def frame_for(context: WorkflowContext, scope: Mapping[str, Any]) -> Frame:
    """The first level of names: what is given, and those that each process makes anew."""
    names = {**scope, "run": context.run, "env": context.env}
    names.setdefault("steps", {})
    return Frame(names)
