"""Running a program for a step: its process group, its limits, its output."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from kurt.engine.processes import launcher
from kurt.engine.processes.output import LineSink
from kurt.errors import StepError, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from kurt.engine.processes.surroundings import Surroundings

ARGUMENT_LIMIT = 100 * 1024
"""Bytes of one argument or environment variable; Linux refuses 128 KiB."""

STDOUT_LIMIT = 64 * 1024 * 1024
"""Bytes of standard output that are kept."""

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

_LINGER = 0.5  # seconds in which what a program left running may still write
_OUT_OF_CPU = (-signal.SIGXCPU, 128 + signal.SIGXCPU)  # itself, and as a shell reports it
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended.

    Attributes:
        exit_code: its exit status; the negative number of the signal that ended it.
        stdout: all that it wrote to standard output.
        stderr: the last lines that it wrote to standard error, at most 8 KiB, masked.
        duration: seconds.
    """

    exit_code: int
    stdout: bytes
    stderr: str
    duration: float


async def run_program(
    command: Sequence[str] | str,
    around: Surroundings,
    *,
    stdin: bytes | None = None,
    stdout_limit: int = STDOUT_LIMIT,
) -> ProgramResult:
    """Run a program to its end, in a process group that never outlives this process.

    On a time-out, on cancellation and at the end, whatever is left of the group is ended.

    Args:
        command: the program and its arguments; a text is given to `sh -c`.
        around: environment, folder, limits, secrets, log. The memory limit counts address space.
        stdin: what it reads from standard input, of any size; None for an empty one.
        stdout_limit: bytes of standard output that are accepted.

    Raises:
        StepError: it cannot be started, or wrote more than `stdout_limit`; type `ProgramNotFound`,
            `ProgramNotStarted`, `ArgumentTooLong`, `OutputTooLarge`, `CpuLimit` or `GuardianLost`.
        StepTimeoutError: it took longer than `limits.timeout`.
    """
    argv = [*_SHELL, command] if isinstance(command, str) else list(command)
    check_arguments(argv, around.env)
    program = _Program(argv, around, stdout_limit)
    started = time.monotonic()
    try:
        async with asyncio.timeout(around.limits.timeout):
            await program.start(stdin)
            exit_code = await program.finish()
    except TimeoutError:
        raise StepTimeoutError(
            f"{argv[0]!r} took longer than {around.limits.timeout:g} s",
            hint="raise the step's `timeout`",
            details={"stderr": program.errors.tail},
        ) from None
    except launcher.GuardianLostError as error:
        raise StepError(f"{argv[0]!r} was ended: {error}", type="GuardianLost") from error
    finally:
        await uninterrupted(program.stop())
    return ProgramResult(exit_code, program.capture.data(), program.errors.tail, time.monotonic() - started)


