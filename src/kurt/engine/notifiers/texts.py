"""What a notice says where nobody has written something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from kurt.config.durations import format_duration
from kurt.engine.notifiers.base import Event, Notice
from kurt.types import JsonObject

LONGEST = 2000
"""Characters of an error or a message that a notice repeats."""

_STATUS: Mapping[Event, str] = {"failure": "failed", "success": "succeeded", "waiting": "waiting"}


def make_notice(event: Event, run: Mapping[str, Any], **facts: Any) -> Notice:
    """A notice with title and text.

    Args:
        event: what it is about.
        run: `id`, `name`, `file`, `project` (path of its root), `started_at`, `attempt` and `seconds` of the run.
        facts: `step`, `error`, `message`, `fields`, `command`, `lived_with` (failures that the run lived with),
            `status` (where it is not what the event says).
    """
    run_id, name = str(run["id"]), str(run["name"])
    step, error, message = facts.get("step"), facts.get("error"), facts.get("message")
    command = facts.get("command") or _command(event, run_id)
    title = _title(event, name, int(facts.get("lived_with") or 0))
    lines = [
        f"{title} after {format_duration(float(run['seconds']))}",
        *_details(step, error, message, facts.get("fields")),
        f"run: {run_id}",
        f"project: {run['project']}",
        f"next: {command}",
    ]
    where = f"/{step}" if event == "waiting" and step else ""
    return Notice(
        id=f"{run_id}/{run['attempt']}/{event}{where}",
        event=event,
        run_id=run_id,
        workflow=name,
        file=str(run["file"]),
        project=PurePath(str(run["project"])).name,
        status=facts.get("status") or _STATUS[event],
        started_at=str(run["started_at"]),
        seconds=round(float(run["seconds"]), 3),
        title=title,
        text="\n".join(lines),
        command=command,
        step=step,
        error=error,
        message=message,
        fields=facts.get("fields"),
    )


def _title(event: Event, name: str, lived_with: int) -> str:
    if event == "waiting":
        return f"{name} waits for an answer"
    if event == "failure":
        return f"{name} failed"
    failures = f" with {lived_with} failure{'s' if lived_with > 1 else ''} on its way" if lived_with else ""
    return f"{name} succeeded{failures}"


def _details(
    step: str | None, error: JsonObject | None, message: str | None, fields: JsonObject | None
) -> list[str]:
    lines = [f"step: {step}"] if step else []
    if error is not None:
        lines.append(f"error: {error.get('type')}: {str(error.get('message'))[:LONGEST]}")
    if message:
        lines.append(f"asks: {message[:LONGEST]}")
    if fields:
        lines.append(f"answer: {', '.join(f'{name} ({kind})' for name, kind in fields.items())}")
    return lines


def _command(event: Event, run_id: str) -> str:
    if event == "failure":
        return f"kurt workflows logs {run_id}"
    return f"kurt workflows {'approve' if event == 'waiting' else 'status'} {run_id}"
