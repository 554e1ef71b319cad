"""The live view of a run: drawn on a terminal, one line a stage elsewhere, nothing with `--quiet` or in JSON modes.

    with live_view("pages") as view:
        view.on_run({"run_id": run_id})
        ... view.on_step("fetch", "running") ...

Everything goes to stderr. Events may come from any thread.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kurt.cli.live_board import Board
from kurt.cli.output import colours, write_error_line
from kurt.cli.session import TABLE, current, current_mode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from kurt.cli.live_board import Row
    from kurt.cli.live_screen import Screen
    from kurt.errors import KurtError

_PARTS = 10
"""A line about items is written when another tenth of them is done ..."""

_COUNTS = {"done": "current", "failed": "error", "total": "total"}

_PAUSE = 2.0
"""... and at least so many seconds after the one before: a thousand quick items are one line, that of the step's end."""


class LiveView:
    """Shows events of a run as one line a stage; see `live_view`.

    Args:
        name: the workflow's name.
    """

    _before_leaving = ""

    def __init__(self, name: str) -> None:
        self.board = Board(name)
        # Decided here: events come from threads that know nothing of the command's options.
        self._speaks = not current().quiet and current_mode() == TABLE
        self._lock = threading.Lock()
        self._told: dict[str, tuple[int, float]] = {}  # which tenth of a step's items was told, and when
        self._tracked: dict[
            str, tuple[object, str]
        ] = {}  # when a step began that tells of itself, and its state
        self._told_run = ("", "")

    def open(self) -> None:
        """Begin to show."""

    def close(self) -> None:
        """Show the last state and nothing more."""

    def on_run(self, run: Mapping[str, Any], *, steps: Iterable[str] = ()) -> None:
        """What is known of the run.

        Args:
            run: any of `run_id`, `name`, `status`, and `started_at`, `completed_at` as ISO 8601 or seconds since 1970.
            steps: names of the steps that are expected, in order.
        """
        picture = self.board.run(run, steps)
        if picture.run_id and (picture.run_id, picture.status) != self._told_run:
            self._told_run = (picture.run_id, picture.status)
            self._tell(f"run {picture.run_id} {picture.status}")

    def on_step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state.

        Args:
            path: the step's path, such as `pages[url-1].fetch`.
            state: `running`, `retrying`, `succeeded`, `cached`, `failed`, `skipped` or `cancelled`.
            facts: any of `kind`, `attempt`, `seconds`, `started_at`, `completed_at` (as in `on_run`), `error`
                (a mapping with `message`), `wait` (seconds until the next attempt).
        """
        row = self.board.step(path, state, facts)
        if "[" in path:
            return  # the steps of items are counted, not listed
        with self._lock:
            self._told.setdefault(path, (0, self.board.now()))
        self._tell(f"step {path} {_told_state(row, facts)}")

    def on_wait(self, path: str, what: str, command: str | None) -> None:
        """A step, or without a path the run, waits for something outside of it; the command ends the wait."""
        if path:
            self.board.waits(path, what)
        self._tell(f"step {path} waits for {what}" if path else f"the run waits for {what}")
        if command is not None:
            self.on_notice(f"to go on: {command}")

    def on_items(self, path: str, *, done: int, failed: int, total: int, note: str = "") -> None:
        """A fan-out went on.

        Args:
            path: the step's path.
            done: items, or rows, that have ended.
            failed: how many of these have failed.
            total: how many there are.
            note: more about rows.
        """
        row = self.board.items(path, done, failed, total, note)
        if "[" not in path and self._is_due(path, _PARTS * done // total if total else 0):
            self._tell(f"step {path} {_items(row)}")

    def _is_due(self, path: str, part: int) -> bool:
        """Whether it is time for a line about the items of a step, of which so many tenths are done."""
        now = self.board.now()
        with self._lock:
            told, at = self._told.setdefault(path, (0, now))
            if part <= told or now - at < _PAUSE:
                return False
            self._told[path] = (part, now)
            return True

    def on_tracked(self, step: Mapping[str, Any]) -> None:
        """A step that tells of its progress itself went on: see `kurt.core.tracking.StepProgress`."""
        from kurt.cli.live_rows import fault_of, note_of, state_of

        path, began = str(step["name"]), step.get("started_at")
        if self._tracked.get(path, (None, ""))[0] != began:
            self._tracked[path] = (began, "running")
            self.on_step(path, "running", started_at=began)
        if step.get("total"):
            counts = {name: step.get(key) or 0 for name, key in _COUNTS.items()}
            self.on_items(path, note=note_of(step), **counts)
        state = state_of(step)
        if state != self._tracked[path][1]:
            self._tracked[path] = (began, state)
            error = fault_of(step) if state == "failed" else None
            self.on_step(path, state, completed_at=step.get("last_timestamp"), error=error)

    def on_log(self, line: str) -> None:
        """A line of the run's log."""
        self.board.log(line)

    def on_trouble(self, error: KurtError) -> None:
        """Something holds the run up for a while."""
        self.on_notice(f"warning: {error.message}; the run waits for it")
        self.on_notice(f"hint: {error.hint}")

    def on_notice(self, line: str) -> None:
        """Something to know while the run works."""
        self.board.log(line)
        self._tell(line)

    def leave(self, line: str) -> None:
        """The process ends this moment: say a last line, and leave the terminal as it was found."""
        if self._speaks:
            os.write(sys.stderr.fileno(), f"{self._before_leaving}{line}\n".encode())

    def tick(self) -> None:
        """Called now and then while nothing happens."""

    def refresh(self) -> None:
        """Show what has changed at once; without it a picture is at most an eighth of a second old."""

    def _tell(self, line: str) -> None:
        if self._speaks:
            write_error_line(line)


