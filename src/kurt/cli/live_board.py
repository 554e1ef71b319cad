"""What is known of a run while it is watched: its steps, its fan-outs, the end of its log. Nothing is drawn here."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kurt.cli.run_state import title_of
from kurt.runtime.logs import RUN_LABEL, parse_line
from kurt.runtime.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOG_LINES = 5
"""Lines of the log that are kept."""

CHILDREN = 5
"""Steps at work inside of one block that are shown by name."""

GOOD = frozenset({"succeeded", "skipped", "cached"})
"""States that need nobody's attention any more."""

_SLOW = 0.5
"""Seconds after which an item at work is shown: names that come and go many times a second cannot be read."""

_ENDED = GOOD | {"failed", "cancelled"}
_NOT_RUN = "not run"
_WAITS = "waits"
_TOP = re.compile(r"[\w-]+")
_TOLD_BY_ROWS = re.compile(
    r"started(, attempt \d+)?|succeeded in [\d.]+ s|skipped|cached: .*|run \S+ of .* starts"
)


@dataclass(slots=True)
class Row:
    """One step, or one block with what is at work inside of it.

    Attributes:
        path: the step's path; for what is inside of a block the part behind the block's own.
        state: `waiting`, `running`, `retrying`, `succeeded`, `cached`, `failed`, `skipped`, `cancelled`.
        attempt: 1 for the first attempt.
        started: when it began, in seconds of `time.time()`, or None.
        seconds: how long it took, None until it has ended.
        detail: message of its last error.
        done: items that have ended, None for what has no items.
        failed: how many of these have failed.
        total: number of items.
        note: more about its items.
        inside: what is at work inside of the block, or has failed there, by path.
    """

    path: str
    state: str = "waiting"
    attempt: int = 1
    started: float | None = None
    seconds: float | None = None
    detail: str = ""
    done: int | None = None
    failed: int = 0
    total: int = 0
    note: str = ""
    inside: dict[str, Row] = field(default_factory=dict[str, "Row"])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in _ENDED

    def age(self, now: float) -> float | None:
        """How long it took, or has taken so far."""
        if self.seconds is not None:
            return self.seconds
        return None if self.started is None else max(0.0, now - self.started)


@dataclass(frozen=True, slots=True)
class Picture:
    """A consistent view of the run at one moment.

    Attributes:
        name: the workflow's name.
        run_id: the run, empty until it is known.
        status: its state.
        seconds: how long it has been at work.
        rows: lines in order: depth 0 or 1, and the row; a row without a state is a remark.
        log: the last lines of its log: the step, empty if there is none, and the text.
        is_over: whether it has ended.
    """

    name: str
    run_id: str
    status: str
    seconds: float
    rows: list[tuple[int, Row]]
    log: list[tuple[str, str]]
    is_over: bool


