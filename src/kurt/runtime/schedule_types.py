"""What a schedule is, and a tick: one time at which it is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kurt.runtime.names import tick_run_id
from kurt.types import JsonObject

REGULAR, LATE, BACKFILL, TRIGGER = "regular", "late", "backfill", "trigger"
"""Why there is a tick: its time has come; it was caught up; somebody asked for a past time; somebody asked for now."""

DUE, STARTED, SKIPPED, MISSED, FAILED = "due", "started", "skipped", "missed", "failed"
"""What became of a tick: nothing yet; there is a run; overlap forbade one; nobody was there; it could not be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule.

    Attributes:
        name: its name.
        id: what it is called in ids of runs; a schedule that is made anew under the same name has another.
        workflow: path of a file of the project, or name of a Python workflow.
        declared: it was made from the file's own `schedule`.
        cron: when it is due.
        timezone: the zone whose clock `cron` means.
        catch_up: start also what was due while no worker lived.
        overlap: `skip`, `queue` or `cancel`.
        inputs: inputs of its runs; may refer to `tick`.
        queue: queue of its runs, None for the file's.
        priority: priority of its runs, None for the file's.
        due_at: its next time.
        paused_at: since when it rests, None while it does not.
        user_id: whose runs it starts.
        workspace_id: in which workspace.
        created_at: when it was made.
        updated_at: when it was last changed.
    """

    name: str
    id: str
    workflow: str
    declared: bool
    cron: str
    timezone: str
    catch_up: bool = False
    overlap: str = "skip"
    inputs: JsonObject = field(default_factory=dict[str, Any])
    queue: str | None = None
    priority: int | None = None
    due_at: int
    paused_at: int | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    created_at: int
    updated_at: int

    @property
    def is_paused(self) -> bool:
        """Whether it rests."""
        return self.paused_at is not None

    def run_id(self, at: int) -> str:
        """The id of the run for a time."""
        return tick_run_id(self.id, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One time at which a schedule is due.

    Attributes:
        schedule_id: the schedule.
        at: the time.
        kind: why there is a tick.
        state: what became of it.
        count: how many times a row of missed ones stands for; `at` is the last of them.
        run_id: the run, None where there is none.
        is_open: something is still to come: it is due, or its run is not known to be over.
        owner: the executor that is about to start it.
        reason: why it waits, or why there is no run.
        error: why it could not be started: the error as commands print it.
        changed_at: when the row was last written.
    """

    schedule_id: str
    at: int
    kind: str = REGULAR
    state: str = DUE
    count: int = 1
    run_id: str | None = None
    is_open: bool = True
    owner: str | None = None
    reason: str | None = None
    error: JsonObject | None = None
    changed_at: int = 0

    @property
    def is_backfill(self) -> bool:
        """Whether it belongs to past times that somebody asked for: these go their own way."""
        return self.kind == BACKFILL


def milliseconds(moment: datetime) -> int:
    """A moment as it is stored."""
    return round(moment.timestamp() * 1000)


def moment_of(stored: int) -> datetime:
    """A stored time, in UTC."""
    return datetime.fromtimestamp(stored / 1000, UTC)


def iso(stored: int | None) -> str | None:
    """A stored time as JSON shows it."""
    if stored is None:
        return None
    form = "seconds" if stored % 1000 == 0 else "milliseconds"
    return moment_of(stored).isoformat(timespec=form).replace("+00:00", "Z")
