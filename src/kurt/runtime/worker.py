"""A worker: an executor that serves queues until it is told to stop.

SIGTERM, or the first SIGINT, drains it: it takes no more work, gives the steps at work a grace period, and leaves the rest
to recovery. A second signal ends it at once. SIGHUP is ignored: a closed terminal is no reason to stop.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.exc import SQLAlchemyError

from kurt.runtime import gate, recovery, resting
from kurt.runtime.engine import open_client
from kurt.runtime.executor import Executor

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings
    from kurt.runtime.leases import Lease
    from kurt.runtime.stopping import StopSignals

_log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        queues: the queues that it serves.
        concurrency: steps at work at once.
        idle_exit: seconds without work after which it ends; None for never.
        grace: seconds that steps at work are given when it is stopped.
        companion: works beside it.
    """

    queues: Sequence[str]
    concurrency: int
    idle_exit: float | None = None
    grace: float = 10.0
    companion: Companion | None = None


class Companion(Protocol):
    """What a worker does beside serving its queues."""

    def start(self) -> None:
        """Begin; the worker serves."""

    def stop(self) -> None:
        """End; the worker takes no more work."""

    def has_work(self) -> bool:
        """Whether the worker must go on for its sake."""
        ...


class Worker:
    """Serves queues in this process, from its main thread.

    Args:
        settings: the project's settings.
        lease: its lease; taken before anything slow is imported, so that whoever started it sees it live.
        options: how it works.
        signals: tell it to stop.
        resolve: gives workflow functions on demand.
        on_start: called with the executor id when it serves.
    """

    def __init__(
        self,
        settings: Settings,
        lease: Lease,
        options: WorkerOptions,
        signals: StopSignals,
        *,
        resolve: recovery.Resolver | None = None,
        on_start: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._on_start = on_start
        self._companion = options.companion
        self._signals = signals
        self._restart = False
        self._folder = _identity(settings.root)
        self.executor = Executor(settings, lease, queues=options.queues, resolve=resolve)

    def request_restart(self) -> None:
        """Stop taking work and begin again with the code as it is on disk now."""
        self._restart = True
        recovery.stop_taking_work()
        self._signals.stop()

    def run(self) -> bool:
        """Serve until stopped or idle for too long; True when it should begin again, as a fresh process."""
        gate.set_limit(self._options.concurrency)
        self.executor.start()
        self.executor.persevere()
        resting.set_gives_up(True)
        try:
            if self._on_start is not None:
                self._on_start(self.executor.id)
            if self._companion is not None:
                self._companion.start()
            self._serve()
        finally:
            if self._companion is not None:
                self._companion.stop()
            resting.set_gives_up(False)
            self.executor.close(grace=self._options.grace)
        if self._signals.asked or self._folder_is_gone():
            return False
        return self._restart or self._work_left()

    def _serve(self) -> None:
        idle_since = time.monotonic()
        while not self._signals.wait(_LOOK_EVERY):
            if self._folder_is_gone():
                _log.warning("the folder of the project is gone: %s", self._settings.root)
                return
            if self._options.idle_exit is None:
                continue
            if self._has_work():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._options.idle_exit:
                _log.info("no work for %g s", self._options.idle_exit)
                return
        _log.info(
            "takes no more work; steps at work have %g s, a second signal ends it at once",
            self._options.grace,
        )

    def _folder_is_gone(self) -> bool:
        """Whether somebody has deleted or replaced the project's folder: nothing here could be run any more."""
        return _identity(self._settings.root) != self._folder

    def _has_work(self) -> bool:
        if set(recovery.active_runs()) - resting.released():
            return True
        if self._companion is not None and self._companion.has_work():
            return True
        try:
            return recovery.work_left(recovery.system_database(), self._options.queues)
        except SQLAlchemyError:  # away for a while: who knows
            return True

    def _work_left(self) -> bool:
        """Look once more when the lease is gone: whoever enqueued until then saw a live worker and started none."""
        with open_client(self._settings) as client:
            return recovery.work_left(recovery.database_of(client), self._options.queues, self.executor.id)


def _identity(folder: Path) -> tuple[int, int] | None:
    """The folder itself, not its name; None when it is not there."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def restart_process() -> None:
    """Replace this process by a fresh one with the same arguments."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [sys.executable, "-m", "kurt", *sys.argv[1:]])  # noqa: S606 - the same program again