class Board:
    """Takes events of a run from any thread and gives pictures of it.

    Args:
        name: the workflow's name.
        clock: seconds since 1970, for tests.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._name = name
        self._run_id = ""
        self._status = "running"
        self._started = clock()
        self._seconds: float | None = None
        self._rows: dict[str, Row] = {}
        self._log: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)

    def run(self, run: Mapping[str, Any], steps: Iterable[str] = ()) -> Picture:
        """What is known of the run; what is missing stays as it was.

        Args:
            run: any of `run_id`, `name` with `mocked`, `status`, `started_at`, `completed_at`.
            steps: names of the steps that are expected, in order.

        Returns:
            How the run stands, without its steps and its log.
        """
        with self._lock:
            self._run_id = str(run.get("run_id") or self._run_id)
            if run.get("name"):
                self._name = title_of(str(run["name"]), run.get("mocked") or ())
            self._status = str(run.get("status") or self._status)
            self._started = _moment(run.get("started_at")) or self._started
            ended = _moment(run.get("completed_at"))
            self._seconds = None if ended is None else max(0.0, ended - self._started)
            for name in steps:
                self._rows.setdefault(name, Row(name))
        return self.picture(limit=0, log=False)

    def step(self, path: str, state: str, facts: Mapping[str, Any]) -> Row:
        """A step changed its state; returns how it stands now."""
        with self._lock:
            row = self._row(path)
            if state == "running" and row.state != "running":
                row.started = _moment(facts.get("started_at")) or self._clock()
                row.seconds = None
            row.state = state
            row.attempt = facts.get("attempt") or row.attempt
            error = facts.get("error")
            row.detail = _message(error) if error else ""
            if row.has_ended:
                row.seconds = self._taken(row, facts)
                row.inside = {path: one for path, one in row.inside.items() if one.state == "failed"}
                self._forget(path, row)
            return replace(row)

    def waits(self, path: str, what: str) -> None:
        """A step waits for something outside of the run."""
        with self._lock:
            row = self._row(path)
            row.state, row.detail = _WAITS, printable(what)

    def items(self, path: str, done: int, failed: int, total: int, note: str = "") -> Row:
        """A fan-out went on; returns how it stands now."""
        with self._lock:
            row = self._row(path)
            if row.state == "waiting":
                row.state, row.started = "running", self._clock()
            row.done, row.failed, row.total, row.note = done, failed, total, printable(note)
            return replace(row)

    def log(self, line: str) -> None:
        """A line of the run's log, with or without its time."""
        parsed = parse_line(line)
        if parsed.level == "INFO" and _TOLD_BY_ROWS.fullmatch(parsed.text):
            return
        level = "" if parsed.level in ("", "INFO") else f"{parsed.level} "
        step = "" if parsed.label == RUN_LABEL else parsed.label
        with self._lock:
            self._log.append((printable(step), level + printable(plain(parsed.text))))

    def now(self) -> float:
        """The time by which ages are counted."""
        return self._clock()

    def picture(self, *, limit: int = 1000, log: bool = True) -> Picture:
        """How the run stands now.

        Args:
            limit: lines that may be used for steps; finished ones are put together first.
            log: whether the log is wanted.
        """
        with self._lock:
            now = self._clock()
            seconds = now - self._started if self._seconds is None else self._seconds
            lines = list(self._log) if log else []
            rows = self._fitted(limit, now) if limit else []
            is_over = self._seconds is not None
            return Picture(self._name, self._run_id, self._status, seconds, rows, lines, is_over)

    def _row(self, path: str) -> Row:
        """The row of a path: on its own for a step of the file, else inside of its block."""
        top = _TOP.match(path)
        if top is None or top.end() == len(path):
            return self._rows.setdefault(path, Row(printable(path)))
        block = self._rows.setdefault(top[0], Row(top[0], "running", started=self._clock()))
        return block.inside.setdefault(path, Row(printable(path[top.end() :].removeprefix("."))))

    def _forget(self, path: str, row: Row) -> None:
        """Drop what went well inside of a block: there may be thousands."""
        block = _TOP.match(path)
        if row.state in GOOD and block is not None and block.end() < len(path):
            self._rows[block[0]].inside.pop(path, None)

    def _taken(self, row: Row, facts: Mapping[str, Any]) -> float | None:
        if facts.get("seconds") is not None:
            return float(facts["seconds"])
        begun = _moment(facts.get("started_at")) or row.started
        ended = _moment(facts.get("completed_at")) or self._clock()
        return None if begun is None else max(0.0, ended - begun)

    def _fitted(self, limit: int, now: float) -> list[tuple[int, Row]]:
        """The rows in order, with as much detail as fits into `limit` lines."""
        rows = list(self._rows.values())
        if self._seconds is not None:
            rows = [_settled(row) for row in rows]
        for children in range(CHILDREN, -1, -1):
            lines = [line for row in rows for line in _with_children(row, children, now)]
            if len(lines) <= limit:
                return lines
        return _collapsed(rows, limit)


def _moment(value: object) -> float | None:
    """A point in time in seconds since 1970, given so or as ISO 8601."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return float(value) if isinstance(value, int | float) else None


def printable(text: str) -> str:
    """The text without characters that would move the cursor or change the screen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _settled(row: Row) -> Row:
    """A row as it is when the run is over: nothing waits, and nothing is at work."""
    if row.state == "waiting":
        return replace(row, state=_NOT_RUN)
    inside = {path: _settled(one) for path, one in row.inside.items()}
    return replace(row, state=row.state if row.has_ended else "cancelled", inside=inside)


def _with_children(row: Row, limit: int, now: float) -> list[tuple[int, Row]]:
    """A row and what is inside of it: what is at work first, then what has failed."""
    inside = [
        one
        for one in row.inside.values()
        if row.done is None or one.has_ended or (one.age(now) or 0) >= _SLOW
    ]
    busy = sorted(inside, key=lambda one: one.has_ended)
    lines = [(0, replace(row)), *((1, replace(one)) for one in busy[:limit])]
    if limit and row.note:
        lines.insert(1, (0, _remark(row.note)))
    if limit and len(busy) > limit:
        lines.append((1, _remark(f"... {len(busy) - limit} more")))
    return lines


def _collapsed(rows: list[Row], limit: int) -> list[tuple[int, Row]]:
    """The rows that matter: finished ones give way first, the oldest first, then waiting ones, the last first."""
    excess = len(rows) - limit + 2  # two lines say what is missing
    finished = [row for row in rows if row.state in GOOD][:excess]
    waiting = [row for row in rows if row.state in ("waiting", _NOT_RUN)]
    waiting = waiting[max(0, len(waiting) - max(0, excess - len(finished))) :]
    hidden = {id(row) for row in (*finished, *waiting)}
    shown = [(0, replace(row)) for row in rows if id(row) not in hidden][-max(1, limit - 2) :]
    before = [(0, _remark(f"... {len(finished)} finished"))] if finished else []
    after = [(0, _remark(f"... {len(waiting)} {waiting[0].state}"))] if waiting else []
    return [*before, *shown, *after]


def _remark(text: str) -> Row:
    return Row(text, "")


def _message(error: Any) -> str:
    text = str(error.get("message") or error.get("type") or "") if isinstance(error, dict) else str(error)
    return printable(text.split("\n", 1)[0])
