"""Warm Python workers for the steps that run Python code: `cli`, `python`, `script`.

Each worker is forked from a process that has loaded Kurt (`guardian.py --warm`), leads a process group of its own
and does one task at a time. They start with their first task. The pools of the standard library and of PyPI start
their processes through `multiprocessing`, which runs the user's main module again in each, share one pipe among
all workers and are broken by the death of an idle one; here a worker that dies is one failed task.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kurt.engine.processes import guardian, launcher
from kurt.engine.processes.output import LineSink, masker
from kurt.engine.processes.programs import uninterrupted
from kurt.errors import StepError, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kurt.engine.processes.surroundings import Surroundings
    from kurt.types import Json

_DRAIN_LIMIT = 1024 * 1024  # bytes; a pipe holds less, so what comes then was written after the task
_BLOCK = 64 * 1024
_END_LIMIT = 2.0  # seconds in which a killed worker is gone
_MOST_TASKS = 1000  # after which a worker is replaced: what its tasks leave in memory is given back


async def call_in_pool(target: str, payload: Json, around: Surroundings, *, root: Path | None = None) -> Json:
    """Call a function in a warm worker and return its result.

    Cancellation kills the worker and whatever it has started.

    Args:
        target: `package.module:function`; it takes the payload.
        payload: a JSON value of any size.
        around: environment, folder, limits, secrets, log. The limits count what the function itself uses.
        root: folder that is importable; modules in it are read again when a file has changed.

    Raises:
        StepError: it raised (`type` is the exception's class, `details` has the end of the traceback), its result
            is not JSON (`NotJson`), or its process died (`WorkerDied`, `CpuLimit`).
        StepTimeoutError: it took longer than `limits.timeout`.
    """
    reply = await _pool.run(_Request(_task(target, payload, around, root), around))
    if "error" in reply:
        error = masker(around.secrets).mask_value(reply["error"])
        raise StepError(error["message"], type=error["type"], hint=error["hint"], details=error["details"])
    return reply["result"]


def _task(target: str, payload: Json, around: Surroundings, root: Path | None) -> dict[str, Any]:
    return {
        "target": target,
        "payload": payload,
        "env": dict(around.env),
        "cwd": str(around.cwd.absolute()),
        "root": None if root is None else str(root.absolute()),
        "memory": around.memory_limit(),
        "cpu": around.limits.cpu,
    }


def configure_pool(*, max_workers: int, idle_workers: int | None = None) -> None:
    """Set how many workers may work at once, and how many of them stay when they have nothing to do."""
    _pool.max_workers = max_workers
    _pool.idle_workers = min(max_workers, _CORES if idle_workers is None else idle_workers)


def warm_up() -> None:
    """Begin to load what workers need, beside whatever this process does until its first step.

    Raises:
        OSError: the process for it cannot be started.
    """
    launcher.workers.prepare()


def close_pools() -> None:
    """End all workers and all programs, and the processes that guard them; the next step starts them again."""
    _pool.close()
    launcher.workers.close()
    launcher.programs.close()


class _Request:
    """A task and who listens to it."""

    def __init__(self, task: dict[str, Any], around: Surroundings) -> None:
        self.task = task
        self.limits = around.limits
        self._around = around
        self.sink = LineSink(self._log, around.secrets)
        self._mark = task["mark"] = f"\x1e{secrets.token_hex(8)} "

    def timeout(self) -> StepTimeoutError:
        return StepTimeoutError(
            f"it took longer than {self.limits.timeout:g} s", hint="raise the step's `timeout`"
        )

    def _log(self, text: str) -> None:
        """Pass on lines that were printed, and log records among them."""
        for level, lines in groupby(self._levels(text), key=itemgetter(0)):
            self._around.log(level, "\n".join(line for _, line in lines))

    def _levels(self, text: str) -> Iterator[tuple[str, str]]:
        if self._mark not in text:
            yield "INFO", text
            return
        for line in text.split("\n"):
            printed, mark, record = line.partition(self._mark)
            if printed or not mark:
                yield "INFO", printed
            if mark:
                level, _, message = record.partition(" ")
                yield level, message

    def death(self, exit_code: int | None) -> StepError:
        """The error that the death of the worker is."""
        if exit_code == -signal.SIGXCPU and self.limits.cpu is not None:
            return StepError(
                f"it used more than {self.limits.cpu:g} s of processor time",
                type="CpuLimit",
                hint="raise `limits.cpu`",
            )
        if exit_code is None:
            how = "closed the connection of its process"
        elif exit_code < 0:
            how = f"died of {_signal_name(-exit_code)}"
        else:
            how = f"ended its process with exit code {exit_code}"
        hint = "the system may have run out of memory" if exit_code == -signal.SIGKILL else None
        return StepError(f"the code {how}", type="WorkerDied", hint=hint, details={"exit_code": exit_code})


class _DeadError(Exception):
    """The worker has closed its end."""


class _Worker:
    """The executor's end of one worker."""

    def __init__(self, child: launcher.Child, link: socket.socket, output: int) -> None:
        self._child = child
        self._link = link
        self._output = output
        self._tasks = 0
        child.exited.add_done_callback(self._hang_up)

    @property
    def alive(self) -> bool:
        return not self._child.exited.done()

    @property
    def worn(self) -> bool:
        """Whether it has done enough tasks."""
        return self._tasks >= _MOST_TASKS

    async def do(self, request: _Request) -> dict[str, Any]:
        """Send a task and wait for its reply.

        Raises:
            StepError: the worker died.
        """
        self._tasks += 1
        loop = asyncio.get_running_loop()
        loop.add_reader(self._output, self._pump, request.sink)
        try:
            await loop.sock_sendall(self._link, guardian.pack(request.task))
            return await self._receive(loop)
        except (_DeadError, OSError):
            raise await self._death(request) from None
        finally:
            loop.remove_reader(self._output)
            left = _DRAIN_LIMIT
            while left > 0 and (count := self._pump(request.sink)):
                left -= count
            request.sink.close()

    async def _death(self, request: _Request) -> StepError:
        try:
            return request.death(await self._child.wait(_END_LIMIT))
        except launcher.GuardianLostError as error:
            return StepError(f"the worker was ended: {error}", type="GuardianLost")

    async def kill(self) -> None:
        """End the worker and its process group, and wait until it is gone."""
        self._child.end()
        with suppress(launcher.GuardianLostError):
            await self._child.wait(_END_LIMIT)
        self.close()

    def close(self) -> None:
        """Close the executor's ends; an idle worker goes away by itself then."""
        self._child.end()
        self._link.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        header = await self._read(loop, guardian.HEADER.size)
        return json.loads(await self._read(loop, guardian.HEADER.unpack(header)[0]))

    async def _read(self, loop: asyncio.AbstractEventLoop, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await loop.sock_recv_into(self._link, view)
            if not count:
                raise _DeadError
            view = view[count:]
        return data

    def _pump(self, sink: LineSink) -> int:
        """Pass on what is in the pipe now; returns how many bytes."""
        try:
            data = os.read(self._output, _BLOCK)
        except BlockingIOError:
            return 0
        if data:
            sink.feed(data)
        else:
            asyncio.get_running_loop().remove_reader(self._output)
        return len(data)

    def _hang_up(self, _: object) -> None:
        """Called when the process has ended: a copy of its socket may live on in what it has forked."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)


class _Pool:
    """The workers of this process. Safe to use from any thread and event loop.

    Attributes:
        max_workers: how many there may be.
        idle_workers: how many stay when they have nothing to do.
    """

    def __init__(self, max_workers: int, idle_workers: int) -> None:
        self.max_workers = max_workers
        self.idle_workers = idle_workers
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._count = 0
        self._waiting: deque[Future[_Worker | None]] = deque()

    async def run(self, request: _Request) -> dict[str, Any]:
        """Do a task in the next free worker.

        Raises:
            StepError: the worker died or cannot be started.
            StepTimeoutError: it took too long.
        """
        worker = await self._take()
        healthy = False
        try:
            async with asyncio.timeout(request.limits.timeout):
                reply = await worker.do(request)
            healthy = not (reply["retire"] or worker.worn)
        except TimeoutError:
            raise request.timeout() from None
        finally:
            if healthy:
                self._give_back(worker)
            else:
                try:
                    await uninterrupted(worker.kill())
                finally:
                    self._give_back(None)
        return reply

    def close(self) -> None:
        """End the idle workers; busy ones end with their guardian."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for worker in idle:
            worker.close()

    def forget(self) -> None:
        """In a forked copy of the executor: let go of the workers."""
        for worker in self._idle:
            worker.close()
        self._reset()

    async def _take(self) -> _Worker:
        """A worker that is free, or a new one, or the next that becomes free."""
        waiter: Future[_Worker | None] | None = None
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.close()
                self._count -= 1
            if self._count < self.max_workers:
                self._count += 1
            else:
                waiter = Future()
                waiter.set_running_or_notify_cancel()
                self._waiting.append(waiter)
        worker = None if waiter is None else await self._wait(waiter)
        if worker is not None:
            return worker
        try:
            return await _start()
        except BaseException:
            self._give_back(None)
            raise

    async def _wait(self, waiter: Future[_Worker | None]) -> _Worker | None:
        """Wait for a worker that is given back; None is the right to start one."""
        try:
            return await asyncio.wrap_future(waiter)
        except asyncio.CancelledError:
            with self._lock:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                    raise
            self._give_back(waiter.result())
            raise

    def _give_back(self, worker: _Worker | None) -> None:
        """Pass on a worker, or the right to start one in its place."""
        with self._lock:
            if self._waiting:
                waiter = self._waiting.popleft()
            elif worker is not None and len(self._idle) < self.idle_workers:
                self._idle.append(worker)
                return
            else:
                waiter = None
                self._count -= 1
        if waiter is not None:
            waiter.set_result(worker)
        elif worker is not None:
            worker.close()


async def _start() -> _Worker:
    """Fork a worker.

    Raises:
        StepError: the system refuses; type `WorkerNotStarted`.
    """
    with ExitStack() as closing:
        ours, theirs = socket.socketpair()
        closing.enter_context(theirs)
        output, writing = os.pipe()
        closing.callback(os.close, writing)
        os.set_blocking(output, False)
        ours.setblocking(False)
        child = launcher.workers.launch({"op": "fork"}, [theirs.fileno(), writing])
    worker = _Worker(child, ours, output)
    try:
        await child.start()
    except (launcher.LaunchError, launcher.GuardianLostError) as error:
        worker.close()
        raise StepError(f"no Python worker can be started: {error}", type="WorkerNotStarted") from error
    except asyncio.CancelledError:
        worker.close()
        raise
    return worker


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_CORES = os.cpu_count() or 1
_pool = _Pool(max_workers=16, idle_workers=max(2, _CORES))
os.register_at_fork(after_in_child=_pool.forget)
