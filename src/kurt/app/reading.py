"""What has happened: runs, steps, logs, events and streams, read without DBOS."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kurt.errors import NotFoundError, UsageError
from kurt.runtime.log_stream import StoredLog, log_id
from kurt.runtime.logs import LogLine, log_path, parse_line, read_lines, tail
from kurt.runtime.runs import Page, Run, RunQuery, RunReader, Step, open_reader
from kurt.runtime.terminal import harmless

if TYPE_CHECKING:
    from pathlib import Path

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

    Control sequences are left out but for colours. On a machine without the log file, or with a part of the log only, the
    rest is read from the stream `logs`.

    Raises:
        NotFoundError: there is no such run, or it has no log.
    """
    with open_reader(settings) as reader:
        run = reader.get(run_id)
        path = log_path(settings, run.id)
        elsewhere = stored_log(settings, reader, run.id, whole=not path.is_file()).new_lines()
    if not elsewhere and not path.is_file():
        raise _no_log(run)
    lines = _merged([*_all(path), *elsewhere]) if elsewhere else _all(path)
    if step is None and level is None:
        if tail_count is None:
            return map(harmless, lines)
        last = deque(lines, tail_count) if elsewhere else tail(path, tail_count)
        return map(harmless, last)
    wanted = deque(_filtered(lines, step, level), tail_count)
    return map(harmless, wanted)


def stored_log(settings: Settings, reader: RunReader, run_id: str, *, whole: bool = False) -> StoredLog:
    """What is stored of the logs of a run: of those of other machines, or also of the one whose file belongs here."""
    own = log_id(run_id, log_path(settings, run_id), shared=not settings.is_sqlite)
    return StoredLog(reader, run_id, without=None if whole else own)


def _no_log(run: Run) -> NotFoundError:
    if run.parent_id is not None:
        root = run.id.split(".", 1)[0]
        step = (run.attributes or {}).get("path")
        part = f" --step '{step}'" if step else ""
        return NotFoundError(
            f"{run.id} is a part of the run {root} and writes into its log",
            hint=f"kurt workflows logs {root}{part}",
        )
    return NotFoundError(
        f"nothing is known of a log of the run {run.id}: its file is not here, and nothing of it is stored",
        hint=f"kurt workflows status {run.id} names its executor; the log is on that machine",
    )


def _merged(lines: Iterable[str]) -> list[str]:
    """Lines of several files in the order of their times; one without a time stays behind the one before it."""
    timed: list[tuple[str, str]] = []
    at = ""
    for line in lines:
        at = parse_line(line).at or at
        timed.append((at, line))
    return [line for _, line in sorted(timed, key=itemgetter(0))]


def _all(path: Path) -> Iterator[str]:
    return (_text(line) for line in read_lines(path))


def _text(line: LogLine) -> str:
    return f"{line.at} {line.level:<5} [{line.label}] {line.text}" if line.at else line.text


def _filtered(lines: Iterable[str], step: str | None, level: str | None) -> Iterator[str]:
    least = _LEVELS.index(level.upper()) if level else 0
    for text in lines:
        line = parse_line(text)
        rank = _LEVELS.index(line.level) if line.level in _LEVELS else 1
        inside = step is None or line.label == step or line.label.startswith((f"{step}.", f"{step}["))
        if inside and rank >= least:
            yield text
