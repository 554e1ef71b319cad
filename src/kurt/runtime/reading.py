"""What the read side gives: runs, steps and pages of streams, as plain values."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from kurt.runtime import serializer
from kurt.runtime.mocked import ATTRIBUTE
from kurt.runtime.states import OVER
from kurt.types import Json, JsonObject

_PLAIN_JSON = "portable_json"

NEVER = datetime.fromtimestamp(0, UTC)
"""The time of what has none, though it should."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A stored value that Kurt does not read: another program pickled it, and unpickling runs its code.

    Attributes:
        serialization: how it was written.
        size: characters of the stored text.
    """

    serialization: str
    size: int

    def to_json(self) -> JsonObject:
        """A JSON object that says what it is."""
        return {"opaque": self.serialization, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it was at the moment of reading.

    Attributes:
        id: its id.
        name: the workflow's name as people know it.
        status: the shown state, see `kurt.runtime.states`.
        workflow: the durable name of the DBOS workflow.
        kind: `yaml`, `python` or `branch`.
        file: the workflow's file, from the project's root; None for Python workflows.
        queue: the named queue to which it belongs, None for a run that never had one.
        priority: low numbers first; 0 is highest.
        created_at: when it was made, UTC.
        started_at: when it first began to work, or None.
        completed_at: when it ended, or None.
        scheduled_for: when it leaves the state `scheduled`, or None.
        executor_id: who owns it, or owned it last.
        parent_id: the run that started it, None for what a user started.
        forked_from: the run of which it is a copy.
        app_version: Kurt's interpreter version that it needs.
        user_id: whose run it is.
        workspace_id: in which workspace it is.
        waiting_for: for what it waits (kind, path, and more by its kind), or None; what people can end comes first.
        waits: for all that it waits, of which the first is `waiting_for`.
        error: type, message and more of a failure, or None.
        outputs: what it returned; None when it has not ended or was read in a list.
        summary: counts of what failed without failing the run; empty when nothing did.
        attributes: all facts that Kurt keeps about it.
    """

    id: str
    name: str
    status: str
    workflow: str
    kind: str = "python"
    file: str | None = None
    queue: str | None = None
    priority: int = 0
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    scheduled_for: datetime | None = None
    executor_id: str | None = None
    parent_id: str | None = None
    forked_from: str | None = None
    app_version: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    waiting_for: JsonObject | None = None
    waits: list[JsonObject] = field(default_factory=list["JsonObject"])
    error: JsonObject | None = None
    outputs: Json = None
    summary: dict[str, int] = field(default_factory=dict)
    attributes: JsonObject = field(default_factory=dict)

    @property
    def mocked(self) -> list[str]:
        """What it only pretended: `models`, `steps`; empty for a run that did what it says."""
        return list(self.attributes.get(ATTRIBUTE) or ())

    @property
    def schedule(self) -> JsonObject | None:
        """The schedule that started it: its `name`, and the time `at` which it was due; None for all others."""
        return self.attributes.get("schedule")

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in OVER

    @property
    def seconds(self) -> float | None:
        """How long it worked from start to end; None while one of the two is missing."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    def to_json(self) -> JsonObject:
        """The run as JSON; times are UTC in ISO 8601."""
        return {
            "run_id": self.id,
            "name": self.name,
            "status": self.status,
            "outputs": jsonable(self.outputs),
            "error": jsonable(self.error),
            "created_at": iso(self.created_at),
            "started_at": iso(self.started_at),
            "completed_at": iso(self.completed_at),
            "scheduled_for": iso(self.scheduled_for),
            "summary": self.summary,
            "waiting_for": jsonable(self.waiting_for),
            "waits": jsonable(self.waits),
            "workflow": self.workflow,
            "kind": self.kind,
            "file": self.file,
            "queue": self.queue,
            "priority": self.priority,
            "executor_id": self.executor_id,
            "parent_id": self.parent_id,
            "forked_from": self.forked_from,
            "app_version": self.app_version,
            "user_id": self.user_id,
            "workspace_id": self.workspace_id,
            "mocked": self.mocked,
            "schedule": self.schedule,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a run, all its attempts together.

    Attributes:
        path: where it stands: `pages[url-1].fetch`.
        kind: its type, None for a step of a Python workflow.
        status: `running`, `retrying`, `waiting`, `interrupted`, `succeeded`, `failed`, `skipped`, `cancelled`.
        attempt: number of the last attempt.
        started_at: when its first attempt began, or None where DBOS did not note it.
        completed_at: when it ended, or None.
        next_at: when the next attempt begins, or None.
        error: type, message and more of the last attempt's failure, or None.
        value: what it returned; None unless values were asked for.
        child_run_id: the run that it started, for steps that start one.
        run_id: the run or branch that holds its checkpoint.
        mocked: it only pretended to work.
        given: the fields that a step which only pretended was given; None unless values were asked for.
    """

    path: str
    kind: str | None = None
    status: str
    attempt: int = 1
    started_at: datetime | None = None
    completed_at: datetime | None = None
    next_at: datetime | None = None
    error: JsonObject | None = None
    value: Json = None
    child_run_id: str | None = None
    run_id: str
    mocked: bool = False
    given: Json = None

    @property
    def seconds(self) -> float | None:
        """How long it took from the first attempt's start to its end; None while it goes on."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    def to_json(self) -> JsonObject:
        """The step as JSON; times are UTC in ISO 8601."""
        return {
            "path": self.path,
            "kind": self.kind,
            "status": self.status,
            "attempt": self.attempt,
            "started_at": iso(self.started_at),
            "completed_at": iso(self.completed_at),
            "next_at": iso(self.next_at),
            "seconds": self.seconds,
            "error": jsonable(self.error),
            "value": jsonable(self.value),
            "child_run_id": self.child_run_id,
            "run_id": self.run_id,
            "mocked": self.mocked,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a stream.

    Attributes:
        items: its values in order.
        next_offset: where the next page begins.
        has_more: whether the stream holds more already.
        closed: whether the writer closed the stream and this page reaches its end.
    """

    items: list[Json]
    next_offset: int
    has_more: bool
    closed: bool = False

    def to_json(self) -> JsonObject:
        """The page as JSON."""
        return {
            "items": jsonable(self.items),
            "next_offset": self.next_offset,
            "has_more": self.has_more,
            "closed": self.closed,
        }


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What is on a queue.

    Attributes:
        queue: its name.
        queued: runs that wait.
        running: runs that executors have taken from it.
    """

    queue: str
    queued: int
    running: int

    def to_json(self) -> JsonObject:
        """The depth as JSON."""
        return {"queue": self.queue, "queued": self.queued, "running": self.running}


def decode(text: str | None, serialization: str | None) -> Json:
    """A stored value; `Opaque` for what was written in another way than JSON."""
    if text is None:
        return None
    if serialization in {serializer.NAME, None}:
        try:
            return serializer.loads(text)
        except ValueError:
            return Opaque(serialization or "unknown", len(text))
    if serialization == _PLAIN_JSON:
        return json.loads(text)
    return Opaque(str(serialization), len(text))


def decode_error(text: str | None, serialization: str | None) -> JsonObject | None:
    """A stored failure as `{type, message, ...}`, never as an exception object."""
    if text is None:
        return None
    if serialization not in {serializer.NAME, _PLAIN_JSON, None}:
        return {"type": "Error", "message": f"stored as {serialization}, which Kurt does not read"}
    try:
        value = json.loads(text)
    except ValueError:
        return {"type": "Error", "message": text[:500]}
    if isinstance(value, dict) and serializer.TAG in value:
        value = value.get("value")
    return _described(value)


def _described(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        return {"type": "Error", "message": str(value)}
    known = {key: item for key, item in value.items() if key not in {"name", "type"} and item is not None}
    kind = value.get("type") or value.get("name") or "Error"
    return {
        "type": str(kind),
        "message": str(value.get("message") or ""),
        **{k: v for k, v in known.items() if k != "message"},
    }


def moment(milliseconds: float | None) -> datetime | None:
    """A stored time as UTC."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def iso(value: datetime | None) -> str | None:
    """UTC in ISO 8601 with milliseconds."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def jsonable(value: Any) -> Json:
    """The value as JSON for people and programs: times in ISO 8601, bytes in base64, errors as objects."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return _other(value)


def _other(value: Any) -> Json:
    return next((write(value) for kind, write in _WRITERS if isinstance(value, kind)), str(value))


_WRITERS: tuple[tuple[type | tuple[type, ...], Any], ...] = (
    (Opaque, Opaque.to_json),
    (bytes, lambda value: base64.b64encode(value).decode()),
    (datetime, lambda value: iso(value) if value.tzinfo else value.isoformat()),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (BaseException, lambda value: _described(serializer.describe_error(value))),
)