class ScreenView(LiveView):
    """Shows events of a run on a terminal, drawn again and again in the same place."""

    _before_leaving = "\x1b[?25h\r\n"  # the cursor was hidden

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._screen: Screen | None = None

    def open(self) -> None:
        """Begin to draw."""
        from kurt.cli.live_screen import Screen

        self._screen = Screen(self.board, sys.stderr, colour=colours(sys.stderr))
        self._screen.open()

    def refresh(self) -> None:
        """Draw at once."""
        if self._screen is not None:
            self._screen.refresh()

    def close(self) -> None:
        """Leave the last picture on the screen."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()

    def _tell(self, line: str) -> None:
        """Nothing: the screen shows it."""


@contextmanager
def live_view(name: str) -> Generator[LiveView]:
    """The live view of one run, as the terminal and the options allow.

    Args:
        name: the workflow's name.
    """
    view = ScreenView(name) if can_draw() else LiveView(name)
    view.open()
    try:
        yield view
    finally:
        view.close()


def can_draw() -> bool:
    """Whether stderr is a terminal on which a picture can be drawn, and somebody wants to see it."""
    if current().quiet or current_mode() != TABLE or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr.isatty()


def closing_lines(run: Mapping[str, Any]) -> list[str]:
    """What is said at the end of a run: how it ended, how long it took, and what can be done next.

    Args:
        run: `run_id`, `name`, `status`, and what is known of `seconds`, `summary` and `log`.
    """
    from kurt.cli.run_state import state_text
    from kurt.engine.durations import format_duration

    run_id, status, seconds = run["run_id"], run["status"], run.get("seconds")
    taken = "" if seconds is None else f" after {format_duration(seconds)}"
    lines = [f"run {run_id} {state_text(dict(run))}{taken}"]
    if run.get("log"):
        lines.append(f"log: {run['log']}")
    return [*lines, *(f"{label}: kurt workflows {verb} {run_id}" for label, verb in _NEXT.get(status, ()))]


_NEXT: dict[str, tuple[tuple[str, str], ...]] = {
    "succeeded": (("steps", "steps"),),
    "failed": (("what happened", "logs"), ("once it is mended", "retry")),
    "cancelled": (("to go on", "resume"),),
    "interrupted": (("to go on", "resume"),),
    "stuck": (("to go on", "resume"),),
    "running": (("watch it", "follow"),),
    "queued": (("watch it", "follow"),),
}


def _told_state(row: Row, facts: Mapping[str, Any]) -> str:
    """A change of state in words."""
    from kurt.engine.durations import format_duration

    taken = "" if row.seconds is None else f" in {format_duration(row.seconds)}"
    taken += "" if row.done is None else f", {_items(row)}"
    match row.state:
        case "running":
            return "started" if row.attempt == 1 else f"started, attempt {row.attempt}"
        case "retrying":
            wait = facts.get("wait")
            again = "" if wait is None else f", next attempt in {format_duration(wait)}"
            return f"failed in attempt {row.attempt}: {row.detail}{again}"
        case "failed":
            return f"failed{taken}: {row.detail}" if row.detail else f"failed{taken}"
        case "succeeded" | "cached":
            return f"{row.state}{taken}"
        case _:
            return row.state


def _items(row: Row) -> str:
    """How far a fan-out is, in words."""
    failed = f", {row.failed} failed" if row.failed else ""
    return f"{row.done} of {row.total} items done{failed}" + (f", {row.note}" if row.note else "")
