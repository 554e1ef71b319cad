"""The live view of a run: of one in this process, and of one that goes on elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app.foreground_watch import LeftWaitingError, Watch
from kurt.app.reading import stored_log
from kurt.app.runs import ServedCheck
from kurt.cli.command import Outcome
from kurt.cli.run_state import title_of
from kurt.cli.session import current
from kurt.cli.stored_items import StoredItems
from kurt.errors import KurtError
from kurt.runtime.logs import follow as follow_log
from kurt.runtime.logs import log_path
from kurt.runtime.runs import Run, RunReader, open_reader
from kurt.runtime.wait_words import APPROVAL, command_of, kind_of, text_of

if TYPE_CHECKING:
    from kurt.cli.live import LiveView
    from kurt.config import Settings
    from kurt.runtime.log_stream import StoredLog
    from kurt.runtime.runs import Step

_POLL = 0.25
_ENDED = frozenset({"succeeded", "cached", "failed", "cancelled"})


class _Relay:
    """Passes what a run in this process tells on to the live view, and the log's new lines with it."""

    def __init__(self, view: LiveView, settings: Settings) -> None:
        self._view = view
        self._settings = settings
        self._log: Path | None = None
        self._offset = 0
        self._run_id = ""
        self._shown: dict[str, float] = {}

    def watches(self, run_id: str) -> None:
        """The run has its id."""
        self._run_id = run_id
        self._log = log_path(self._settings, run_id)
        self._view.on_run({"run_id": run_id, "status": "running"})

    def on_step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state."""
        self._view.on_step(path, state, **facts)

    def on_items(self, path: str, *, done: int, failed: int, total: int, note: str = "") -> None:
        """A fan-out went on."""
        self._view.on_items(path, done=done, failed=failed, total=total, note=note)

    def on_wait(self, path: str, what: str, command: str | None) -> None:
        """A step waits for something outside of the run."""
        self._view.on_wait(path, what, command)

    def ended(self, run: Run) -> None:
        """Show how the run ended in the picture; the closing lines say it."""
        self._view.board.run(run.to_json())

    def interrupted(self, state: str) -> None:
        """The user wants the run to end: it is `cancelling`, or `cancelled` now."""
        self._view.on_run(
            {"status": state, **({"completed_at": time.time()} if state == "cancelled" else {})}
        )
        if state == "cancelling":
            self._view.on_notice("Ctrl-C once more leaves at once")

    def left(self) -> None:
        """The process ends now."""
        self._view.leave(f"left at once; to go on: kurt workflows resume {self._view.board.run({}).run_id}")

    def tick(self) -> None:
        """Show new lines of the log."""
        self._show_tracked()
        if self._log is not None:
            lines, self._offset = follow_log(self._log, self._offset)
            for line in lines:
                self._view.on_log(line)
        self._view.tick()

    def _show_tracked(self) -> None:
        """Show how far those steps are that tell of themselves; none can have begun before their module is there."""
        # Another thread may be in the middle of importing it.
        progress_of = getattr(sys.modules.get("kurt.core.tracking"), "progress_of", None)
        for step in progress_of(self._run_id) if progress_of is not None else ():
            if self._shown.get(step.name) != step.last_timestamp:
                self._shown[step.name] = step.last_timestamp
                self._view.on_tracked(step.to_json())


class LeftRunError(KurtError):
    """Who watched the run has gone; the run goes on."""

    code = "interrupted"
    exit_code = 130


@contextmanager
def watched(name: str, *, steps: Sequence[str] = (), mocked: Sequence[str] = ()) -> Generator[Watching]:
    """A live view of a run in this process.

    Args:
        name: the workflow's name.
        steps: names of the steps that are to be expected, in order.
        mocked: what the run only pretends.
    """
    from kurt.cli.live import live_view

    with _left_to_worker(), live_view(title_of(name, mocked)) as view:
        view.on_run({}, steps=steps)
        _warn_of_mocks(view, mocked)
        relay = _Relay(view, current().settings())
        watch = Watch(
            listener=relay,
            tick=relay.tick,
            on_start=relay.watches,
            on_trouble=view.on_trouble,
            on_interrupt=relay.interrupted,
            on_leave=relay.left,
        )
        yield Watching(watch, relay)


def _warn_of_mocks(view: LiveView, mocked: Sequence[str]) -> None:
    """Say it where no picture does, which has it in its title."""
    from kurt.cli.live import can_draw

    if mocked and not can_draw():
        view.on_notice(f"mocked: {' and '.join(mocked)}; their results are made up")


@contextmanager
def _left_to_worker() -> Generator[None]:
    """A run that is left waiting, but only until some time, goes to a worker, which is there when it is over."""
    try:
        yield
    except LeftWaitingError as left:
        if left.is_timed:
            from kurt.app.runs import find
            from kurt.app.steering import go_on

            settings = current().settings()
            go_on(settings, find(settings, left.run_id))
        raise


@dataclass(frozen=True, slots=True)
class Watching:
    """A live view in use.

    Attributes:
        watch: what the run is given.
        relay: passes on what the run tells.
    """

    watch: Watch
    relay: _Relay

    def ended(self, run: Run) -> Run:
        """Show how the run ended; the run."""
        self.relay.tick()
        self.relay.ended(run)
        return run


def outcome(run: Run) -> Outcome:
    """How a command ends that has executed a run: outputs, then for people how it ended and where its log is."""
    from kurt.app.runs import failure_of
    from kurt.cli.live import closing_lines

    facts = {"seconds": run.seconds, "log": _short(log_path(current().settings(), run.id))}
    error = failure_of(run)
    lines = closing_lines({**run.to_json(), **facts})
    # What is to be done next is in the error's own hint.
    return Outcome(run.to_json(), error=error, closing=lines if error is None else lines[:2])


def _short(path: Path) -> str:
    """A path from the working directory on, where it lies below."""
    with suppress(ValueError, OSError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def follow(settings: Settings, run_id: str) -> Run:
    """Show a run that goes on elsewhere until it is over; also while it waits in its queue.

    Raises:
        NotFoundError: there is no such run.
    """
    from kurt.cli.live import live_view

    with open_reader(settings) as reader:
        run = reader.get(run_id)
        with live_view(title_of(run.name, run.mocked)) as view:
            _warn_of_mocks(view, run.mocked)
            stored = stored_log(settings, reader, run.id)
            follower = _Follower(reader, view, log_path(settings, run.id), stored)
            served = ServedCheck(settings, lambda line: view.on_notice(f"warning: {line}"))
            try:
                return follower.run_until_over(run, served)
            except KeyboardInterrupt:
                raise LeftRunError(
                    f"no longer following the run {run.id}, which goes on",
                    hint=f"kurt workflows follow {run.id}, or to end it: kurt workflows cancel {run.id}",
                ) from None


class _Follower:
    """Reads a run's records again and again and shows what is new."""

    def __init__(self, reader: RunReader, view: LiveView, log: Path, stored: StoredLog) -> None:
        self._reader = reader
        self._view = view
        self._log = log
        self._stored = stored
        self._offset = 0
        self._shown: dict[str, str] = {}
        self._items = StoredItems(reader)
        self._told: set[tuple[str, str]] = set()

    def run_until_over(self, run: Run, served: ServedCheck) -> Run:
        """Show the run until it is over; how it ended."""
        while True:
            self._show(run)
            if run.is_over:
                return run
            served.look(run)
            time.sleep(_POLL)
            run = self._reader.get(run.id)

    def _show(self, run: Run) -> None:
        if not run.is_over:
            self._view.on_run(run.to_json())
            self._show_waits(run)
        tracked = self._show_tracked(run)
        steps = self._reader.steps(run.id)
        self._items.read(
            run.id
        )  # behind the steps: what a step's end says of its items must not be older than it
        for step in steps:
            if step.path not in tracked and self._shown.get(step.path) != step.status:
                self._show_step(step, is_over=run.is_over)
        for path in self._shown:
            self._show_items(path)
        lines, self._offset = follow_log(self._log, self._offset)
        for line in [*lines, *self._stored.new_lines()]:
            self._view.on_log(line)
        if run.is_over:  # its steps first: nothing comes behind the end
            self._view.on_run(run.to_json())

    def _show_waits(self, run: Run) -> None:
        """Show what the run waits for, each wait once."""
        approvals = sum(kind_of(wait) == APPROVAL for wait in run.waits)
        for wait in run.waits:
            told = (str(wait.get("path")), str(wait.get("ask") or wait.get("until")))
            if told not in self._told:
                self._told.add(told)
                command = command_of(wait, run.id, alone=approvals == 1)
                self._view.on_wait(str(wait.get("path") or ""), text_of(wait), command)

    def _show_step(self, step: Step, *, is_over: bool) -> None:
        """Show a step in its new state; the end of a fan-out only when its last count has come, unless none comes."""
        if step.status in _ENDED and not is_over and self._items.is_behind(step.path):
            return
        if step.status in _ENDED:
            self._show_items(step.path)
        self._shown[step.path] = step.status
        facts = step.to_json()
        shown = ("kind", "attempt", "started_at", "completed_at", "error")
        self._view.on_step(step.path, step.status, **{name: facts.get(name) for name in shown})

    def _show_items(self, path: str) -> None:
        """Show how far a fan-out is, if that is news."""
        if (counts := self._items.news(path)) is not None:
            self._view.on_items(path, done=counts["done"], failed=counts["failed"], total=counts["total"])

    def _show_tracked(self, run: Run) -> set[str]:
        """Show how far those steps are that tell of themselves; their names."""
        found: Any = self._reader.events(run.id).get("steps")
        steps = [step for step in found if isinstance(step, dict)] if isinstance(found, list) else []
        for step in steps:
            self._view.on_tracked(step)
        return {str(step.get("name")) for step in steps}
