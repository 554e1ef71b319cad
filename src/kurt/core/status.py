"""Reading how a run is getting on: its state, its steps, its streams. Needs no executor, only the project."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kurt.config.current import current_settings
from kurt.runtime.runs import open_reader
from kurt.runtime.states import OVER

if TYPE_CHECKING:
    from kurt.runtime.runs import RunReader
    from kurt.types import Json, JsonObject


_LAST = 500
"""Entries of a step's own that are looked at: a stream of any length is read in the time of a short one."""


@contextmanager
def _reader() -> Generator[RunReader]:
    with open_reader(current_settings()) as reader:
        yield reader


def get_live_status(workflow_id: str) -> JsonObject:
    """How a run is getting on.

    Returns:
        `{workflow_id, status, current_step, stage, progress: {current, total}, steps: [{name, status, current, total,
        success, error, last_latency_ms, last_timestamp}], last_log}`. A run that is over has the state in which it ended.

    Raises:
        NotFoundError: there is no such run.
    """
    with _reader() as reader:
        run = reader.get(workflow_id)
        events = reader.events(run.id)
        last_log = _last(reader, run.id, "logs")
        tracked = events.get("steps")
        steps = list(tracked) if isinstance(tracked, list) else []
        steps += _folded(reader, run.id, {step["name"] for step in steps})
    over = run.status in OVER
    return {
        "workflow_id": run.id,
        "status": run.status,
        "current_step": None if over else events.get("current_step"),
        "stage": events.get("stage"),
        "progress": {
            "current": events.get("stage_current") or 0,
            "total": events.get("stage_total") or 0,
        },
        "steps": [_step(step, run.status) for step in steps],
        "last_log": last_log,
    }


_SHOWN = ("name", "status", "current", "total", "success", "error", "last_latency_ms", "last_timestamp")


def _step(step: Mapping[str, Any], run_status: str) -> JsonObject:
    """A step as it is shown; a step that was at work when its run ended did not come to its end."""
    shown = {name: step.get(name) for name in _SHOWN}
    if shown["status"] == "running" and run_status in OVER and run_status != "succeeded":
        shown["status"] = run_status
    return {**shown, **{name: value for name, value in step.items() if name not in shown}}


def _last(reader: RunReader, run_id: str, key: str) -> Json:
    length = reader.streams(run_id).get(key, 0)
    if not length:
        return None
    items = reader.stream(run_id, key, offset=length - 1, limit=1).items
    return items[-1] if items else None


def _folded(reader: RunReader, run_id: str, tracked: set[str]) -> list[JsonObject]:
    """Steps that only wrote to the stream `progress`, each as its last entries say."""
    length = reader.streams(run_id).get("progress", 0)
    steps: dict[str, JsonObject] = {}
    if length:
        page = reader.stream(run_id, "progress", offset=max(0, length - _LAST), limit=_LAST)
        for entry in page.items:
            name = entry.get("step") if isinstance(entry, dict) else None
            if isinstance(entry, dict) and isinstance(name, str) and name not in tracked:
                _fold(steps.setdefault(name, _unseen(name)), entry)
    return list(steps.values())


def _unseen(name: str) -> JsonObject:
    return {"name": name, "status": "running", "current": 0, "total": 0, "success": 0, "error": 0}


def _fold(step: JsonObject, entry: Mapping[str, Any]) -> None:
    step["total"] = entry.get("total") or step["total"]
    step["last_timestamp"] = entry.get("timestamp")
    step["last_latency_ms"] = entry.get("latency_ms")
    place = entry.get("idx")
    step["current"] = max(step["current"] + 1, place + 1 if isinstance(place, int) else 0)
    if entry.get("status") in {"success", "error"}:
        step[entry["status"]] += 1
    if step["total"] and step["current"] >= step["total"]:
        step["status"] = "error" if step["error"] == step["total"] else "success"


def read_workflow_events(workflow_id: str) -> dict[str, Json]:
    """All events of a run by key.

    Raises:
        NotFoundError: there is no such run.
    """
    with _reader() as reader:
        return reader.events(reader.get(workflow_id).id)


def read_workflow_streams(
    workflow_id: str, *, key: str = "logs", since_offset: int | None = None, limit: int = 500
) -> list[Json]:
    """A piece of a stream of a run, from its beginning by default.

    Raises:
        NotFoundError: there is no such run.
    """
    return paginate_stream(workflow_id, key, since_offset=since_offset, limit=limit)["items"]


def paginate_stream(
    workflow_id: str, key: str, *, since_offset: int | None = None, limit: int = 500
) -> JsonObject:
    """A page of a stream: `{items, next_offset, has_more}`.

    Args:
        workflow_id: the run.
        key: the stream.
        since_offset: where it begins: `next_offset` of the page before; None for the beginning.
        limit: items at most.

    Raises:
        NotFoundError: there is no such run.
    """
    with _reader() as reader:
        page = reader.stream(reader.get(workflow_id).id, key, offset=since_offset or 0, limit=limit)
    return {"items": page.items, "next_offset": page.next_offset, "has_more": page.has_more}


def get_step_logs_page(
    workflow_id: str, *, step_name: str | None = None, since_offset: int | None = None, limit: int = 500
) -> JsonObject:
    """A page of the log lines of a run: `{items, next_offset, has_more}`; those of one step if it is named."""
    page = paginate_stream(workflow_id, "logs", since_offset=since_offset, limit=limit)
    return {**page, "items": _of_step(page["items"], step_name)}


def get_step_logs(workflow_id: str, *, step_name: str | None = None, limit: int = 500) -> list[JsonObject]:
    """The first log lines of a run: `{timestamp, level, step, message}`; those of one step if it is named."""
    return get_step_logs_page(workflow_id, step_name=step_name, limit=limit)["items"]


def get_progress_page(
    workflow_id: str, *, step_name: str | None = None, since_offset: int | None = None, limit: int = 500
) -> JsonObject:
    """A page of the progress of a run: `{items, next_offset, has_more}`; that of one step if it is named."""
    page = paginate_stream(workflow_id, "progress", since_offset=since_offset, limit=limit)
    return {**page, "items": _of_step(page["items"], step_name)}


def _of_step(items: list[Any], step_name: str | None) -> list[Any]:
    if step_name is None:
        return items
    return [item for item in items if isinstance(item, dict) and item.get("step") == step_name]


def format_live_status(status: Mapping[str, Any]) -> str:
    """What `get_live_status` gives, as lines for people."""
    progress = status["progress"]
    lines = [f"{status['workflow_id']}: {status['status']}"]
    if progress["total"] and status.get("stage"):
        lines.append(f"{status['stage']}: {progress['current']}/{progress['total']}")
    for step in status["steps"]:
        counts = f" {step['current']}/{step['total']}" if step.get("total") else ""
        failed = f", {step['error']} failed" if step.get("error") else ""
        lines.append(f"  {step['name']}: {step['status']}{counts}{failed}")
    return "\n".join(lines)


def format_step_logs(logs: list[JsonObject]) -> str:
    """Log lines for people: time, level, step, message."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only who prints needs it

    return "\n".join(
        f"{datetime.fromtimestamp(line.get('timestamp') or 0, UTC):%H:%M:%S} {str(line.get('level', 'info')).upper():<5}"
        f" [{line.get('step') or '-'}] {line.get('message', '')}"
        for line in logs
    )
