"""What `kurt workflows run X` means: a file, a file of the project by name, or a Python workflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app.catalogue import SUFFIXES, runnable
from kurt.config import load_settings
from kurt.db import tenant
from kurt.errors import CredentialsError, InputError, NotFoundError, StorageError, UsageError
from kurt.runtime import mocked, names
from kurt.types import JsonObject

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.engine.language.policies import DebounceSpec
    from kurt.engine.language.schema import WorkflowDefinition
    from kurt.errors import KurtError

_IN_WORKERS = frozenset({"cli", "script", "python"})
"""Step kinds that run in warm workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A checked workflow with its inputs, ready to start.

    Attributes:
        workflow: durable name of the DBOS workflow.
        name: the name shown to people.
        arguments: positional arguments.
        keywords: arguments by name.
        attributes: Kurt's facts about the run.
        queue: the queue that the file names.
        priority: the priority that the file names.
        timeout: seconds for the whole run, None for no limit.
        debounce: what the file says of requests that come close together; its key is that of this run.
        secrets: names of secrets that it needs.
        uses_workers: some of its steps run in warm workers, which take a tenth of a second to load.
        steps: names of the steps that are to be expected, in order.
    """

    workflow: str
    name: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    attributes: JsonObject = field(default_factory=dict)
    queue: str | None = None
    priority: int | None = None
    timeout: float | None = None
    debounce: DebounceSpec | None = None
    secrets: tuple[str, ...] = ()
    uses_workers: bool = False
    steps: tuple[str, ...] = ()

    def arguments_on(self, queue: str) -> tuple[Any, ...]:
        """The positional arguments for a run of that queue; a declared workflow is told it, for its children."""
        if self.workflow != names.RUN_WORKFLOW:
            return self.arguments
        return ({**self.arguments[0], "queue": queue}, *self.arguments[1:])

    def without_cache(self) -> Prepared:
        """The same run of a file, which uses no values that earlier runs have kept; others keep none.

        Raises:
            UsageError: it is no file.
        """
        if self.workflow != names.RUN_WORKFLOW:
            raise UsageError(
                "--no-cache is about workflow files; a Python workflow keeps no values of steps",
                hint="remove --no-cache",
            )
        payload = {**self.arguments[0], "no_cache": True}
        return replace(self, arguments=(payload, *self.arguments[1:]))


def prepare(
    settings: Settings,
    target: str,
    *,
    texts: tuple[str, ...] = (),
    given: Mapping[str, Any] | None = None,
    mock: JsonObject | None = None,
) -> Prepared:
    """Find the workflow, check it and its inputs; nothing is started.

    Args:
        settings: the project's settings.
        target: a file, or a name.
        texts: inputs as `name=value` texts.
        given: inputs as JSON; texts win.
        mock: what the run only pretends, see `kurt.engine.interpreter.mocks`; steps only of a file.

    Raises:
        NotFoundError: there is no such workflow.
        UsageError: it is a test file.
        DefinitionError: the file has faults.
        InputError: the inputs do not fit.
    """
    file = workflow_file(settings, target)
    if file is not None and file.stem.endswith(".test"):
        raise UsageError(f"{target} holds tests, not a workflow", hint=f"kurt workflows test {target}")
    if file is None:
        prepared = _prepare_python(settings, target, texts, given or {})
    else:
        prepared = _prepare_file(settings, file, texts, given or {})
    return prepared if mock is None else pretending(prepared, mock)


def pretending(prepared: Prepared, mock: JsonObject) -> Prepared:
    """The same run, marked as one that pretends.

    Args:
        prepared: the run.
        mock: what it pretends, see `kurt.engine.interpreter.mocks`; a run of a file is told it.
    """
    attributes = {**prepared.attributes, mocked.ATTRIBUTE: mocked.marks(mock)}
    if prepared.workflow != names.RUN_WORKFLOW:
        return replace(prepared, attributes=attributes)
    payload = {**prepared.arguments[0], "mock": mock}
    return replace(prepared, attributes=attributes, arguments=(payload, *prepared.arguments[1:]))


def workflow_file(settings: Settings, target: str) -> Path | None:
    """The file that a word means, None for a name.

    Raises:
        NotFoundError: it can only be a file, and there is none.
    """
    path = Path(target)
    for candidate in (path, settings.root / path):
        if candidate.is_file():
            return candidate.absolute()
    if path.suffix in SUFFIXES:
        raise no_workflow(settings, target)
    for suffix in SUFFIXES:
        candidate = settings.workflows_dir / f"{target}{suffix}"
        if candidate.is_file():
            return candidate
    return None


def no_workflow(settings: Settings, target: str) -> KurtError:
    """The error for a word that names no workflow: what it names, or what it may have been meant for."""
    from kurt.engine.suggestions import did_you_mean  # noqa: PLC0415 - only a mistake needs it

    path = next((path for path in (Path(target), settings.root / target) if path.is_dir()), None)
    if path is not None:
        return UsageError(f"{target!r} is a folder, not a workflow file", hint=_inside(path))
    known = runnable(settings)
    otherwise = "kurt workflows list --files, or give the path of a file"
    if Path(target).suffix in SUFFIXES:
        hint = did_you_mean(target, [workflow["source"] for workflow in known], "kurt workflows list --files")
        return NotFoundError(f"there is no file {target!r}", hint=hint)
    return NotFoundError(
        f"there is no workflow {target!r}: no file of that name in {settings.workflows_dir}, no Python module",
        hint=did_you_mean(target, [workflow["name"] for workflow in known], otherwise),
    )


def _inside(folder: Path) -> str:
    """What to name in place of a folder."""
    first = next((path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES), None)
    if first is not None:
        return f"name a file in it, such as {first}"
    if (folder / "workflow.py").is_file():
        return f"a Python workflow is named without its folder: {folder.name}"
    return "kurt workflows list --files"


def _prepare_file(
    settings: Settings, file: Path, texts: tuple[str, ...], given: Mapping[str, Any]
) -> Prepared:
    from kurt.app.known_workflows import KnownWorkflows  # noqa: PLC0415 - only for files
    from kurt.engine.language.inputs import bind_inputs  # noqa: PLC0415 - Python workflows need none of the language
    from kurt.engine.language.parser import freeze, load_workflow  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above

    loaded = load_workflow(
        file, root=settings.root, kinds=kinds(settings.root), workflows=KnownWorkflows(settings)
    )
    definition = loaded.definition
    queue = definition.queue
    frozen = freeze(loaded)
    inputs = bind_inputs(definition, given, texts=texts)
    payload = {"frozen": frozen, "inputs": inputs, "submitted_at": time.time()}
    return Prepared(
        workflow=names.RUN_WORKFLOW,
        name=definition.name,
        arguments=(payload,),
        attributes=attributes(settings, kind="yaml", workflow=definition.name, file=definition.file),
        queue=queue,
        priority=definition.priority,
        timeout=definition.timeout,
        debounce=_debounce(definition, inputs),
        secrets=_all_secrets(definition, frozen),
        uses_workers=any(step.type in _IN_WORKERS for step in definition.walk()),
        steps=_expected(definition),
    )


def _debounce(definition: WorkflowDefinition, inputs: JsonObject) -> DebounceSpec | None:
    """The file's `debounce` with the key of a run with these inputs."""
    spec = definition.debounce
    if spec is None or spec.key is None:
        return spec
    from kurt.engine.expressions.references import as_text, resolve  # noqa: PLC0415 - few files need it

    return spec.model_copy(update={"key": as_text(resolve(spec.key, {**inputs, "inputs": inputs}))})


