"""Serving schedules: a thread of every worker that starts what is due.

Any number of workers do it at once; see `kurt.runtime.schedules` for why a tick is started once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from kurt.app.runs import exists
from kurt.app.schedules.due import MOST_WAITING, Decision, decide, fallen_due, too_many, waits_behind
from kurt.app.schedules.starting import start_tick
from kurt.db.sessions import get_engine
from kurt.errors import ConflictError, KurtError, StorageError
from kurt.runtime import operations
from kurt.runtime.engine import open_client
from kurt.runtime.schedule_types import DUE, FAILED, SKIPPED, STARTED, Schedule, Tick, iso
from kurt.runtime.schedules import ScheduleStore

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.runtime.leases import ExecutorInfo
    from kurt.types import JsonObject

_log = logging.getLogger("kurt.schedules")

LOOK_EVERY = 0.5
"""Seconds between two looks for what is due."""

LOOK_SOON = 0.1
"""The same just after a run was started behind which others wait: many runs are short."""

_SHORT = 3.0
"""Seconds for which a run is taken for a short one."""

_FAULTS_KEPT = 5


class Ticker:
    """Starts what is due, from a thread of its own.

    Args:
        settings: the project's settings.
        executor_id: the worker.
        live: tells which executors live.
    """

    def __init__(
        self, settings: Settings, executor_id: str, live: Callable[[], Sequence[ExecutorInfo]]
    ) -> None:
        self._settings = settings
        self._id = executor_id
        self._live = live
        self._store = ScheduleStore(get_engine(settings))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_forever, name="kurt-schedules", daemon=True)
        self._troubles: dict[str, str] = {}
        self._short_until = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing more; waits for what is just being started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def has_work(self) -> bool:
        """Whether there is something to serve, now or later, and no other worker that was here before serves it."""
        try:
            return self._store.active() and self._is_first()
        except (SQLAlchemyError, StorageError):  # away for a while: who knows
            return True

    def _is_first(self) -> bool:
        workers = [one.id for one in self._live() if one.kind == "worker" and one.queues]
        return not workers or workers[0] == self._id

    def _look_forever(self) -> None:
        while not self._stop.wait(LOOK_SOON if time.monotonic() < self._short_until else LOOK_EVERY):
            try:
                self.look()
            except (SQLAlchemyError, StorageError) as error:  # away for a while: told elsewhere, tried again
                _log.debug("could not look for what is due: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the next round tries again
                _log.warning("could not look for what is due", exc_info=True)

    def look(self) -> None:
        """Note what is due by now, and start what may be started."""
        for schedule in self._store.whose_time_has_come(int(time.time() * 1000)):
            self._guarded(schedule, self._note_due)
        self._store.close_ended()
        ticks = self._store.to_serve()
        if not any(tick.state == DUE for tick in ticks):
            return
        schedules = {schedule.id: schedule for schedule in self._store.all()}
        for schedule_id, group in groupby(ticks, lambda tick: tick.schedule_id):
            if (schedule := schedules.get(schedule_id)) is not None:
                self._guarded(schedule, partial(self._serve, ticks=list(group)))

    def _guarded(self, schedule: Schedule, work: Callable[[Schedule], None]) -> None:
        """One schedule must not keep the others from being served; its trouble is told once."""
        try:
            work(schedule)
        except (SQLAlchemyError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001 - such as a time zone that this machine does not know
            if self._troubles.get(schedule.id) != str(error):
                self._troubles[schedule.id] = str(error)
                _log.warning("the schedule %r cannot be served: %s", schedule.name, error)

    def _note_due(self, schedule: Schedule) -> None:
        is_full = self._may_wait(schedule) and self._store.waiting(schedule.id) >= MOST_WAITING
        if is_full and schedule.catch_up:
            return  # these are noted when those that wait are done
        due = fallen_due(schedule, datetime.now(UTC))
        due = too_many(due) if is_full else due
        if self._store.move_on(schedule, due.next_at, due.ticks):
            for tick in due.ticks:
                if tick.state != DUE:
                    _log.warning("schedule %r: %s", schedule.name, tick.reason)

    @staticmethod
    def _may_wait(schedule: Schedule) -> bool:
        return schedule.catch_up or schedule.overlap == "queue"

    def _serve(self, schedule: Schedule, ticks: Sequence[Tick]) -> None:
        """Go through the open ticks of a schedule in the order of time."""
        now = list(ticks)
        held: set[bool] = set()
        for tick in ticks:
            if self._stop.is_set():
                return
            if tick.state != DUE or tick not in now or not self._is_free(tick):
                continue
            if tick.is_backfill in held and waits_behind(schedule, tick):
                continue
            decision = decide(schedule, tick, now)
            if decision.action == "hold" and tick.owner is None:
                held.add(tick.is_backfill)
                self._expect_end(now)
                if tick.reason != decision.reason:
                    self._store.explain(tick, str(decision.reason))
                continue
            if self._store.claim(tick, self._id):
                self._carry_out(schedule, tick, decision)
            now = self._store.to_serve(schedule.id)

    def _expect_end(self, ticks: Sequence[Tick]) -> None:
        """Look again soon, if what is waited for began a moment ago."""
        began = max((tick.changed_at for tick in ticks if tick.state == STARTED), default=0) / 1000
        left = began + _SHORT - time.time()
        if 0 < left <= _SHORT:
            self._short_until = time.monotonic() + left

    def _is_free(self, tick: Tick) -> bool:
        """Whether nobody who lives is about to start it."""
        return tick.owner in {None, self._id} or tick.owner not in {one.id for one in self._live()}

    def _carry_out(self, schedule: Schedule, tick: Tick, decision: Decision) -> None:
        run_id = schedule.run_id(tick.at)
        if tick.owner is not None and exists(self._settings, run_id):  # whoever claimed it died just then
            self._store.settle(tick, self._id, state=STARTED, run_id=run_id, reason=None)
        elif decision.action == "hold":
            self._store.settle(tick, self._id, reason=decision.reason)
        elif decision.action == "skip":
            self._skip(schedule, tick, str(decision.reason))
        else:
            self._make_way(decision, run_id)
            self._start(schedule, tick)

    def _skip(self, schedule: Schedule, tick: Tick, reason: str) -> None:
        self._store.settle(tick, self._id, state=SKIPPED, is_open=False, reason=reason)
        _log.info("schedule %r: no run for %s, because %s", schedule.name, iso(tick.at), reason)

    def _make_way(self, decision: Decision, run_id: str) -> None:
        """Cancel the runs in whose place another one begins, and drop the ticks that wait for their turn."""
        for other in decision.replace:
            if self._is_free(other) and self._store.claim(other, self._id):
                reason = f"the run {run_id} began in its place"
                self._store.settle(other, self._id, state=SKIPPED, is_open=False, reason=reason)
        for other in decision.cancel:
            with open_client(self._settings) as client:
                try:
                    operations.cancel(client, str(other.run_id))
                except (ConflictError, IndexError):  # it has ended, or was deleted, this very moment
                    continue
            _log.info("run %s is cancelled: the run %s begins in its place", other.run_id, run_id)

    def _start(self, schedule: Schedule, tick: Tick) -> None:
        try:
            run, note = start_tick(self._settings, schedule, tick.at)
        except (SQLAlchemyError, StorageError) as error:
            self._store.settle(tick, self._id, reason=f"tried again, because {error}")
            raise
        except Exception as error:  # noqa: BLE001 - a project's own code may raise anything; it is shown with the tick
            self._note_failure(schedule, tick, error)
            return
        self._note_start(schedule, tick, run.run_id, note)

    def _note_start(self, schedule: Schedule, tick: Tick, run_id: str, note: str | None) -> None:
        self._store.settle(tick, self._id, state=STARTED, run_id=run_id, reason=note)
        _log.info("schedule %r: run %s for %s", schedule.name, run_id, iso(tick.at))
        if note is not None:
            _log.warning("schedule %r: %s", schedule.name, note)

    def _note_failure(self, schedule: Schedule, tick: Tick, error: Exception) -> None:
        run_id = schedule.run_id(tick.at)
        if exists(self._settings, run_id):  # it is queued; what failed is to see to a worker for its queue
            self._note_start(schedule, tick, run_id, str(error))
            return
        self._store.settle(tick, self._id, state=FAILED, is_open=False, reason=None, error=told(error))
        _log.warning("schedule %r: no run for %s: %s", schedule.name, iso(tick.at), error)


def told(error: Exception) -> JsonObject:
    """Why a tick could not be started, as it is stored: the error as commands print it, with its first faults."""
    if not isinstance(error, KurtError):
        return {"code": "error", "message": f"{type(error).__name__}: {error}", "hint": None}
    found = dict(error.to_json())
    if "errors" in found:
        found["errors"] = found["errors"][:_FAULTS_KEPT]
    if error.causes:
        found["causes"] = list(error.causes)
    return found
