"""Executing one run in this process: a new one, or one that is resumed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.app.foreground_watch import InterruptedRunError, LeftWaitingError, Watch
from kurt.app.registry import WorkflowRegistry
from kurt.app.targets import Prepared
from kurt.engine.interpreter import announcing, progress, runner
from kurt.engine.processes import pool
from kurt.errors import ConflictError, StorageError
from kurt.runtime import gate, recovery
from kurt.runtime.durable import TERMINAL
from kurt.runtime.engine import open_client
from kurt.runtime.executor import Executor
from kurt.runtime.leases import Lease, live_executors, open_lease
from kurt.runtime.runs import open_reader
from kurt.runtime.starting import start_run
from kurt.runtime.wait_words import command_of, text_of

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kurt.config import Settings
    from kurt.runtime.enqueue import Placement

_TICK = 0.05
_CANCEL_LIMIT = 3.0


def execute(
    settings: Settings, prepared: Prepared, run_id: str, placement: Placement, *, watch: Watch
) -> None:
    """Start a new run in this process and wait until it is over.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM came; the run is cancelled.
    """
    with _executor(settings, run_id, watch) as executor:
        _tell_start(watch, run_id)
        over = start_run(
            prepared.workflow,
            run_id,
            prepared.arguments_on(placement.queue),
            prepared.keywords,
            attributes={**prepared.attributes, "queue": placement.queue},
            seconds=placement.timeout,
        )
        executor.persevere()
        _wait(settings, run_id, over.wait, watch)


def resume(settings: Settings, run_id: str, *, watch: Watch) -> None:
    """Take up an interrupted, cancelled or stuck run in this process and wait until it is over.

    Raises:
        ConflictError: it has finished, or is at work elsewhere.
        InterruptedRunError: Ctrl-C or SIGTERM came; the run is cancelled.
    """

    def prepare(client: DBOSClient, queue: str) -> None:
        from kurt.runtime import operations  # noqa: PLC0415 - a new run needs none of it

        alive = {executor.id for executor in live_executors(settings)}
        operations.resume(client, run_id, alive=alive, private=queue)

    take_up(settings, run_id, prepare, watch=watch)


def take_up(
    settings: Settings, run_id: str, prepare: Callable[[DBOSClient, str], None], *, watch: Watch
) -> None:
    """Execute a run that `prepare` puts on this executor's own queue, and wait until it is over.

    Args:
        settings: the project's settings.
        run_id: the run.
        prepare: given a client and the name of the queue, puts the run there.
        watch: who watches.
    """
    with _executor(settings, run_id, watch, private=True) as executor, open_client(settings) as client:
        prepare(client, executor.private_queue)
        _tell_start(watch, run_id)
        executor.persevere()

        def is_over(seconds: float) -> bool:
            time.sleep(seconds)
            return recovery.status_of(run_id) in TERMINAL

        _wait(settings, run_id, is_over, watch)


def _tell_start(watch: Watch, run_id: str) -> None:
    """Nothing stands in the run's way any more."""
    if watch.on_start is not None:
        watch.on_start(run_id)


@contextmanager
def _executor(settings: Settings, run_id: str, watch: Watch, *, private: bool = False) -> Generator[Executor]:
    """An executor for one run, which serves no queue of others."""
    lease: Lease = open_lease(settings, "run", {"run_id": run_id})
    registry = WorkflowRegistry(settings)
    executor = Executor(
        settings, lease, private=private, resolve=registry.resolve, on_trouble=watch.on_trouble
    )
    runner.use(settings)
    gate.set_limit(None)
    if watch.listener is not None:
        progress.listen(run_id, watch.listener)
    executor.start()
    try:
        yield executor
    finally:
        executor.close()
        progress.forget(run_id)
        pool.close_pools()


def _wait(settings: Settings, run_id: str, is_over: Callable[[float], bool], watch: Watch) -> None:
    """Wait for the end; the first signal cancels the run, the second ends the process.

    Args:
        settings: the project's settings.
        run_id: the run.
        is_over: waits so many seconds at most, and tells whether the run is over.
        watch: who watches.
    """
    try:
        with _interruptible():
            while not is_over(_TICK):
                if watch.tick is not None:
                    watch.tick()
            if watch.tick is not None:
                watch.tick()
    except KeyboardInterrupt:
        if (left := _left_waiting(settings, run_id)) is not None:
            raise left from None
        refused = _cancel(settings, run_id, watch)
        raise InterruptedRunError(
            "interrupted: the run is cancelled; its finished steps are stored and will not run again"
            if refused is None
            else f"interrupted; the run could not be cancelled: {refused.message}",
            hint=f"kurt workflows resume {run_id}",
        ) from None


def _left_waiting(settings: Settings, run_id: str) -> LeftWaitingError | None:
    """How the command ends where the run only waits for people: it need not be cancelled. None where it does more."""
    with suppress(StorageError), open_reader(settings) as reader:
        run = reader.get(run_id)
        if run.waits and announcing.leave(run_id):
            left = LeftWaitingError(
                f"left: the run {run_id} waits for {text_of(run.waits[0])} (step {run.waits[0]['path']})",
                hint=command_of(run.waits[0], run_id, alone=len(run.waits) == 1),
            )
            left.run_id = run_id
            left.is_timed = any(wait.get("until") is not None for wait in run.waits)
            return left
    return None


@contextmanager
def _interruptible() -> Generator[None]:
    """SIGTERM is like Ctrl-C; only the main thread may say so, and other threads are not interrupted at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _raise_interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _cancel(settings: Settings, run_id: str, watch: Watch) -> StorageError | None:
    """Cancel the run and give its steps a moment to end; why it could not be cancelled, if it could not."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_leave_at_once, watch))
    if watch.on_interrupt is not None:
        watch.on_interrupt("cancelling")
    from kurt.runtime import operations  # noqa: PLC0415 - a run that ends by itself needs none of it

    refused = None
    try:
        with open_client(settings) as client, suppress(ConflictError):  # it may have ended this very moment
            operations.cancel(client, run_id)
    except StorageError as error:
        refused = error
    gate.current().drain(_CANCEL_LIMIT)
    if refused is None and watch.on_interrupt is not None:
        watch.on_interrupt("cancelled")
    return refused


def _leave_at_once(watch: Watch, _number: int, _frame: Any) -> None:
    try:
        if watch.on_leave is not None:
            watch.on_leave()
    finally:
        os._exit(130)