def _expected(definition: WorkflowDefinition) -> tuple[str, ...]:
    from kurt.engine.language.order import fallback_names  # noqa: PLC0415 - only for files

    instead = fallback_names(definition.steps)
    return tuple(step.name for step in definition.steps if step.name not in instead)


def _all_secrets(definition: WorkflowDefinition, frozen: JsonObject) -> tuple[str, ...]:
    """Secrets of the file and of the files that it runs."""
    found = list(definition.secrets)
    for other in (frozen.get("subworkflows") or {}).values():
        found += other["definition"].get("secrets") or []
    return tuple(dict.fromkeys(found))


def attributes(settings: Settings, *, kind: str, workflow: str, file: str | None = None) -> JsonObject:
    """Kurt's facts about a run, stored with it and shown in lists."""
    whose = tenant.chosen.get() or tenant.tenant_of(settings)
    facts = {
        "kind": kind,
        "workflow": workflow,
        "file": file,
        "user_id": whose.user_id,
        "workspace_id": whose.workspace_id,
    }
    return {key: value for key, value in facts.items() if value}


def _prepare_python(
    settings: Settings, target: str, texts: tuple[str, ...], given: Mapping[str, Any]
) -> Prepared:
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - files need no Python modules

    registry = WorkflowRegistry(settings)
    module = registry.find(target)
    function = registry.function(module, target) if module else None
    if module is None or function is None:
        raise no_workflow(settings, target)
    from kurt.app.module_inputs import check_inputs  # noqa: PLC0415 - files need no Python modules
    from kurt.engine.language.arguments import bind_arguments  # noqa: PLC0415 - as above
    from kurt.runtime.durable import registered_name  # noqa: PLC0415 - loads DBOS

    arguments, keywords = bind_arguments(function, {**given, **_parse_texts(texts)}, module.module)
    check_inputs(module, arguments)
    _check_tables(settings)
    return Prepared(
        workflow=registered_name(function),
        name=module.name,
        arguments=arguments,
        keywords=keywords,
        attributes=attributes(settings, kind="python", workflow=module.name),
    )


