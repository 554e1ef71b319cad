"""Retention: removing what is old or too much."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kurt.db.state import is_current
from kurt.runtime.logs import log_path
from kurt.runtime.runs import Run, RunQuery, open_reader

if TYPE_CHECKING:
    from kurt.config import Settings

_OVER = ("succeeded", "failed", "cancelled", "stuck")
_BATCH = 200
_WORKER_LOGS = "worker-*.log"


@dataclass(frozen=True, slots=True)
class Collected:
    """What `kurt gc` removed, or would remove.

    Attributes:
        runs: ids of runs.
        logs: names of log files without a run.
        values: values of steps, and answers of models, that were kept for later runs and count no more.
        dry_run: nothing was removed.
    """

    runs: tuple[str, ...]
    logs: tuple[str, ...]
    values: int
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON, with counts."""
        return {
            "dry_run": self.dry_run,
            "runs": list(self.runs),
            "logs": list(self.logs),
            "run_count": len(self.runs),
            "log_count": len(self.logs),
            "value_count": self.values,
        }


def collect(
    settings: Settings, *, keep_seconds: float, keep_count: int | None, dry_run: bool, cache: bool = False
) -> Collected:
    """Remove finished runs that are older than `keep_seconds`, or beyond the newest `keep_count`.

    Args:
        settings: the project's settings.
        keep_seconds: age of the end of a run, in seconds.
        keep_count: finished runs to keep at most; None for any number.
        dry_run: only tell what would be removed.
        cache: remove all values of steps that were kept for later runs, not only those whose time is over.
    """
    runs = _old_runs(settings, keep_seconds, keep_count)
    logs = _old_worker_logs(settings, keep_seconds)
    values = _kept_values(settings, everything=cache, dry_run=dry_run)
    if not dry_run:
        _remove(settings, runs, logs)
        _forget_ticks(settings, keep_seconds)
    return Collected(tuple(runs), tuple(logs), values, dry_run)


def _kept_values(settings: Settings, *, everything: bool, dry_run: bool) -> int:
    """Remove what was kept for later runs and counts no more; how much that is, none in a database of an older Kurt."""
    if not is_current(settings):
        return 0
    from kurt.db import get_engine  # noqa: PLC0415 - loads SQLAlchemy
    from kurt.db.kept import remove_kept  # noqa: PLC0415 - as above

    return remove_kept(get_engine(settings), everything=everything, dry_run=dry_run)


def _old_runs(settings: Settings, keep_seconds: float, keep_count: int | None) -> list[str]:
    before = datetime.fromtimestamp(time.time() - keep_seconds, UTC)
    with open_reader(settings) as reader:
        finished = reader.list(RunQuery(status=_OVER, limit=None))
    beyond = {run.id for run in finished[keep_count:]} if keep_count is not None else set[str]()
    return [run.id for run in finished if run.id in beyond or _ended(run) < before]


def _ended(run: Run) -> datetime:
    return run.completed_at or run.created_at


def _old_worker_logs(settings: Settings, keep_seconds: float) -> list[str]:
    from kurt.runtime.leases import live_executors  # noqa: PLC0415 - only to spare the logs of the living

    live = {f"{executor.id}.log" for executor in live_executors(settings)}
    before = time.time() - keep_seconds
    return sorted(
        path.name
        for path in settings.logs_dir.glob(_WORKER_LOGS)
        if path.name not in live and path.stat().st_mtime < before
    )


def _forget_ticks(settings: Settings, keep_seconds: float) -> None:
    """What became of times of schedules that are over for so long."""
    from kurt.app.schedules.listing import stored  # noqa: PLC0415 - it loads a driver

    if not stored(settings):
        return
    from kurt.app.schedules.managing import opened  # noqa: PLC0415 - loads SQLAlchemy

    with opened(settings) as store:
        store.forget_ticks(int((time.time() - keep_seconds) * 1000))


def _remove(settings: Settings, runs: list[str], logs: list[str]) -> None:
    from kurt.runtime import operations  # noqa: PLC0415 - loads DBOS
    from kurt.runtime.engine import open_client  # noqa: PLC0415 - as above

    if runs:
        with open_client(settings) as client:
            for start in range(0, len(runs), _BATCH):
                operations.delete_finished(client, runs[start : start + _BATCH])
    for run_id in runs:
        path = log_path(settings, run_id)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink(missing_ok=True)
    for name in logs:
        (settings.logs_dir / name).unlink(missing_ok=True)
