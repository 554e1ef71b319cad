"""What a notifier is: the plug-in that brings one notice to one kind of place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema

from kurt.engine.kinds import Fields, StepContext
from kurt.types import JsonObject

Event = Literal["failure", "success", "waiting"]
"""What a notice is about."""

EVENTS: tuple[Event, ...] = ("failure", "success", "waiting")


def split_words(value: Any) -> Any:
    """A text with commas as the list of its words; anything else as it is."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Words = Annotated[
    list[str],
    BeforeValidator(split_words),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "string"}]}
    ),
]
"""Texts; in settings one text with commas between them."""

Events = Annotated[list[Event], BeforeValidator(split_words)]
"""What somebody wants to be told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be told; no text in it holds a secret.

    Attributes:
        id: the same whenever the same thing is told again, as after a crash between telling and noting it.
        event: `failure`, `success` or `waiting`.
        run_id: the run.
        workflow: its name.
        file: its file, from the project's root.
        project: name of the project's folder.
        status: the run's state: `failed`, `succeeded` or `waiting`.
        started_at: when it was started, UTC in ISO 8601.
        seconds: how long it has taken so far.
        title: one line.
        text: some lines.
        command: what to type next.
        step: the step that failed or waits.
        error: `{type, message, ...}` of a failure.
        message: what a step that waits asks.
        fields: what the answer to it may hold: types by name.
    """

    id: str
    event: Event
    run_id: str
    workflow: str
    file: str
    project: str
    status: str
    started_at: str
    seconds: float
    title: str
    text: str
    command: str
    step: str | None = None
    error: JsonObject | None = None
    message: str | None = None
    fields: JsonObject | None = None

    def to_json(self) -> JsonObject:
        """The notice as JSON, all of its attributes."""
        return asdict(self)


class Notifier(ABC):
    """A way to tell somebody. Subclass it, set `type` and `Model`, write `send`.

    Attributes:
        type: the word after `type:` in a file's `notify`, and in the setting `NOTIFY.<TYPE>`.
        Model: Pydantic model of its own fields (subclass of `Fields`).
        short: the field whose value the setting `NOTIFY.<TYPE>` is; None if there is no such setting.
    """

    type: ClassVar[str]
    Model: ClassVar[type[Fields]] = Fields
    short: ClassVar[str | None] = None

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:  # noqa: ARG003 - for those that have something to check
        """Faults of the fields as they stand in the file, each with its remedy after a full stop."""
        return []

    @abstractmethod
    def send(self, fields: Any, notice: Notice, context: StepContext) -> Any:
        """Tell it, and return to whom, as one short text without secrets; may be a plain or an `async` method.

        `fields` is an instance of `Model` with every reference replaced. Raise `StepError` for what the file's author
        should see; a `ConnectionError`, `TimeoutError`, `StepTimeoutError`, or a `StepError` with `retry: True` in its
        details is tried again a little later. A plain method runs in a thread and must end by itself within
        `context.limits.timeout` seconds.
        """


@dataclass(frozen=True, slots=True)
class NotifierInfo:
    """A registered notifier.

    Attributes:
        type: the word after `type:`.
        notifier: its class.
        origin: where it was found: `kurt`, a distribution's name, or a file of the project.
    """

    type: str
    notifier: type[Notifier]
    origin: str