def _check_tables(settings: Settings) -> None:
    """Refuse to start before the tables of the project's modules are there: a run would fail after it has paid.

    Raises:
        StorageError: there are revisions to apply.
    """
    from kurt.db.project_revisions import pending  # noqa: PLC0415 - files need no tables

    if lacking := pending(settings):
        raise StorageError(
            f"the database lacks revisions of the project's modules: {', '.join(lacking)}",
            hint="kurt db upgrade",
        )


def _parse_texts(texts: tuple[str, ...]) -> JsonObject:
    """`name=value` texts, each value read as a YAML 1.2 scalar or flow collection.

    Raises:
        InputError: one has no name.
    """
    from kurt.engine.language.inputs import parse_text  # noqa: PLC0415 - files need no Python modules

    found: JsonObject = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"the input {text!r} has no name", hint="write --input NAME=VALUE")
        found[name.strip()] = parse_text(value)
    return found


def check_secrets(settings: Settings, prepared: Prepared, *, stored: bool) -> None:
    """Refuse to start without a secret.

    Args:
        settings: the project's settings.
        prepared: the run.
        stored: they must be in `.env`: a worker does not see this shell's variables.

    Raises:
        CredentialsError: one is missing.
    """
    for name in prepared.secrets:
        if stored and _is_stored(settings, name):
            continue  # read anew: `.env` may have changed since the settings were read
        if settings.secret(name) is None:
            raise CredentialsError(
                f"the secret {name} is not set", hint=f"add the line {name}=... to {settings.root / '.env'}"
            )
        if stored:
            raise CredentialsError(
                f"the secret {name} is set in this shell only, where a worker cannot see it",
                hint=f"add the line {name}=... to {settings.root / '.env'}",
            )


def _is_stored(settings: Settings, name: str) -> bool:
    """True if the secret is in `.env`, whatever this shell says."""
    others = {key: value for key, value in os.environ.items() if key != name}
    return load_settings(settings.root, environ=others).secret(name) is not None
