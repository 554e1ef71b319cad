"""The process that starts the programs of an executor and ends them when the executor is gone.

It runs as a script beside each executor (see `launcher.py`), in a session of its own, and has two forms:

    python -I -S -E guardian.py      starts programs; loads nothing but a little of the standard library
    python -P guardian.py --warm     loads Kurt once and forks warm Python workers (see `child.py`)

Standard input is a socket to the executor. The guardian learns of everything it has to end before it starts it,
and the end of the socket is the end of the executor, also after `kill -9`: it then kills every process group that
it has started. So no step outlives its executor and runs beside its own repetition. A process that leaves its
group (a daemon) escapes; nothing portable can hold it.

A message is a length of four bytes and JSON text. Requests:

    {"op": "warm", "path": [...], "modules": [...]}   first, to the warm form only: its `sys.path`, what to import
    {"op": "spawn", "id", "argv", "env", "cwd", "memory", "cpu"}  with the descriptors for 0, 1 and 2
    {"op": "fork", "id"}                              with the descriptors of the worker's socket and output
    {"op": "signal", "id", "signal"}                  to the process group
    {"op": "end", "id"}                               kill what is left of the group and forget it

Answers: `{"id", "pid"}` or `{"id", "error", "stage"}` to what starts something, later `{"id", "exit"}`.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import math
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

HEADER = struct.Struct(">I")
_DESCRIPTORS = 3
_END_LIMIT = 1.0  # seconds; a killed process is gone much sooner, unless its disk hangs
_PATIENT = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)  # meant for the executor, whose end tells us enough
_RESET = (*_PATIENT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)


class GoneError(Exception):
    """The executor has closed its end."""


def main() -> None:
    """Serve the executor on standard input until it is gone."""
    guardian = Guardian(socket.socket(fileno=0), warm="--warm" in sys.argv)
    try:
        guardian.serve()
    except (GoneError, OSError):
        guardian.end_all()
    os._exit(0)  # nothing to clean up, and no worker's exit handlers to run


class Guardian:
    """The children of one executor.

    Attributes:
        groups: process group by the id that the executor gave it; the group's id is its leader's process id.
        alive: ids whose leader has not ended.
        unwanted: ids that are forgotten as soon as their leader has ended.
    """

    def __init__(self, link: socket.socket, *, warm: bool) -> None:
        self.groups: dict[int, int] = {}
        self.alive: set[int] = set()
        self.unwanted: set[int] = set()
        self._link = link
        self._warm = warm
        self._woken, self._wake = os.pipe()

    def serve(self) -> None:
        """Answer requests and report ends, for ever.

        Raises:
            GoneError: the executor has closed its end.
        """
        os.set_inheritable(self._link.fileno(), False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (*_PATIENT, signal.SIGCHLD):
            signal.signal(number, _ignore)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if self._warm:
            _load(receive(self._link)[0])
        while True:
            ready, _, _ = select.select([self._link, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._link in ready:
                self._answer(*receive(self._link))

    def end_all(self) -> None:
        """Kill every process group that is still known, and wait a moment until they are gone."""
        for identity in list(self.groups):
            self._end(identity)
        limit = time.monotonic() + _END_LIMIT
        while self.alive and time.monotonic() < limit:
            if select.select([self._woken], [], [], 0.05)[0]:
                os.read(self._woken, 4096)
            for identity in list(self.alive):
                if os.waitpid(self.groups[identity], os.WNOHANG)[0]:
                    self.alive.discard(identity)

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> None:
        operation, identity = request["op"], request["id"]
        if operation in {"spawn", "fork"}:
            try:
                self._start(request, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        elif operation == "signal" and identity in self.groups:
            _kill(self.groups[identity], request["signal"])
        elif operation == "end":
            self._end(identity)

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Fork; the child reports a failure through a pipe that closes when its program has started."""
        identity = request["id"]
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(reading)
            os.close(writing)
            self._send({"id": identity, "error": error.errno, "stage": "fork"})
            return
        if pid == 0:
            os.close(reading)
            self._become(request, descriptors, writing)
        os.close(writing)
        self.groups[identity] = pid
        self.alive.add(identity)
        with os.fdopen(reading, "rb") as report:
            failure = report.read()
        if failure:
            os.waitpid(pid, 0)
            self.groups.pop(identity)
            self.alive.discard(identity)
            self._send({"id": identity, **json.loads(failure)})
        else:
            self._send({"id": identity, "pid": pid})

    def _become(self, request: dict[str, Any], descriptors: list[int], report: int) -> NoReturn:
        """In the child: become the program or the worker."""
        stage = "start"
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in _RESET:
                signal.signal(number, signal.SIG_DFL)
            if request["op"] == "fork":
                self._work(descriptors, report)
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
            stage = "cwd"
            os.chdir(request["cwd"])
            stage = "limits"
            if request["memory"] or request["cpu"]:
                _limit(request["memory"], request["cpu"])
            stage = "exec"
            os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - what a guardian is for
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or errno.EINVAL
            os.write(report, json.dumps({"error": number, "stage": stage}).encode())
        finally:
            os._exit(127)  # also after an error of ours: the child must never go on as a second guardian

    def _work(self, descriptors: list[int], report: int) -> NoReturn:
        """In the child: serve tasks as a warm worker."""
        link, output = descriptors
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for standard, descriptor in enumerate((nowhere, output, output)):
            os.dup2(descriptor, standard)
        for descriptor in (nowhere, output, self._woken, self._wake, report):
            os.close(descriptor)
        importlib.import_module("kurt.engine.processes.child").serve(link)
        os._exit(0)

    def _reap(self) -> None:
        for identity in list(self.alive):
            pid, status = os.waitpid(self.groups[identity], os.WNOHANG)
            if not pid:
                continue
            self.alive.discard(identity)
            if self._warm or identity in self.unwanted:  # nobody waits for what a dead worker has left behind
                self._end(identity)
            self._send({"id": identity, "exit": os.waitstatus_to_exitcode(status)})

    def _end(self, identity: int) -> None:
        group = self.groups.get(identity)
        if group is None:
            return
        _kill(group, signal.SIGKILL)
        if identity in self.alive:
            self.unwanted.add(identity)
        else:
            del self.groups[identity]
            self.unwanted.discard(identity)

    def _send(self, answer: dict[str, Any]) -> None:
        send(self._link, answer)


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes."""
    body = json.dumps(message).encode()
    return HEADER.pack(len(body)) + body


def send(link: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    """Send a message and descriptors with it.

    Raises:
        OSError: the other end is gone.
    """
    data = pack(message)
    if descriptors:  # with the header alone, so that the reader gets them with its first four bytes
        socket.send_fds(link, [data[: HEADER.size]], descriptors)
        data = data[HEADER.size :]
    link.sendall(data)


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors that came with it, which children do not inherit.

    Raises:
        GoneError: the other end is closed.
    """
    header, descriptors, _, _ = socket.recv_fds(link, HEADER.size, _DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    header += _read(link, HEADER.size - len(header))
    return json.loads(_read(link, HEADER.unpack(header)[0])), descriptors


def _read(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise GoneError
        data += part
    return bytes(data)


def _load(request: dict[str, Any]) -> None:
    """Import once what every worker needs; one that cannot be imported fails in the task that needs it."""
    sys.path[:] = request["path"]
    for module in request["modules"]:
        with suppress(Exception):  # whatever an import raises
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the workers share these pages


def _limit(memory: int | None, cpu: float | None) -> None:
    import resource  # noqa: PLC0415 - only programs with limits pay for it

    wanted: list[tuple[int, int, int]] = []
    if memory is not None:
        wanted.append((resource.RLIMIT_AS, memory, memory))
    if cpu is not None:
        wanted.append((resource.RLIMIT_CPU, math.ceil(cpu), math.ceil(cpu) + 1))
    for kind, soft, hard in wanted:
        most = resource.getrlimit(kind)[1]
        if most == resource.RLIM_INFINITY:
            most = hard
        resource.setrlimit(kind, (min(soft, most), min(hard, most)))


def _kill(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, or nothing but zombies (macOS)
        os.killpg(group, number)


def _ignore(*_: object) -> None:
    """A handler, not SIG_IGN: a program that is started must not inherit the ignoring."""


if __name__ == "__main__":
    main()
