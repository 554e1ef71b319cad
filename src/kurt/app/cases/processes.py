"""The processes of cases, as the command that runs them sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WAIT = 10.0


@dataclass(slots=True)
class _Process:
    """A case at work.

    Attributes:
        pid: its process, None until that has begun.
        exit: its exit code, None until it is over; of a process that was killed the negative number of the signal.
        over: set with it.
    """

    pid: int | None = None
    exit: int | None = None
    over: threading.Event = field(default_factory=threading.Event)


class CaseProcesses:
    """Starts a process for each case, by a server that has loaded Kurt; see `kurt.app.cases.server`."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-m", "kurt.app.cases.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._processes: dict[int, _Process] = {}
        self._listener = threading.Thread(target=self._listen, name="kurt-cases", daemon=True)
        self._listener.start()

    def run(
        self, folder: Path, files: Mapping[str, Path], environment: Mapping[str, str], limit: float
    ) -> int | None:
        """Do a job in a process of its own; its exit code, None if it was ended because it took too long.

        Args:
            folder: where it works.
            files: `order`, what it does; `result`, where it writes what came of it; `output`, what it prints.
            environment: all its variables.
            limit: seconds that it may take.
        """
        process = _Process()
        with self._lock:
            number = len(self._processes)
            self._processes[number] = process
            paths = {name: str(path) for name, path in files.items()}
            request = {"id": number, "folder": str(folder), "environment": dict(environment), **paths}
            self._send(request, process)
        if process.over.wait(limit):
            return process.exit
        _kill(process.pid)
        process.over.wait(_WAIT)
        return None

    def _send(self, request: object, process: _Process) -> None:
        stream = self._server.stdin
        try:
            if stream is not None:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
        except OSError:  # the server has died
            _finish(process, -1)

    def _listen(self) -> None:
        """Note what the server tells; when it ends, nothing is at work any more."""
        for line in self._server.stdout or ():
            told = json.loads(line)
            process = self._processes[told["id"]]
            if "pid" in told:
                process.pid = told["pid"]
            else:
                _finish(process, told["exit"])
        with self._lock:
            for process in self._processes.values():
                if not process.over.is_set():
                    _finish(process, -1)

    def close(self) -> None:
        """End all processes, and the server."""
        for process in list(self._processes.values()):
            if not process.over.is_set():
                _kill(process.pid)
        with suppress(OSError):
            if self._server.stdin is not None:
                self._server.stdin.close()
        try:
            self._server.wait(_WAIT)
        except subprocess.TimeoutExpired:
            _kill(self._server.pid)
            self._server.wait()
        self._listener.join(_WAIT)
        if self._server.stdout is not None and not self._listener.is_alive():
            self._server.stdout.close()


def _finish(process: _Process, code: int) -> None:
    process.exit = code
    process.over.set()


def _kill(pid: int | None) -> None:
    """End a process with all that it has started."""
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
