"""Rows of DBOS's table of checkpoints as the steps of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kurt.runtime import names, row_steps
from kurt.runtime.reading import Run, Step, decode, decode_error, moment
from kurt.runtime.row_steps import RowsTrack
from kurt.runtime.states import CANCELLED, FAILED, INTERRUPTED, RUNNING, SUCCEEDED, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kurt.runtime.run_query import Dialect
    from kurt.types import Json, JsonObject

RETRYING = "retrying"
SKIPPED = "skipped"
CACHED = "cached"
"""Succeeded with the value of an earlier run."""

OPENED = "opened"

_DECLARED = frozenset({names.RUN_WORKFLOW, names.BRANCH_WORKFLOW})
# The run and the branches below it, at any depth; a child that is a run of its own is not looked into.
_BRANCHES = (
    "WITH RECURSIVE family (id, name) AS ("  # noqa: S608 - constants
    "SELECT workflow_uuid, name FROM @workflow_status WHERE workflow_uuid = ?"
    " UNION ALL SELECT w.workflow_uuid, w.name FROM @workflow_status w JOIN family f"
    f" ON w.parent_workflow_id = f.id WHERE w.name = '{names.BRANCH_WORKFLOW}') "
)

FAMILY = (
    f"{_BRANCHES}SELECT w.workflow_uuid, w.attributes FROM @workflow_status w"  # noqa: S608 - constants
    f" JOIN family f ON w.parent_workflow_id = f.id WHERE w.name <> '{names.BRANCH_WORKFLOW}'"
)
"""The runs that steps of this one started, by its id: id and attributes."""


class Row(NamedTuple):
    """The columns of a checkpoint, in their order."""

    run_id: str
    workflow: str
    number: int
    name: str
    output: str | None
    error: str | None
    child: str | None
    started: int | None
    completed: int | None
    serialization: str | None


def checkpoints(dialect: Dialect, *, values: bool) -> str:
    """The statement for the checkpoints of a run and of its branches, by the run's id."""
    output = "o.output" if values else _without_values(dialect)
    return (
        f"{_BRANCHES}SELECT o.workflow_uuid, f.name, o.function_id, o.function_name, {output}, o.error,"  # noqa: S608 - constants
        " o.child_workflow_id, o.started_at_epoch_ms, o.completed_at_epoch_ms, o.serialization"
        " FROM @operation_outputs o JOIN family f ON o.workflow_uuid = f.id"
        " WHERE substr(o.function_name, 1, 5) NOT IN ('DBOS.', 'kurt.')"
    )


def _without_values(dialect: Dialect) -> str:
    """What a checkpoint says beside its value; of a Python workflow's step that is nothing, unless it may be a row."""
    return (
        f"CASE WHEN f.name IN ('{names.RUN_WORKFLOW}', '{names.BRANCH_WORKFLOW}')"
        f" OR substr(o.function_name, length(o.function_name), 1) = ']' THEN {dialect.envelope} END"
    )


def steps(
    run: Run,
    children: Iterable[Sequence[Any]],
    rows: Iterable[Sequence[Any]],
    *,
    current: Json = None,
    values: bool = False,
) -> list[Step]:
    """The steps that the checkpoints tell of.

    Args:
        run: the run.
        children: id and attributes of the runs that its steps started.
        rows: checkpoints of the run and its branches, in any order.
        current: path of a step that has begun and has no checkpoint yet.
        values: give what the steps returned; otherwise the short values that were read all the same are dropped.
    """
    started = {_path(attributes): child for child, attributes in children}
    tracks: dict[tuple[str, str, int], _Track] = {}
    batches: dict[tuple[str, str, int], RowsTrack] = {}
    for row in sorted((Row(*row) for row in rows), key=lambda row: (row.run_id, row.number)):
        if _taken_as_row(row, batches):
            continue
        declared = row.workflow in _DECLARED
        # Only attempts of a declared step share a name; a Python workflow may call one function many times.
        key = (row.run_id, row.name, 0 if declared else row.number)
        tracks.setdefault(key, _Track()).add(row, declared=declared)
    found = [_with_rows(track.step(run, started), batches) for track in tracks.values()]
    found += [batch.step(run, current) for batch in batches.values()]
    if not values:
        found = [replace(step, value=None, given=None) for step in found]
    found.sort(key=lambda step: (step.started_at or run.created_at, step.completed_at or run.created_at))
    if any(number == 0 for _, _, number in tracks):  # a declared workflow
        found = list({step.path: step for step in found}.values())  # of a block's attempts the last counts
    if isinstance(current, str) and all(step.path != current for step in found):
        found.append(Step(path=current, status=_unfinished(run), run_id=run.id))
    return found


