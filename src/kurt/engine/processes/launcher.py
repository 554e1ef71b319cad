"""The executor's side of its guardians (see `guardian.py`): start children, await their ends, end them."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.engine.processes import guardian

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SCRIPT = str(Path(guardian.__file__).absolute())
_COLD = (sys.executable, "-I", "-S", "-E", _SCRIPT)
_WARM = (sys.executable, "-P", _SCRIPT, "--warm")
_GUARDIAN_EXIT = 5.0  # seconds that a guardian has to kill its groups and go


class LaunchError(OSError):
    """A child could not be started.

    Attributes:
        stage: what failed: `fork`, `cwd`, `limits`, `exec`.
    """

    def __init__(self, number: int, stage: str) -> None:
        super().__init__(number, os.strerror(number))
        self.stage = stage


class GuardianLostError(RuntimeError):
    """The guardian process has died; what it had started was killed."""


class Child:
    """A process that a guardian has started, the leader of its own process group.

    Attributes:
        identity: its number in messages to the guardian.
        started: becomes its process id, or raises LaunchError.
        exited: becomes its exit code, negative for a signal, or raises GuardianLostError.
    """

    def __init__(self, identity: int, launcher: Launcher) -> None:
        self.identity = identity
        self.started: Future[int] = _future()
        self.exited: Future[int] = _future()
        self._launcher = launcher

    async def start(self) -> int:
        """Wait for the process id.

        Raises:
            LaunchError: it could not be started.
            GuardianLostError: the guardian has died.
        """
        return await asyncio.wrap_future(self.started)

    async def wait(self, limit: float | None = None) -> int | None:
        """The exit code, or None when it still runs after `limit` seconds.

        Raises:
            GuardianLostError: the guardian has died.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.exited), limit)
        except TimeoutError:
            return None

    def signal(self, number: int) -> None:
        """Send a signal to the process group, if it still exists."""
        self._launcher.tell({"op": "signal", "id": self.identity, "signal": number})

    def end(self) -> None:
        """Kill whatever is left of the process group; to be called once for every child."""
        self._launcher.tell({"op": "end", "id": self.identity})


class Launcher:
    """One guardian process, started with the first child and again when it was lost.

    Safe to use from any thread and event loop.
    """

    def __init__(self, command: Sequence[str], first: Callable[[], dict[str, Any]] | None = None) -> None:
        """Prepare; no process starts yet.

        Args:
            command: the guardian's command line.
            first: makes the first message to each new guardian.
        """
        self._command = command
        self._first = first
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._children: dict[int, Child] = {}
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start the guardian, if there is none, without waiting for it.

        Raises:
            OSError: it cannot be started.
        """
        with self._lock:
            if self._link is None:
                self._open()

    def launch(self, request: dict[str, Any], descriptors: list[int]) -> Child:
        """Ask the guardian to start a child; the caller keeps and closes its copies of the descriptors.

        Raises:
            OSError: no guardian can be started.
        """
        with self._lock:
            for last in (False, True):
                child = Child(next(self._numbers), self)
                self._children[child.identity] = child
                link = self._link or self._open()
                try:
                    guardian.send(link, {**request, "id": child.identity}, descriptors)
                except OSError:
                    self._lose(link)
                    if last:
                        raise
                else:
                    break
        return child

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message that has no answer; nothing happens when the guardian is gone."""
        with self._lock:
            if self._link is not None:
                with suppress(OSError):  # lost: the reading thread sees it too and says so
                    guardian.send(self._link, message)

    def close(self) -> None:
        """Kill all children and end the guardian."""
        with self._lock:
            link, process = self._link, self._process
            if link is not None:
                self._lose(link)
            if process is not None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GUARDIAN_EXIT)
                self._process = None

    def forget(self) -> None:
        """In a forked copy of the executor: let go of the guardian, which must not wait for the copy's end."""
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            self._process.returncode = 0  # not our child
        self._reset()

    def _open(self) -> socket.socket:
        if self._process is not None:
            self._process.kill()  # lost, but perhaps not dead
            self._process.wait()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this Python and a file of ours
                self._command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        if self._first is not None:
            guardian.send(ours, self._first())
        self._link = ours
        threading.Thread(target=self._listen, args=(ours,), name="kurt-guardian", daemon=True).start()
        return ours

    def _listen(self, link: socket.socket) -> None:
        """In a thread: hand each answer to its child."""
        while True:
            try:
                answer, _ = guardian.receive(link)
            except (guardian.GoneError, OSError):
                with self._lock:
                    self._lose(link)
                return
            self._note(answer)

    def _note(self, answer: dict[str, Any]) -> None:
        with self._lock:
            child = self._children.get(answer["id"])
            if child is None:
                return
            if "pid" not in answer:
                del self._children[child.identity]
        if "pid" in answer:
            child.started.set_result(answer["pid"])
        elif "exit" in answer:
            child.exited.set_result(answer["exit"])
        else:
            child.started.set_exception(LaunchError(answer["error"], answer["stage"]))

    def _lose(self, link: socket.socket) -> None:
        """Close the link; the guardian kills its groups when it sees that, and if it cannot, we do."""
        if self._link is not link:
            return
        self._link = None
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
        link.close()
        children, self._children = self._children, {}
        for child in children.values():
            _abandon(child)


def _abandon(child: Child) -> None:
    lost = GuardianLostError("the guardian of child processes has died")
    if not child.started.done():
        child.started.set_exception(lost)
    elif child.started.exception() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.started.result(), signal.SIGKILL)
    child.exited.set_exception(lost)


def _future() -> Future[int]:
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()  # nobody who stops waiting cancels it for the others
    return future


def _warm_up() -> dict[str, Any]:
    return {
        "op": "warm",
        "path": [str(Path(entry).absolute()) for entry in sys.path],
        "modules": WARM_MODULES,
    }


WARM_MODULES = (
    "asyncio",
    "kurt.engine.processes.tasks",
    "kurt.cli.invoke",
    "kurt.cli.workflows.primitives",
    "kurt.app.primitives.read",
    "kurt.app.primitives.transform",
    "kurt.app.primitives.write",
)
"""What the warm guardian imports once for all workers."""

programs = Launcher(_COLD)
"""Starts programs."""

workers = Launcher(_WARM, _warm_up)
"""Forks warm Python workers."""


def _forget_all() -> None:
    for launcher in (programs, workers):
        launcher.forget()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(workers.close)
atexit.register(programs.close)
