"""Starting a worker that outlives the command which started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from kurt.errors import KurtError
from kurt.runtime.leases import ExecutorInfo, live_executors

if TYPE_CHECKING:
    from kurt.config import Settings

_START_LIMIT = 15.0
_LOOK_EVERY = 0.02


class DetachedWorker(subprocess.Popen[bytes]):
    """A worker that goes on without this process: nobody has to wait for it, and Python warns of nothing."""

    def __del__(self) -> None:
        """Nothing: that it is still at work when this object goes is what it was started for."""


def serving(settings: Settings, queue: str) -> list[ExecutorInfo]:
    """The live executors that serve a queue."""
    return [executor for executor in live_executors(settings) if queue in executor.queues]


def start_worker(settings: Settings, queue: str) -> DetachedWorker:
    """Start a detached worker for a queue, which ends by itself when it has been idle for a while.

    It has its own session, so closing the terminal does not reach it, and none of this process's files.

    Raises:
        KurtError: the system cannot start it.
    """
    idle = settings.get("WORKER.IDLE_EXIT")
    command = [sys.executable, "-m", "kurt", "--project", str(settings.root), "worker", "start"]
    command += ["--queues", queue, "--idle-exit", f"{float(idle or 60):g}s", "--detached"]
    try:
        return DetachedWorker(
            command,
            cwd=settings.root,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        raise KurtError(f"the worker cannot be started: {error}", hint="kurt worker start") from error


def confirm_started(settings: Settings, process: subprocess.Popen[bytes], queue: str) -> None:
    """Wait until the started worker holds its lease.

    Raises:
        KurtError: it ended at once, or shows no sign of life.
    """
    limit = time.monotonic() + _START_LIMIT
    while time.monotonic() < limit:
        if any(executor.pid == process.pid for executor in serving(settings, queue)):
            let_go(process)
            return
        if process.poll() is not None:
            break
        time.sleep(_LOOK_EVERY)
    raise KurtError(
        f"the run is queued, but no worker could be started for the queue {queue!r}",
        hint=f"kurt worker start --queues {queue}",
        causes=(f"see {settings.logs_dir / 'worker-start.log'}",),
    )


def let_go(process: subprocess.Popen[bytes] | None) -> None:
    """Leave a started worker to itself. A process that lives longer, such as a web server, collects it when it ends."""
    if process is not None and process.returncode is None:
        threading.Thread(target=process.wait, name="kurt-detached-worker", daemon=True).start()
