"""Step kinds: what a plug-in writes, and the registry that finds it.

A kind is one class. Built-in kinds and those of third parties register through the entry-point group
`kurt.steps`; a project's own kinds are the `StepKind` subclasses in the Python files of its `steps/` folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from kurt.errors import UsageError
from kurt.types import Json

if TYPE_CHECKING:
    from datetime import timedelta

    from kurt.core.calling import Retry
    from kurt.core.completion import Calls


class Fields(BaseModel):
    """Base of a kind's own fields; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class OpenCalls(Protocol):
    """Opens calls of models for a step."""

    def __call__(
        self, *, model: str | None = None, retry: Retry = None, cache: bool | timedelta | None = None
    ) -> Awaitable[Calls]:
        """Open them.

        Args:
            model: `provider/model` where a request names none; by default what the settings say.
            retry: how often a failed call is repeated; by default five times, and once where the step has `retry`.
            cache: use answers that were paid before to exactly the same request.
        """
        ...


def _no_models(
    *, model: str | None = None, retry: Retry = None, cache: bool | timedelta | None = None
) -> Awaitable[Calls]:
    """Where there is no run, there are no models."""
    del model, retry, cache
    raise UsageError("models are called in runs only", hint="run a workflow file that has the step")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a child process.

    Attributes:
        timeout: seconds, or None.
        memory: bytes of address space, or None.
        cpu: seconds of processor time, or None.
    """

    timeout: float | None = None
    memory: int | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step knows while it runs.

    Attributes:
        run_id: the run (for an item or branch, the run that the user started).
        path: the step's path, such as `pages[url-1].fetch`.
        attempt: 1 for the first attempt.
        project_root: where relative paths start.
        env: variables for child processes: the file's and the step's `env` and the resolved secrets.
        secrets: values that must not leave the process in any text.
        limits: limits for the step's child processes.
        log: writes one line to the run's log: `log(level, text)`.
        log_file: the run's log, for child processes that append to it themselves.
        emit_event: sets an event of the run: `emit_event(key, value)`.
        emit_stream: appends to a stream of the run: `emit_stream(key, value)`.
        models: opens calls of models under the step's budgets, limits and settings, each of them traced:
            `calls = await context.models(model=None, retry=None, cache=None)`, `await calls.ask(calls.request(...))`.
    """

    run_id: str
    path: str
    attempt: int
    project_root: Path
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    limits: Limits
    log: Callable[[str, str], None]
    log_file: Path
    emit_event: Callable[[str, Json], None]
    emit_stream: Callable[[str, Json], None]
    models: OpenCalls = _no_models


class StepSkippedError(Exception):
    """What a kind raises to have its step skipped: the value is null and the run goes on; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a step's fields.

    Attributes:
        message: what it is.
        hint: what to write.
        place: where in the step, such as `("inputs", "question")`; as far as the file has it.
        is_key: the key itself is wrong, not its value.
    """

    message: str
    hint: str
    place: tuple[str | int, ...] = ()
    is_key: bool = False


class StepKind(ABC):
    """A kind of step. Subclass it, set `type` and `Model`, write `execute`.

    Attributes:
        type: the word after `type:` in a file.
        Model: Pydantic model of the kind's own fields (subclass of `Fields`).
        verbatim: names of fields in which `${...}` is not substituted (code, expressions).
        calls_models: it calls models, so that `budget` has a meaning for it.
        model_setting: which settings name its model where the step does not: `LLM.MODEL` or `EMBEDDING.MODEL`.
        row_fields: names of fields that are read anew for each row where the step works on rows.
    """

    type: ClassVar[str]
    Model: ClassVar[type[Fields]] = Fields
    verbatim: ClassVar[frozenset[str]] = frozenset()
    calls_models: ClassVar[bool] = False
    model_setting: ClassVar[Literal["LLM", "EMBEDDING"]] = "LLM"
    row_fields: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:  # noqa: ARG003 - for kinds that have something to check
        """Faults of the fields as they stand in the file, each with its remedy.

        Called when a file is validated, before any reference is replaced: the place for what the model cannot
        see any more when values have been put in.
        """
        return []

    @classmethod
    def check_project(cls, spec: Mapping[str, Any], root: Path) -> list[Finding]:  # noqa: ARG003 - as above
        """The same for a kind that looks into the project's files, each fault with its place; `root` is the project's.

        It must not run what it finds there: files are checked before anybody has decided to run them.
        """
        return []

    def cache_inputs(self, fields: Any, context: StepContext) -> Json:  # noqa: ARG002 - for kinds that look at more
        """All that decides about the step's value, for `cache`: by default its fields with their values put in.

        `fields` is an instance of `Model`. A kind that looks at anything else, such as a file, adds what it sees there.
        """
        return fields.model_dump(mode="json", by_alias=True)

    @abstractmethod
    def execute(self, fields: Any, context: StepContext) -> Any:
        """Do the work and return a JSON value; may be a plain or an `async` method.

        `fields` is an instance of `Model` with every reference replaced. Raise `StepError` for a failure that the
        file's author should see as it is. A plain method runs in a thread; an `async` one is cancelled on time-out
        and on cancellation and must then end what it started.
        """


@dataclass(frozen=True, slots=True)
class KindInfo:
    """A registered kind.

    Attributes:
        type: the word after `type:`.
        kind: its class.
        origin: where it was found: `kurt`, a distribution's name, or a file of the project.
    """

    type: str
    kind: type[StepKind]
    origin: str