def _taken_as_row(row: Row, batches: dict[tuple[str, str, int], RowsTrack]) -> bool:
    """Whether a checkpoint is that of a row; it is then counted with the others of its call."""
    envelope = _envelope(row) if row.name.endswith("]") else None
    place = row_steps.place_of(row.name, row.number, envelope)
    if place is None or envelope is None:
        return False
    batch = batches.setdefault((row.run_id, *place), RowsTrack(place[0], row.run_id))
    batch.add(envelope, row.started, row.completed)
    return True


def _with_rows(step: Step, batches: dict[tuple[str, str, int], RowsTrack]) -> Step:
    """A step of a declared workflow that works on rows: while it does, what is known of them is its value."""
    place = next((key for key in batches if key[:2] == (step.run_id, step.path)), None)
    if place is None:
        return step
    rows = batches.pop(place)
    return step if step.value is not None else replace(step, value=rows.counts)


def _path(attributes: Any) -> str | None:
    read = json.loads(attributes) if isinstance(attributes, str) else attributes
    return ((read or {}).get(names.ATTRIBUTES_KEY) or {}).get("path")


def _unfinished(run: Run) -> str:
    """The state of a step that has begun and not ended, by that of its run."""
    return run.status if run.status in {RUNNING, WAITING, INTERRUPTED} else CANCELLED


@dataclass(slots=True)
class _Track:
    """The checkpoints of one step: its attempts, or a block's beginning and end."""

    first: Row | None = None
    last: Row | None = None
    envelope: JsonObject | None = None
    attempts: int = 0

    def add(self, row: Row, *, declared: bool) -> None:
        self.first = self.first or row
        self.last = row
        self.envelope = _envelope(row) if declared else None
        self.attempts = max(self.attempts, (self.envelope or {}).get("attempt") or 1)

    def step(self, run: Run, started: dict[str | None, str]) -> Step:
        first, last = self.first, self.last
        assert first is not None and last is not None  # noqa: S101, PT018 - a track is made with its first row
        plain = Step(
            path=last.name,
            status=FAILED if last.error is not None else SUCCEEDED,
            attempt=self.attempts,
            started_at=moment(first.started),
            completed_at=moment(last.completed),
            error=decode_error(last.error, last.serialization),
            child_run_id=last.child or started.get(last.name),
            run_id=last.run_id,
        )
        if self.envelope is None:
            return replace(plain, value=decode(last.output, last.serialization))
        return _declared(plain, self.envelope, run)


def _envelope(row: Row) -> JsonObject | None:
    """What a declared step stored, or None where DBOS itself stored an error."""
    value = decode(row.output, row.serialization)
    return value if isinstance(value, dict) and "state" in value else None


def _declared(step: Step, envelope: JsonObject, run: Run) -> Step:
    """The step with what its envelope says."""
    state, next_at = envelope["state"], envelope.get("next_at")
    unfinished = state == OPENED or (next_at is not None and not run.is_over)
    if state == OPENED:
        state = _unfinished(run)
    elif unfinished:
        state = RETRYING
    elif envelope.get("cached") and state == SUCCEEDED:
        state = CACHED
    return replace(
        step,
        kind=envelope.get("kind"),
        status=state,
        completed_at=None if unfinished else step.completed_at,
        next_at=moment(next_at * 1000) if unfinished and next_at is not None else None,
        error=envelope.get("error"),
        value=envelope.get("value"),
        mocked=bool(envelope.get("mocked")),
        given=envelope.get("given"),
    )
