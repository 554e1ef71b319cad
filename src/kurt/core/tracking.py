"""Progress and logs of the steps of a run, for those who watch it.

They are written beside the run: nothing here draws a step number, so it may stand anywhere in a workflow or a step, and a
resumed run may write some of it again. Outside of a run it does nothing but log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from kurt.core.courier import courier
from kurt.core.hooks import StepHooks
from kurt.runtime import place
from kurt.runtime.names import FAILED_ROWS_EVENT

_log = logging.getLogger("kurt.steps")

_RUNS_KEPT = 200

RUNNING, SUCCESS, ERROR, PARTIAL = "running", "success", "error", "partial"
"""States of a tracked step; `partial`: some of its items failed."""


@dataclass(slots=True)
class StepProgress:
    """How far a step is.

    Attributes:
        name: its name.
        type: what kind of step it is.
        status: its state.
        current: items that are over.
        total: items in all, 0 where that is not known.
        success: items that went well.
        error: items that failed.
        skipped: items that were left out.
        last_latency_ms: how long the last item took.
        last_timestamp: when something happened last, seconds since the epoch.
        started_at: when it began, seconds since the epoch.
        message: what went wrong with the step as a whole.
        facts: more that is shown: `tokens_in`, `tokens_out`, `cost` in US dollars, `per_second`, `budget_left_usd`,
            `budget_left_tokens`.
        call: which call of the step it is, of all in a run: the same when the run is done again.
    """

    name: str
    type: str = "step"
    status: str = RUNNING
    current: int = 0
    total: int = 0
    success: int = 0
    error: int = 0
    skipped: int = 0
    last_latency_ms: float | None = None
    last_timestamp: float = field(default_factory=time.time)
    started_at: float = field(default_factory=time.time)
    message: str | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    call: str = ""

    def to_json(self) -> dict[str, Any]:
        """The progress as it is stored."""
        found = asdict(self)
        del found["call"]
        return {**found.pop("facts"), **found}


_steps: OrderedDict[str, dict[str, StepProgress]] = OrderedDict()
_failures: dict[str, dict[str, tuple[int, int]]] = {}  # of each run: by call, failed items and all items
_lock = threading.Lock()


def _steps_of(run_id: str) -> dict[str, StepProgress]:
    with _lock:
        found = _steps.setdefault(run_id, {})
        _steps.move_to_end(run_id)
        if len(_steps) > _RUNS_KEPT:
            _failures.pop(_steps.popitem(last=False)[0], None)
        return found


class WorkflowTracker:
    """Tells of the steps of a run.

    Args:
        workflow_id: the run; the one in which the caller is by default, found anew with each call.
    """

    def __init__(self, workflow_id: str | None = None) -> None:
        self._workflow_id = workflow_id

    def _run(self) -> str | None:
        """The run that the user started, also where a child does the work."""
        own = self._workflow_id or place.run_id()
        if own is None:
            return None
        from kurt.runtime.recovery import root_of  # noqa: PLC0415 - who has a run has loaded DBOS

        return root_of(own)

    def start_step(
        self, step_name: str, *, step_type: str = "step", total: int = 0, call: str | None = None
    ) -> StepProgress:
        """A step begins; its progress, to be handed to `changed`.

        Args:
            step_name: its name.
            step_type: what kind of step it is shown as.
            total: items in all, 0 where that is not known.
            call: which call of the step it is, where a run makes several; the same when the run is done again.
        """
        progress = StepProgress(
            step_name, step_type, total=total, call=call or f"{place.run_id()}:{step_name}"
        )
        run_id = self._run()
        if run_id is not None:
            _steps_of(run_id)[step_name] = progress
            _note("info", step_name, "started")
            self._show(run_id, progress, entry="start")
            if not total:
                courier.flush()  # the counts that the step itself may set as events come after these
        return progress

    def update_progress(
        self, current: int, *, step_name: str | None = None, total: int | None = None
    ) -> None:
        """So many items of a step are over; of the step that began last by default."""
        run_id = self._run()
        progress = self._find(run_id, step_name)
        if progress is None or run_id is None:
            return
        progress.current = current
        progress.total = progress.total if total is None else total
        self._show(run_id, progress)

    def changed(self, progress: StepProgress) -> None:
        """A step's progress has been changed."""
        run_id = self._run()
        if run_id is not None:
            self._show(run_id, progress)

    def log_item(
        self,
        item_id: str,
        *,
        status: str = SUCCESS,
        message: str | None = None,
        elapsed: float | None = None,
        counter: tuple[int, int] | None = None,
        step_name: str | None = None,
    ) -> None:
        """An item of a step is over.

        Args:
            item_id: what it is.
            status: `success`, `error` or `skipped`.
            message: more about it.
            elapsed: seconds that it took.
            counter: its place and how many there are: `(3, 10)`.
            step_name: the step; the one that began last by default.
        """
        run_id = self._run()
        progress = self._find(run_id, step_name)
        if progress is not None and run_id is not None:
            count(progress, status, None if elapsed is None else elapsed * 1000)
            if counter is not None:
                progress.current, progress.total = counter
            self._show(run_id, progress)
        where = f"[{counter[0]}/{counter[1]}] " if counter else ""
        took = f" ({elapsed:.1f} s)" if elapsed is not None else ""
        text = f"{where}{item_id}: {status}{took}{f' - {message}' if message else ''}"
        self.log(text, level="error" if status == ERROR else "info", step_name=step_name)

    def end_step(
        self,
        step_name: str,
        *,
        status: str = SUCCESS,
        error: str | None = None,
        progress: StepProgress | None = None,
    ) -> None:
        """A step is over; `progress` says which, where several of that name are at work."""
        run_id = self._run()
        progress = progress or self._find(run_id, step_name)
        if progress is None or run_id is None:
            return
        progress.status, progress.message = status, error
        _note("error" if status == ERROR else "info", step_name, _ending(progress))
        self._show(run_id, progress, entry="end")
        if progress.current or progress.error:
            courier.set(run_id, FAILED_ROWS_EVENT, _failed_rows(run_id, progress))
        courier.flush()

    def log(
        self,
        message: str,
        *,
        level: str = "info",
        step_name: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Write a line to the run's stream `logs` and to its log file."""
        run_id = self._run()
        if run_id is None:
            _log.log(logging.getLevelNamesMapping().get(level.upper(), logging.INFO), "%s", message)
            return
        running = self._find(run_id, step_name)
        _note(level, step_name or (running and running.name), message)
        entry = {"timestamp": time.time(), "level": level, "step": step_name, "message": message}
        courier.append(run_id, "logs", {**entry, "metadata": metadata} if metadata else entry)

    def _find(self, run_id: str | None, step_name: str | None) -> StepProgress | None:
        if run_id is None:
            return None
        steps = _steps_of(run_id)
        if step_name is not None:
            return steps.get(step_name)
        running = [step for step in steps.values() if step.status == RUNNING]
        return running[-1] if running else None

    def _show(self, run_id: str, progress: StepProgress, *, entry: str | None = None) -> None:
        progress.last_timestamp = time.time()
        shown = progress.to_json()
        courier.append(
            run_id,
            "progress",
            {"step": progress.name, "idx": progress.current, "timestamp": progress.last_timestamp, **shown},
            instead_of=(progress.name, entry),
        )
        courier.set(run_id, "steps", [step.to_json() for step in list(_steps_of(run_id).values())])
        running = [step.name for step in list(_steps_of(run_id).values()) if step.status == RUNNING]
        courier.set(run_id, "current_step", running[-1] if running else None)
        courier.set(run_id, "stage", progress.name)
        # A step that knows no counts may set the events itself.
        if entry == "start" or progress.total or progress.current:
            courier.set(run_id, "stage_total", progress.total)
            courier.set(run_id, "stage_current", progress.current)
        courier.set(run_id, "stage_status", progress.status)


def _failed_rows(run_id: str, ended: StepProgress) -> dict[str, int]:
    """The counts of all calls in a run that went on without some of their rows."""
    with _lock:
        calls = _failures.setdefault(run_id, {})
        calls.pop(ended.call, None)
        if ended.error:
            calls[ended.call] = (ended.error, max(ended.total, ended.current))
        failed = list(calls.values())
    if not failed:
        return {}
    return {"rows": sum(total for _, total in failed), "rows_failed": sum(errors for errors, _ in failed)}


def _note(level: str, step_name: str | None, text: str) -> None:
    from kurt.runtime.routing import note  # noqa: PLC0415 - needed in runs alone

    note(level.upper(), step_name or "-", text)


def _ending(progress: StepProgress) -> str:
    """The line of the log with which a step ends."""
    took = f"{time.time() - progress.started_at:.2f} s"
    parts = [f"{'failed' if progress.status == ERROR else 'succeeded'} in {took}"]
    if progress.total:
        parts.append(f"{progress.current} of {progress.total} items done")
    if progress.error:
        parts.append(f"{progress.error} failed")
    return ", ".join(parts) + (f": {progress.message}" if progress.message else "")


def progress_of(run_id: str) -> list[StepProgress]:
    """The steps of a run that is at work in this process, as far as they are."""
    with _lock:
        found = _steps.get(run_id)
    return [] if found is None else list(found.values())


def count(progress: StepProgress, status: str, latency_ms: float | None = None) -> None:
    """One more item of a step is over."""
    progress.current += 1
    if status == SUCCESS:
        progress.success += 1
    elif status == ERROR:
        progress.error += 1
    else:
        progress.skipped += 1
    progress.last_latency_ms = latency_ms if latency_ms is not None else progress.last_latency_ms


class TrackingHooks(StepHooks):
    """Progress and logs of a step for those who watch the run.

    A batch step in a workflow tracks itself; these hooks choose the tracker and the step's type, or serve a step of one's
    own.

    Args:
        tracker: who tells; one for the present run by default.
        step_type: what kind of step it is shown as.
    """

    direct = True

    def __init__(self, tracker: WorkflowTracker | None = None, *, step_type: str = "llm_step") -> None:
        self.tracker = tracker or WorkflowTracker()
        self.step_type = step_type

    def on_start(self, *, step_name: str, total: int, concurrency: int) -> None:
        del concurrency
        self.tracker.start_step(step_name, step_type=self.step_type, total=total)

    def on_result(self, *, step_name: str, idx: int, total: int, status: str, error: str | None) -> None:
        del total
        self.tracker.log_item(f"row {idx}", status=status, message=error, step_name=step_name)

    def on_end(self, *, step_name: str, successful: int, total: int, errors: list[str]) -> None:
        del total
        self.tracker.end_step(step_name, status=outcome(successful, len(errors)))


def outcome(successful: int, failed: int) -> str:
    """How a step ended of whose items so many went well and so many failed."""
    if not failed:
        return SUCCESS
    return PARTIAL if successful else ERROR


@contextmanager
def track_step(
    name: str, *, tracker: WorkflowTracker | None = None, step_type: str = "step", total: int = 0
) -> Generator[WorkflowTracker]:
    """Show a part of a workflow as a step; it has failed when the block raises."""
    chosen = tracker or WorkflowTracker()
    chosen.start_step(name, step_type=step_type, total=total)
    try:
        yield chosen
    except BaseException as error:
        chosen.log(f"{name} failed: {error or type(error).__name__}", level="error", step_name=name)
        chosen.end_step(name, status=ERROR, error=str(error) or type(error).__name__)
        raise
    chosen.end_step(name)


def update_step_progress(
    current: int, *, tracker: WorkflowTracker | None = None, step_name: str | None = None
) -> None:
    """So many items of a step are over; of the step that began last by default."""
    (tracker or WorkflowTracker()).update_progress(current, step_name=step_name)


def step_log(
    message: str,
    *,
    tracker: WorkflowTracker | None = None,
    level: str = "info",
    step_name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Write a line to the run's stream `logs` and to its log file."""
    (tracker or WorkflowTracker()).log(message, level=level, step_name=step_name, metadata=metadata)


def log_item(
    item_id: str,
    *,
    status: str = SUCCESS,
    message: str | None = None,
    elapsed: float | None = None,
    counter: tuple[int, int] | None = None,
    tracker: WorkflowTracker | None = None,
) -> None:
    """An item of the present step is over; see `WorkflowTracker.log_item`."""
    (tracker or WorkflowTracker()).log_item(
        item_id, status=status, message=message, elapsed=elapsed, counter=counter
    )