def check_arguments(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse what no program can be given.

    Raises:
        StepError: an argument or variable is too long (`ArgumentTooLong`) or holds a NUL character.
    """
    words = [(f"argument {number}", word) for number, word in enumerate(argv)]
    words += [(f"the variable {name!r}", value) for name, value in env.items()]
    for what, word in words:
        if len(word) * 4 > ARGUMENT_LIMIT and len(os.fsencode(word)) > ARGUMENT_LIMIT:
            raise StepError(
                f"{what} has more than {ARGUMENT_LIMIT // 1024} KiB, which no program can be given",
                type="ArgumentTooLong",
                hint="pass the value by `stdin`",
            )
        if "\0" in word:
            raise StepError(
                f"{what} holds a NUL character", type="ProgramNotStarted", hint="pass the value by `stdin`"
            )


class _Program:
    """One program from start to end."""

    def __init__(self, argv: list[str], around: Surroundings, stdout_limit: int) -> None:
        def write(text: str) -> None:
            around.log("INFO", text)

        self.errors = LineSink(write, around.secrets)
        self.capture = _Capture(stdout_limit, LineSink(write, around.secrets))
        self._argv = argv
        self._around = around
        self._limits = around.limits
        self._child: launcher.Child | None = None
        self._pipes: list[_Pipe] = []

    async def start(self, stdin: bytes | None) -> None:
        request = {
            "op": "spawn",
            "argv": self._argv,
            "env": dict(self._around.env),
            "cwd": str(self._around.cwd.absolute()),
            "memory": self._around.memory_limit(),
            "cpu": self._limits.cpu,
        }
        with ExitStack() as closing:
            source = closing.enter_context(_source(stdin))
            out = await self._pipe(self.capture.feed, closing)
            err = await self._pipe(self.errors.feed, closing)
            self._child = launcher.programs.launch(request, [source.fileno(), out, err])
        try:
            await self._child.start()
        except launcher.LaunchError as error:
            self._child = None
            raise _not_started(self._argv[0], self._around.cwd, error) from error

    async def finish(self) -> int:
        """Wait for the end of the program, then a little for what it left running."""
        assert self._child is not None  # noqa: S101 - `start` came first
        ended = asyncio.ensure_future(self._child.wait())
        full = asyncio.ensure_future(self.capture.full.wait())
        try:
            await asyncio.wait([ended, full], return_when=asyncio.FIRST_COMPLETED)
            if full.done():
                raise self.capture.error()
            exit_code = await ended
        finally:
            ended.cancel()
            full.cancel()
        await self._drained()
        if self.capture.full.is_set():
            raise self.capture.error()
        if exit_code in _OUT_OF_CPU and self._limits.cpu is not None:
            raise StepError(
                f"{self._argv[0]!r} used more than {self._limits.cpu:g} s of processor time",
                type="CpuLimit",
                hint="raise `limits.cpu`",
                details={"exit_code": exit_code, "stderr": self.errors.tail},
            )
        assert exit_code is not None  # noqa: S101 - there was no limit
        return exit_code

    async def stop(self) -> None:
        """End what still runs and let go of the pipes."""
        if self._child is not None:
            with suppress(launcher.GuardianLostError):  # it was killed then
                await self._end(self._child)
        for pipe in self._pipes:
            pipe.close()
        self.capture.lines.close()
        self.errors.close()

    async def _end(self, child: launcher.Child) -> None:
        if not child.exited.done():
            child.signal(signal.SIGTERM)
            await child.wait(GRACE)
        child.end()
        await child.wait(GRACE)
        await self._drained()

    async def _drained(self) -> None:
        """Wait for the ends of the pipes: at once, unless something still holds them."""
        if self._pipes:
            await asyncio.wait([pipe.ended for pipe in self._pipes], timeout=_LINGER)

    async def _pipe(self, feed: Callable[[bytes], None], closing: ExitStack) -> int:
        """A pipe that feeds what is written to it; returns its writing end."""
        reading, writing = os.pipe()
        closing.callback(os.close, writing)
        pipe = _Pipe(feed)
        self._pipes.append(pipe)
        await asyncio.get_running_loop().connect_read_pipe(lambda: pipe, os.fdopen(reading, "rb", 0))
        return writing


class _Pipe(asyncio.Protocol):
    """The reading end of a child's standard output or error."""

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._feed = feed
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Capture:
    """Standard output: kept up to a limit, and passed on line by line."""

    def __init__(self, limit: int, lines: LineSink) -> None:
        self.full = asyncio.Event()
        self.lines = lines
        self._limit = limit
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        if self.full.is_set():
            return
        self._data += data
        self.lines.feed(data)
        if len(self._data) > self._limit:
            self.full.set()

    def data(self) -> bytes:
        return bytes(self._data)

    def error(self) -> StepError:
        return StepError(
            f"the program wrote more than {self._limit // (1024 * 1024)} MiB to standard output",
            type="OutputTooLarge",
            hint="have it write a file and print the file's path",
        )


def _source(data: bytes | None) -> IO[bytes]:
    """Standard input: a file that has no name any more, so that no size can block anybody."""
    if data is None:
        return open(os.devnull, "rb")  # noqa: PTH123 - the caller closes it
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _not_started(program: str, cwd: Path, error: launcher.LaunchError) -> StepError:
    if error.stage == "cwd":
        return StepError(
            f"the folder {str(cwd)!r} cannot be entered: {error.strerror}", type="ProgramNotStarted"
        )
    if error.stage == "limits":
        return StepError(
            f"the limits cannot be set: {error.strerror}",
            type="ProgramNotStarted",
            hint="change `limits` of the step",
        )
    if error.stage == "exec" and error.errno == errno.ENOENT:
        return StepError(
            f"there is no program {program!r}",
            type="ProgramNotFound",
            hint="install it, or write its whole path",
        )
    hints = {
        errno.EACCES: f"make it executable: chmod +x {program}",
        errno.ENOEXEC: "its first line must name its interpreter, such as `#!/bin/sh`",
        errno.E2BIG: "arguments and environment are too large together: pass values by `stdin`",
    }
    return StepError(
        f"{program!r} cannot be started: {error.strerror}",
        type="ProgramNotStarted",
        hint=hints.get(error.errno or 0),
    )


async def uninterrupted(work: Coroutine[None, None, None]) -> None:
    """Await work to its end, also while this task is cancelled; the cancellation then follows."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
