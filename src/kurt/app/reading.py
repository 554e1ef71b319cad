"""What has happened: runs, steps, logs, events and streams, read without DBOS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kurt.errors import NotFoundError, UsageError
from kurt.runtime.logs import log_path, parse_line, read_lines, tail
from kurt.runtime.runs import Page, Run, RunQuery, Step, open_reader

if TYPE_CHECKING:
    from kurt.config import Settings

_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


def list_runs(settings: Settings, filters: Mapping[str, Any]) -> list[Run]:
    """Runs by the options of `kurt workflows list`.

    Raises:
        UsageError: a time is not a time.
        NotFoundError: there is no run of the id given as parent or source.
    """
    query = RunQuery(
        status=tuple(filters.get("status") or ()),
        name=filters.get("name"),
        queue=filters.get("queue"),
        user=filters.get("user"),
        workspace=filters.get("workspace"),
        version=filters.get("app_version"),
        parent=_id(settings, filters.get("parent")),
        forked_from=_id(settings, filters.get("forked_from")),
        since=moment(filters.get("since")),
        until=moment(filters.get("until")),
        prefix=filters.get("prefix"),
        executor=filters.get("executor"),
        limit=filters.get("limit", 20),
        offset=filters.get("offset", 0),
        reverse=bool(filters.get("reverse")),
    )
    with open_reader(settings) as reader:
        return reader.list(query)


def _id(settings: Settings, prefix: str | None) -> str | None:
    return None if prefix is None else get_run(settings, prefix).id


def moment(text: str | None) -> datetime | None:
    """A time, or how long ago: `2026-11-21`, `2026-11-21T07:00:00Z`, `2h`.

    A time without a zone is the machine's local time.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    from kurt.app.times import instant, seconds  # noqa: PLC0415 - seldom needed

    with suppress(UsageError):
        return instant(text)
    try:
        return datetime.fromtimestamp(time.time() - seconds(text), UTC)
    except UsageError:
        raise UsageError(
            f"{text!r} is neither a time nor a duration",
            hint="write 2026-11-21T07:00:00Z, or 2h for two hours ago",
        ) from None


def get_run(settings: Settings, run_id: str) -> Run:
    """The run of an id or an unambiguous prefix.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    with open_reader(settings) as reader:
        return reader.get(run_id)


def get_steps(settings: Settings, run_id: str, *, values: bool = False) -> list[Step]:
    """The steps of a run and of its items, in order.

    Args:
        settings: the project's settings.
        run_id: id or prefix.
        values: read what the steps returned too.
    """
    with open_reader(settings) as reader:
        return reader.steps(reader.get(run_id).id, values=values)


def get_events(settings: Settings, run_id: str) -> dict[str, Any]:
    """The events of a run by key."""
    with open_reader(settings) as reader:
        return reader.events(reader.get(run_id).id)


def get_stream(settings: Settings, run_id: str, key: str, *, offset: int, limit: int) -> Page:
    """A page of a stream of a run.

    Raises:
        NotFoundError: the run has no such stream.
    """
    with open_reader(settings) as reader:
        run = reader.get(run_id)
        known = reader.streams(run.id)
        if key not in known:
            raise NotFoundError(
                f"the run {run.id} has no stream {key!r}", hint=f"it has: {', '.join(known) or 'none'}"
            )
        return reader.stream(run.id, key, offset=offset, limit=limit)


def log_lines(
    settings: Settings,
    run_id: str,
    *,
    tail_count: int | None = None,
    step: str | None = None,
    level: str | None = None,
) -> Iterator[str]:
    """Lines of a run's log.

    Args:
        settings: the project's settings.
        run_id: id or prefix.
        tail_count: only the last so many of them.
        step: only those of this step, and of what is inside it.
        level: only this level and above.

    Raises:
        NotFoundError: there is no such run, or its log is on another machine.
    """
    run = get_run(settings, run_id)
    path = log_path(settings, run.id)
    if not path.is_file():
        raise NotFoundError(
            f"the log of the run {run.id} is not on this machine: {path}",
            hint="look on the machine of its executor; kurt workflows status names it",
        )
    if step is None and level is None:
        return iter(tail(path, tail_count)) if tail_count else _all(path)
    wanted = list(_filtered(_all(path), step, level))
    return iter(wanted[-tail_count:] if tail_count else wanted)


def _all(path: Any) -> Iterator[str]:
    return (_text(line) for line in read_lines(path))


def _text(line: Any) -> str:
    return line if isinstance(line, str) else f"{line.at} {line.level:<5} [{line.label}] {line.text}"


def _filtered(lines: Iterator[str], step: str | None, level: str | None) -> Iterator[str]:
    least = _LEVELS.index(level.upper()) if level else 0
    for text in lines:
        line = parse_line(text)
        rank = _LEVELS.index(line.level) if line.level in _LEVELS else 1
        inside = step is None or line.label == step or line.label.startswith((f"{step}.", f"{step}["))
        if inside and rank >= least:
            yield text
