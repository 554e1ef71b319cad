"""Starting the processes of cases quickly: one process loads Kurt, and each case is a fork of it.

    python -P -m kurt.app.cases.server

Requests come as lines of JSON on stdin: `{"id", "folder", "environment", "order", "result", "output"}`. Answers go to
stdout: `{"id", "pid"}` when the process of the case has begun, in a session of its own, and `{"id", "exit"}` when it is
over. Forking is safe here, for this process has one thread and no connection; it ends with its stdin.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kurt.app.cases.child import end_session, perform

if TYPE_CHECKING:
    from kurt.types import JsonObject

_LOOK_EVERY = 0.02
"""Seconds between two looks for cases that are over."""

_MOST = 1 << 20


def main() -> None:
    """Serve until stdin ends."""
    _preload()
    running: dict[int, int] = {}
    rest = b""
    while True:
        _reap(running)
        ready, _, _ = select.select([0], [], [], _LOOK_EVERY if running else None)
        if not ready:
            continue
        data = os.read(0, _MOST)
        if not data:
            _end(running)
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = _begin(request)
            running[pid] = request["id"]
            _tell({"id": request["id"], "pid": pid})


def _preload() -> None:
    """Load what every case needs; whatever is loaded now costs each of them nothing."""
    from kurt.app import foreground  # noqa: PLC0415 - only this process loads it before it is needed
    from kurt.db import migrate  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above

    _ = (foreground, migrate)
    for info in kinds(None).values():
        info.kind.Model.model_json_schema()  # builds what checks the fields
    gc.collect()
    gc.freeze()


def _begin(request: JsonObject) -> int:
    """Fork the process of a case; its id."""
    pid = os.fork()
    if pid == 0:
        _perform(request)
    return pid


def _perform(request: JsonObject) -> NoReturn:
    try:
        _become(request)
        perform(Path(request["order"]), Path(request["result"]))
    except BaseException:  # noqa: BLE001 - nothing of a case may come back into the server's loop
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    end_session()


def _become(request: JsonObject) -> None:
    """Be a process of its own, in its folder, with its environment and its output."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])


def _reap(running: dict[int, int]) -> None:
    """Tell of the cases that are over."""
    for pid in list(running):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            _tell({"id": running.pop(pid), "exit": os.waitstatus_to_exitcode(status)})


def _end(running: dict[int, int]) -> None:
    for pid in running:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _tell(answer: JsonObject) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
