"""A warm Python worker: does the tasks of its executor, one after another (see `pool.py`).

A task is `{"target", "payload", "env", "cwd", "root", "memory", "cpu", "mark"}`: the function `target` is called with the
payload. The reply is `{"result"}` or `{"error": {"type", "message", "hint", "details"}}`, with `"retire": true`
when the task has left threads or processes behind. What it prints goes to a pipe that the executor reads, and so do
its log records, in their place: as lines that begin with the task's `mark` and the level.
"""

from __future__ import annotations

import contextvars
import ctypes
import importlib
import json
import logging
import os
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kurt.engine.processes import guardian
from kurt.engine.processes.sandbox import ProjectModules, clean_slate, leftovers, limited
from kurt.engine.processes.values import encode
from kurt.errors import KurtError, StepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.types import Json

TRACEBACK_LIMIT = 4 * 1024
"""Characters of a traceback that go into an error's details, counted from its end."""

_OWN_FILES = ("child.py", "tasks.py")


def serve(descriptor: int) -> None:
    """Do the tasks that come from a socket until its other end is closed."""
    Worker(socket.socket(fileno=descriptor)).serve()


class Worker:
    """The worker's end of the socket and its standard streams."""

    def __init__(self, link: socket.socket) -> None:
        os.set_inheritable(link.fileno(), False)
        self._link = link
        # Copies that no child inherits: a task may do what it likes with 0, 1 and 2.
        self._standard = [os.dup(descriptor) for descriptor in range(3)]
        self._modules = ProjectModules()
        self._flush_c = ctypes.CDLL(None).fflush

    def serve(self) -> None:
        """Do tasks until the executor closes its end."""
        while True:
            try:
                task, _ = guardian.receive(self._link)
                self._reply(self._run(task))
            except (guardian.GoneError, OSError):
                return

    def _run(self, task: dict[str, Any]) -> str:
        """Do one task and return the reply's JSON text."""
        self._renew_streams()
        try:
            with clean_slate(task["env"], task["cwd"], task["root"]):
                self._modules.refresh(task["root"])
                logging.getLogger().handlers[:] = [_ToExecutor(self._standard[1], task["mark"])]
                logging.getLogger().setLevel(logging.INFO)
                began = time.time()
                try:
                    with limited(task["memory"], task["cpu"]):
                        value = contextvars.copy_context().run(_call, task["target"], task["payload"])
                    text = f'{{"result": {encode(value)}'
                finally:
                    self._modules.note(began)
                    self._flush()
        except BaseException as error:  # noqa: BLE001 - whatever a task raises, also SystemExit, is its result
            text = f'{{"error": {json.dumps(describe(error), default=repr)}'
        return f'{text}, "retire": {"true" if leftovers() else "false"}}}'

    def _reply(self, text: str) -> None:
        body = text.encode()
        self._link.sendall(guardian.HEADER.pack(len(body)) + body)

    def _renew_streams(self) -> None:
        for standard, kept in enumerate(self._standard):
            os.dup2(kept, standard)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the task's
        sys.stdout = sys.__stdout__ = _stream(1)
        sys.stderr = sys.__stderr__ = _stream(2)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with suppress(Exception):  # whatever a task has put in its place may raise anything
                stream.flush()  # pyright: ignore[reportOptionalMemberAccess] - None raises what is suppressed
        self._flush_c(None)


class _ToExecutor(logging.Handler):
    """Writes log records among what is printed, so that they keep their place."""

    def __init__(self, output: int, mark: str) -> None:
        super().__init__()
        self._output = output
        self._mark = mark
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            start = f"{self._mark}{record.levelname} "
            text = "".join(f"{start}{line}\n" for line in self.format(record).split("\n"))
            sys.stdout.flush()
            sys.stderr.flush()
            _write(self._output, text.encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - a handler must not raise; logging has its own way to report this
            self.handleError(record)


def describe(error: BaseException) -> dict[str, Any]:
    """An error as the JSON object that a worker replies with: type, message, hint, details."""
    if isinstance(error, StepError):
        return {"type": error.type, "message": error.message, "hint": error.hint, "details": error.details}
    details: dict[str, Any] = {"traceback": tail_of_traceback(error)}
    if isinstance(error, KurtError):
        return {"type": error.code, "message": error.message, "hint": error.hint, "details": {}}
    if isinstance(error, SystemExit):
        message = f"it called exit with {error.code!r}"
    else:
        message = str(error) or type(error).__name__
    return {"type": type(error).__name__, "message": message, "hint": None, "details": details}


def tail_of_traceback(error: BaseException) -> str:
    """The end of an error's traceback, without the frames of this machinery."""
    summary = traceback.TracebackException.from_exception(error)
    own = {str(Path(__file__).with_name(name)) for name in _OWN_FILES}
    frames = [frame for frame in summary.stack if frame.filename not in own]
    summary.stack = traceback.StackSummary.from_list(frames)
    return "".join(summary.format())[-TRACEBACK_LIMIT:]


def resolve(target: str) -> Callable[..., Any]:
    """The function that `package.module:name` means.

    Raises:
        StepError: the module or the name does not exist; type `TargetNotFound`.
    """
    module_name, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, one that it imports does not
        raise StepError(
            f"there is no module {error.name!r} for {target!r}",
            type="TargetNotFound",
            hint="modules are looked for in the project's folder and among the installed packages",
        ) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise StepError(f"{module_name!r} has no {name!r}", type="TargetNotFound") from error
    if not callable(found):
        raise StepError(f"{target!r} is not a function", type="TargetNotFound")
    return found


def _call(target: str, payload: Json) -> Any:
    return resolve(target)(payload)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
