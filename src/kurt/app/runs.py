"""What people and programs do with runs: start, follow, wait for, resume, retry, fork, cancel, delete them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.app.targets import Prepared, check_secrets
from kurt.db.migrate import ensure_schema
from kurt.errors import CredentialsError, NotFoundError, RunFailedError
from kurt.runtime import mocked, names, spawn
from kurt.runtime.logs import log_path, open_log
from kurt.runtime.names import new_run_id
from kurt.runtime.runs import Run, open_reader
from kurt.runtime.wait_words import APPROVAL, command_of, kind_of, text_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from kurt.app.foreground_watch import Watch
    from kurt.config import Settings
    from kurt.runtime.enqueue import Placement
    from kurt.runtime.logs import RunLog

OVER = frozenset({"succeeded", "failed", "cancelled", "stuck"})
"""States in which a run does nothing more."""

_POLL = 0.1
_GRACE = 2.0
"""Seconds between two looks for a worker; one that was just started has time to say that it lives."""

_TO_BE_TAKEN = frozenset({"queued", "interrupted"})


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run that was put on a queue.

    Attributes:
        run_id: its id.
        name: its workflow.
        log: path of its log.
        queue: the queue.
        existing: another request has started it before.
    """

    run_id: str
    name: str
    log: str
    queue: str
    existing: bool = False

    def to_json(self) -> dict[str, Any]:
        """The submission as JSON; `workflow_id` is the run's id under the guide's name."""
        return {
            "run_id": self.run_id,
            "workflow_id": self.run_id,
            "name": self.name,
            "status": "queued",
            "log": self.log,
            "queue": self.queue,
            "existing": self.existing,
        }


def submit(
    settings: Settings, prepared: Prepared, placement: Placement, *, run_id: str | None = None
) -> Submitted:
    """Put a run on its queue and see to it that a worker serves the queue.

    Raises:
        CredentialsError: a secret is not where a worker can see it.
        NotFoundError: no such queue.
        KurtError: no worker could be started; the run stays queued.
    """
    queue = placement.queue
    _check(settings, queue, run_id)
    check_secrets(settings, prepared, stored=True)
    if run_id is not None and exists(settings, run_id):
        known = Submitted(run_id, prepared.name, str(log_path(settings, run_id)), queue, existing=True)
        return known if find(settings, run_id).status in OVER else served(settings, known)
    ensure_schema(settings)
    own_id = run_id or new_run_id()
    # Started before the enqueue, so that both load their libraries at the same time.
    worker = None if spawn.serving(settings, queue) else spawn.start_worker(settings, queue)
    try:
        taken = _enqueue(settings, prepared, placement, own_id)
    except BaseException:
        spawn.let_go(worker)
        raise
    log = str(log_path(settings, taken))
    run = Submitted(taken, prepared.name, log, queue, existing=taken != own_id)
    return served(settings, run, worker=worker)


def _check(settings: Settings, queue: str, run_id: str | None) -> None:
    """Refuse what cannot work before anything is started: a worker for an unknown queue would create it.

    Raises:
        NotFoundError: no such queue.
        UsageError: the id is none that a run may have.
    """
    if run_id is not None:
        names.check_run_id(run_id)
    check_queue(settings, queue)


def check_queue(settings: Settings, queue: str) -> None:
    """Refuse a queue that does not exist.

    Raises:
        NotFoundError: no such queue.
    """
    if queue == names.DEFAULT_QUEUE:
        return
    with open_reader(settings) as reader:
        if not reader.has_queue(queue):
            raise NotFoundError(f"there is no queue {queue!r}", hint=f"kurt queues create {queue}")


def served(settings: Settings, run: Submitted, *, worker: subprocess.Popen[bytes] | None = None) -> Submitted:
    """See to it that a worker serves the queue on which a run waits.

    Args:
        settings: the project's settings.
        run: the run.
        worker: one that was started for it a moment ago.

    Raises:
        KurtError: no worker could be started; the run stays queued.
    """
    if (worker is None or worker.poll() == 0) and not spawn.serving(settings, run.queue):
        worker = spawn.start_worker(settings, run.queue)  # one that was there has ended because it was idle
    if worker is not None:
        spawn.confirm_started(settings, worker, run.queue)
    return run


def _enqueue(settings: Settings, prepared: Prepared, placement: Placement, run_id: str) -> str:
    from kurt.runtime.engine import open_client  # noqa: PLC0415 - loads DBOS
    from kurt.runtime.enqueue import NewRun, enqueue  # noqa: PLC0415 - as above
    from kurt.runtime.queues import ensure_queues  # noqa: PLC0415 - as above

    run = NewRun(
        workflow=prepared.workflow,
        run_id=run_id,
        arguments=prepared.arguments_on(placement.queue),
        keywords=prepared.keywords,
        attributes=prepared.attributes,
        user_id=prepared.attributes.get("user_id"),
    )
    with open_client(settings) as client:
        ensure_queues(client, [names.DEFAULT_QUEUE])
        with open_log(settings, run_id) as log:
            log.write(
                "INFO", None, f"run {run_id} of {prepared.name!r} is put on the queue {placement.queue!r}"
            )
            _tell_of_mocks(log, prepared)
        return enqueue(client, run, placement)


