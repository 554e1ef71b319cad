"""Starting, listing and stopping workers."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from kurt.db.migrate import ensure_schema
from kurt.errors import ConflictError, KurtError, NotFoundError
from kurt.runtime import names
from kurt.runtime.leases import ExecutorInfo, live_executors, open_lease
from kurt.runtime.stopping import StopSignals

if TYPE_CHECKING:
    from kurt.config import Settings

_STOP_LIMIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What `kurt worker start` is asked for.

    Attributes:
        queues: the queues to serve.
        concurrency: steps at work at once in each process.
        processes: how many processes.
        idle_exit: seconds without work after which a process ends; None for never.
        grace: seconds that steps at work are given at the end.
        detached: write to a log file in place of the terminal.
    """

    queues: Sequence[str] = (names.DEFAULT_QUEUE,)
    concurrency: int = 10
    processes: int = 1
    idle_exit: float | None = None
    grace: float = 10.0
    detached: bool = False


def start(settings: Settings, plan: WorkerPlan) -> None:
    """Serve the queues in this process, or in several, until stopped."""
    if plan.processes > 1:
        _Supervisor(plan).run()
        return
    _serve(settings, plan)


def _serve(settings: Settings, plan: WorkerPlan) -> None:
    signals = StopSignals()
    signals.install()
    if not settings.is_sqlite:
        ensure_schema(settings)  # a lease on Postgres is a row
    # The lease first: whoever started this process waits for it, and what follows takes half a second to import.
    lease = open_lease(settings, "worker", {"queues": list(plan.queues), "concurrency": plan.concurrency})
    lease.acquire()
    _log_to(settings.logs_dir / f"{lease.id}.log", detached=plan.detached)
    _warn_of_mistakes(settings, plan)
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - after the lease
    from kurt.app.schedules.ticker import Ticker  # noqa: PLC0415 - after the lease
    from kurt.engine.interpreter import runner  # noqa: PLC0415 - after the lease
    from kurt.engine.processes import pool  # noqa: PLC0415 - after the lease
    from kurt.runtime.worker import Worker, WorkerOptions, restart_process  # noqa: PLC0415 - after the lease

    options = WorkerOptions(
        queues=plan.queues,
        concurrency=plan.concurrency,
        idle_exit=plan.idle_exit,
        grace=plan.grace,
        companion=Ticker(settings, lease.id, lease.live),
    )
    registry = WorkflowRegistry(settings)
    announce = partial(_announce, plan.queues)
    worker = Worker(
        settings,
        lease,
        options,
        signals,
        resolve=registry.resolve,
        on_start=announce,
    )
    registry.on_stale = worker.request_restart
    runner.use(settings)
    try:
        again = worker.run()
    finally:
        pool.close_pools()
    if again:
        restart_process()


def _warn_of_mistakes(settings: Settings, plan: WorkerPlan) -> None:
    """Say what would let the worker wait for ever; it serves all the same, for code may declare the queue later."""
    from kurt.runtime.runs import open_reader  # noqa: PLC0415 - after the lease

    log = logging.getLogger("kurt")
    if not settings.is_project:
        log.warning(
            "there is no kurt.config in %s or above it; to make it a project: kurt init", settings.root
        )
    with open_reader(settings) as reader:
        unknown = [name for name in plan.queues if name != names.DEFAULT_QUEUE and not reader.has_queue(name)]
    for name in unknown:
        log.warning(
            "there is no queue %r yet, so no work comes from it; to make it: kurt queues create %s",
            name,
            name,
        )


def _announce(queues: Sequence[str], executor_id: str) -> None:
    logging.getLogger("kurt").info("worker %s serves %s; Ctrl-C stops it", executor_id, ", ".join(queues))


def _log_to(path: Path, *, detached: bool) -> None:
    """Python's logging of this process goes to standard error, or to a file of its own when it is detached."""
    if detached:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for stream in (1, 2):
            os.dup2(file, stream)
        os.close(file)
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-5s [%(name)s] %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("dbos", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Supervisor:
    """Keeps several worker processes alive.

    Args:
        plan: what each of them does, `processes` of them.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._children: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()

    def run(self) -> None:
        """Start the processes, start those again that crash, end with the last one."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        self._children = [self._start() for _ in range(self._plan.processes)]
        while self._children:
            time.sleep(0.2)
            self._children = [child for child in map(self._looked_after, self._children) if child is not None]

    def _start(self) -> subprocess.Popen[bytes]:
        words = _without_processes(sys.argv[1:])
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "kurt", *words], start_new_session=True
        )

    def _looked_after(self, child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes] | None:
        """The child, a new one in place of one that crashed, or None for one that ended as it should."""
        code = child.poll()
        if code is None:
            return child
        if code == 0 or self._stop.is_set():
            return None
        logging.getLogger("kurt").warning("a worker ended with status %d and is started again", code)
        return None if self._stop.wait(1) else self._start()

    def _forward(self, number: int, _frame: Any) -> None:
        self._stop.set()
        for child in self._children:
            if child.poll() is None:
                child.send_signal(number)


def _without_processes(words: list[str]) -> list[str]:
    """The command line of one process of several."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word.startswith("--processes="):
            skip = False
            continue
        if word == "--processes":
            skip = True
            continue
        kept.append(word)
    return kept


def workers(settings: Settings) -> list[ExecutorInfo]:
    """The live executors: workers, foreground runs and sessions."""
    return live_executors(settings)


def stop(
    settings: Settings, ids: Collection[str] = (), *, everyone: bool = False, wait: bool = True
) -> list[ExecutorInfo]:
    """Ask workers on this machine to drain and end; those that were asked.

    Raises:
        NotFoundError: no live worker has that id.
        ConflictError: it runs on another machine.
        KurtError: it has not ended within a minute.
    """
    chosen = _chosen(workers(settings), ids, everyone=everyone)
    for worker in chosen:
        if worker.host != gethostname():
            raise ConflictError(
                f"the worker {worker.id} runs on {worker.host}", hint=f"run the command on {worker.host}"
            )
        os.kill(worker.pid, signal.SIGTERM)
    if wait:
        _wait_until_gone(settings, {worker.id for worker in chosen})
    return chosen


def _chosen(live: list[ExecutorInfo], ids: Collection[str], *, everyone: bool) -> list[ExecutorInfo]:
    found = [executor for executor in live if executor.kind == "worker"]
    if everyone:
        return found
    chosen: list[ExecutorInfo] = []
    for wanted in ids:
        matching = [worker for worker in found if worker.id == wanted or worker.id.startswith(wanted)]
        if len(matching) != 1:
            raise NotFoundError(
                f"{len(matching) or 'no'} live workers fit {wanted!r}", hint="kurt worker list"
            )
        chosen += matching
    return chosen


def _wait_until_gone(settings: Settings, ids: set[str]) -> None:
    limit = time.monotonic() + _STOP_LIMIT
    while ids & {executor.id for executor in live_executors(settings)}:
        if time.monotonic() > limit:
            raise KurtError(
                f"not ended after {_STOP_LIMIT:g} s: {', '.join(sorted(ids))}",
                hint="send the process SIGTERM a second time: it then ends at once and loses nothing",
            )
        time.sleep(0.05)
