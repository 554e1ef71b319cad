"""How runs and steps are shown to people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from kurt.cli.run_state import state_text
from kurt.cli.table import Column, Table, time_text
from kurt.runtime import wait_words


def runs_table(runs: list[dict[str, Any]]) -> Table:
    """Runs as a table, the newest first; what can be run as one of names."""
    if runs and "source" in runs[0]:
        return _sources_table(runs)
    columns = [
        Column("run id"),
        Column("workflow", shrink=True),
        Column("state", "state"),
        Column("started", "time"),
        Column("ended", "time"),
        Column("queue"),
    ]
    waits = any(run.get("waits") for run in runs)
    if waits:
        columns.insert(3, Column("waiting for", shrink=True))
    rows = [
        [
            run["run_id"],
            run["name"],
            state_text(run),
            *([_waits_text(run)] if waits else []),
            run.get("started_at") or run.get("created_at"),
            run.get("completed_at"),
            run.get("queue"),
        ]
        for run in runs
    ]
    return Table(columns, rows, empty="no runs; start one with: kurt workflows run FILE")


def _waits_text(run: dict[str, Any]) -> str | None:
    """What a run waits for, in a table."""
    texts = [wait_words.text_of(wait) for wait in run.get("waits") or []]
    return f"{texts[0]}, and {len(texts) - 1} more" if len(texts) > 1 else next(iter(texts), None)


def _sources_table(found: list[dict[str, Any]]) -> Table:
    columns = [Column("name"), Column("kind"), Column("source", shrink=True)]
    return Table(columns, [[one["name"], one["kind"], one["source"]] for one in found])


def run_lines(run: dict[str, Any]) -> list[str]:
    """One run as lines of `name: value`."""
    shown = [
        ("run", run["run_id"]),
        ("workflow", run["name"]),
        ("file", run.get("file")),
        ("schedule", _schedule(run.get("schedule"))),
        ("state", state_text(run)),
        *_waiting(run),
        *_going_on(run),
        ("queue", run.get("queue")),
        ("priority", run.get("priority") or None),
        ("executor", run.get("executor_id")),
        *((label, _time(run.get(key))) for label, key in _TIMES),
        ("forked from", run.get("forked_from")),
        ("error", _error(run.get("error"))),
        ("hint", (run.get("error") or {}).get("hint")),
    ]
    return [f"{name and name + ':':<13} {value}" for name, value in shown if value not in (None, "")]


def _schedule(schedule: dict[str, Any] | None) -> str | None:
    return f"{schedule['name']}, for {_time(schedule['at'])}" if schedule else None


_TIMES = (("created", "created_at"), ("started", "started_at"), ("ended", "completed_at"))


def _time(moment: str | None) -> str | None:
    """Local time for somebody at a terminal, who sees it so in lists too; else as it is."""
    return time_text(moment, terminal=True) if moment and sys.stdout.isatty() else moment


def _waiting(run: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """What the run waits for: each wait with what is asked and the command that ends it."""
    waits: list[dict[str, Any]] = run.get("waits") or []
    approvals = sum(wait_words.kind_of(wait) == wait_words.APPROVAL for wait in waits)
    for wait in waits[:_SHOWN_WAITS]:
        where = f" (step {wait['path']})" if wait.get("path") else ""
        yield "waiting for", f"{_wait_text(wait)}{where}"
        for name, field in (wait.get("fields") or {}).items():
            yield "", f"  {name}: {_field_text(field)}"
        command = wait_words.command_of(wait, run["run_id"], alone=approvals == 1)
        if command is not None:
            yield "to go on", command
    if len(waits) > _SHOWN_WAITS:
        yield "", f"... and {len(waits) - _SHOWN_WAITS} more; all of them are in --format json"


def _going_on(run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What takes up a run that nobody executes."""
    if run["status"] in ("interrupted", "stuck"):
        yield "to go on", f"kurt workflows resume {run['run_id']}"


_SHOWN_WAITS = 10


def _wait_text(wait: dict[str, Any]) -> str:
    """A wait with the time at which it ends by itself."""
    text, until = wait_words.text_of(wait), wait.get("until")
    if until is None or wait_words.kind_of(wait) == wait_words.TIME:
        return text
    return f"{text}, until {_time(wait_words.moment_text(until))}"


def _field_text(field: dict[str, Any]) -> str:
    """What a field of an approval accepts, on one line."""
    import json

    kind = field.get("type", "any")
    if field.get("enum"):
        kind = " | ".join(map(str, field["enum"]))
    if field.get("default") is not None:
        kind += f", default {json.dumps(field['default'], ensure_ascii=False)}"
    elif field.get("required"):
        kind += ", required"
    return kind + (f" ({field['description']})" if field.get("description") else "")


def _error(error: dict[str, Any] | None) -> str | None:
    return str(error.get("message")) if error else None


def steps_table(steps: list[dict[str, Any]]) -> Table:
    """Steps as a table, in their order."""
    columns = [
        Column("step", shrink=True),
        Column("kind"),
        Column("state", "state"),
        Column("attempts", "number"),
        Column("seconds", "number"),
        Column("error", shrink=True),
    ]
    rows = [
        [
            step["path"],
            step.get("kind"),
            f"{step['status']} (mocked)" if step.get("mocked") else step["status"],
            step["attempt"],
            _seconds(step),
            _error(step.get("error")),
        ]
        for step in steps
    ]
    return Table(columns, rows, empty="no step has finished yet")


def _seconds(step: dict[str, Any]) -> str | None:
    seconds = step.get("seconds")
    return None if seconds is None else f"{seconds:.2f}"


def submitted_lines(submitted: dict[str, Any]) -> list[str]:
    """What `--background` says."""
    run_id = submitted["run_id"]
    verb = "Workflow already there" if submitted.get("existing") else "Workflow started"
    return [f"{verb}: {run_id}", f"Logs: {submitted['log']}", f"Follow: kurt workflows follow {run_id}"]


def stream_lines(page: dict[str, Any]) -> list[str]:
    """A page of a stream: one line an entry; of the stream of a log the log's own lines."""
    import json

    from kurt.runtime.terminal import plain

    lines: list[str] = []
    for item in page["items"]:
        if isinstance(item, dict) and isinstance(item.get("lines"), list) and "log" in item:
            lines += [plain(str(line)) for line in item["lines"]]
        else:
            lines.append(json.dumps(item, ensure_ascii=False))
    if page["has_more"]:
        lines.append(f"... there is more: --offset {page['next_offset']}")
    return lines