def _tell_of_mocks(log: RunLog, prepared: Prepared) -> None:
    """Note in the log of a Python workflow that it pretends; a declared one does it itself."""
    marks = prepared.attributes.get(mocked.ATTRIBUTE)
    if marks and prepared.workflow != names.RUN_WORKFLOW:
        log.write("WARN", None, f"mocked: {' and '.join(marks)}; their results are made up")


def run_here(
    settings: Settings, prepared: Prepared, placement: Placement, *, run_id: str | None = None, watch: Watch
) -> Run:
    """Execute a run in this process; how it ended.

    A repeated `run_id` gives the run that exists, and waits for it; one that was interrupted goes on here.

    Raises:
        CredentialsError: a secret is missing.
        NotFoundError: no such queue.
        UsageError: the id is none that a run may have.
        InterruptedRunError: Ctrl-C came; the run is cancelled.
    """
    check_secrets(settings, prepared, stored=False)
    if prepared.uses_workers:
        _warm_up()
    from kurt.app import foreground  # noqa: PLC0415 - loads DBOS

    _check(settings, placement.queue, run_id)
    own_id = run_id or new_run_id()
    if run_id is not None and exists(settings, run_id):
        if find(settings, run_id).status == "interrupted":
            foreground.resume(settings, run_id, watch=watch)
        return wait(settings, run_id)
    if prepared.attributes.get(mocked.ATTRIBUTE):
        with open_log(settings, own_id) as log:
            _tell_of_mocks(log, prepared)
    foreground.execute(settings, prepared, own_id, placement, watch=watch)
    return find(settings, own_id)


def _warm_up() -> None:
    """Let the workers load while this process loads DBOS; if it fails, the first step that needs one says why."""
    from kurt.engine.processes import pool  # noqa: PLC0415 - only where steps need it

    with suppress(OSError):
        pool.warm_up()


def exists(settings: Settings, run_id: str) -> bool:
    """Whether there is a run of exactly this id."""
    ensure_schema(settings)
    with open_reader(settings) as reader:
        return reader.exists(run_id)


def find(settings: Settings, run_id: str) -> Run:
    """The run of an id or an unambiguous prefix.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    with open_reader(settings) as reader:
        return reader.get(run_id)


class ServedCheck:
    """Tells once, when nobody will go on with a run as things are.

    Args:
        settings: the project's settings.
        tell: given the line; None asks for none.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], None] | None) -> None:
        self._settings = settings
        self._tell = tell
        self._next = time.monotonic() + _GRACE

    def look(self, run: Run) -> None:
        """Look for a worker, now and then."""
        if self._tell is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _GRACE
        if run.status in _TO_BE_TAKEN and run.queue and not spawn.serving(self._settings, run.queue):
            self._tell(
                f"the run {run.id} is {run.status}, and no live worker serves the queue {run.queue!r};"
                f" it goes on with: kurt worker start --queues {run.queue}"
            )
            self._tell = None


def wait(
    settings: Settings,
    run_id: str,
    *,
    limit: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> Run:
    """Wait until a run is over.

    Args:
        settings: the project's settings.
        run_id: id or prefix.
        limit: seconds; None for as long as it takes.
        tell: given a line when nobody will go on with the run as things are, and for each question that it asks; once.

    Raises:
        NotFoundError: there is no such run.
        RunFailedError: the limit has passed; the run goes on.
    """
    until = None if limit is None else time.monotonic() + limit
    served = ServedCheck(settings, tell)
    told: set[str] = set()
    with open_reader(settings) as reader:
        run = reader.get(run_id)
        while run.status not in OVER:
            served.look(run)
            for line in _questions(run):
                if tell is not None and line not in told:
                    told.add(line)
                    tell(line)
            if until is not None and time.monotonic() > until:
                raise RunFailedError(
                    f"the run {run.id} is still {run.status}", hint=f"kurt workflows follow {run.id}"
                )
            time.sleep(_POLL)
            run = reader.get(run.id)
    return run


def _questions(run: Run) -> Iterator[str]:
    """What a run asks of people, with the command that answers."""
    approvals = sum(kind_of(wait) == APPROVAL for wait in run.waits)
    for wait in run.waits:
        command = command_of(wait, run.id, alone=approvals == 1)
        if command is not None:
            yield f"the run {run.id} waits for {text_of(wait)}; to go on: {command}"


class KeyRefusedError(RunFailedError):
    """The run did not succeed for want of a key: it is missing, or it is not accepted."""

    exit_code = CredentialsError.exit_code


def failure_of(run: Run) -> RunFailedError | None:
    """The error with which a command about this run ends, None for a run that succeeded."""
    if run.status == "succeeded":
        return None
    error = run.error or {}
    remedy = {"failed": "retry", "cancelled": "resume", "stuck": "resume"}.get(run.status, "status")
    is_of_key = error.get("type") == CredentialsError.__name__
    failed = KeyRefusedError if is_of_key else RunFailedError
    return failed(
        f"the run {run.id} {_said(run.status)}" + (f": {error['message']}" if error.get("message") else ""),
        hint=error.get("hint") or f"kurt workflows {remedy} {run.id}",
    )


def _said(status: str) -> str:
    return {"failed": "failed", "cancelled": "was cancelled", "stuck": "is stuck"}.get(status, f"is {status}")
