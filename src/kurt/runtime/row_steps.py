"""The rows of one call of a batch step, shown as one step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.runtime.reading import Run, Step, moment
from kurt.runtime.row_records import KIND
from kurt.runtime.states import FAILED, SUCCEEDED

if TYPE_CHECKING:
    from kurt.types import JsonObject

_ROW = re.compile(r"(.+)\[(\d+)\]")


def place_of(name: str, number: int, envelope: JsonObject | None) -> tuple[str, int] | None:
    """The step's name and the number of its first row, None for what is no row.

    Args:
        name: the checkpoint's name.
        number: its number.
        envelope: what it says.
    """
    if envelope is None or envelope.get("kind") != KIND:
        return None
    found = _ROW.fullmatch(name)
    return (found[1], number - int(found[2])) if found else None


@dataclass(slots=True)
class RowsTrack:
    """The rows of one call so far.

    Attributes:
        path: the step's name.
        run_id: the run that holds its checkpoints.
        count: rows that are over.
        failed: rows that failed.
        attempts: most attempts at one row.
        started: when the first of them began, milliseconds since the epoch.
        completed: when the last of them ended.
        error: the first failure.
    """

    path: str
    run_id: str
    count: int = 0
    failed: int = 0
    attempts: int = 1
    started: int | None = None
    completed: int | None = None
    error: JsonObject | None = None

    def add(self, envelope: JsonObject, started: int | None, completed: int | None) -> None:
        """One more row."""
        self.count += 1
        self.attempts = max(self.attempts, envelope.get("attempt") or 1)
        self.started = min(filter(None, (self.started, started)), default=None)
        self.completed = max(filter(None, (self.completed, completed)), default=None)
        if not envelope.get("ok"):
            self.failed += 1
            self.error = self.error or envelope.get("error")

    @property
    def counts(self) -> JsonObject:
        """How many rows are over, and how many of them failed."""
        return {"rows": self.count, "failed": self.failed}

    def step(self, run: Run, current: object) -> Step:
        """The rows as one step: failed if one of them is, at work if the run says so."""
        at_work = not run.is_over and current == self.path
        error = None
        if self.error is not None:
            message = f"{self.failed} of {self.count} rows failed, the first: {self.error.get('message')}"
            error = {**self.error, "message": message}
        return Step(
            path=self.path,
            kind="rows",
            status=run.status if at_work else FAILED if self.failed else SUCCEEDED,
            attempt=self.attempts,
            started_at=moment(self.started),
            completed_at=None if at_work else moment(self.completed),
            error=error,
            value=self.counts,
            run_id=self.run_id,
        )
