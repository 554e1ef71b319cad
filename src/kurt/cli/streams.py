"""stdin and stdout of commands that run inside this process, several of them at once in different threads.

While a command is `captured`, `sys.stdin` and `sys.stdout` are stand-ins that look up whose turn it is in a context
variable: each command reads its own input and writes its own output, everybody else the real ones.
"""

from __future__ import annotations

import io
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Generator


class Capture:
    """What one command reads and has written.

    Attributes:
        stdin: what it reads, or None for the process's own stdin.
        echo: whether its output goes to the process's stdout as well.
    """

    def __init__(self, stdin: str | None, echo: bool) -> None:
        self.stdin = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
        self.echo = echo
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        """Keep a piece of output."""
        self._pieces.append(text)

    def text(self) -> str:
        """All output so far."""
        return "".join(self._pieces)


_capture: ContextVar[Capture | None] = ContextVar("kurt_capture", default=None)
_lock = threading.Lock()
_users = 0
_real: tuple[TextIO, TextIO] | None = None


@contextmanager
def captured(*, stdin: str | None = None, echo: bool = True) -> Generator[Capture]:
    """Keep what the code inside, and only that, writes to stdout.

    Args:
        stdin: what it finds on stdin; the process's own by default.
        echo: whether the output goes to stdout all the same.
    """
    capture = Capture(stdin, echo)
    _install()
    token = _capture.set(capture)
    try:
        yield capture
    finally:
        _capture.reset(token)
        _uninstall()


def _install() -> None:
    global _users, _real  # noqa: PLW0603 - the streams belong to the process, so does what stands in for them
    with _lock:
        _users += 1
        if _users == 1:
            _real = (sys.stdin, sys.stdout)
            sys.stdin, sys.stdout = _Input(sys.stdin), _Output(sys.stdout)


def _uninstall() -> None:
    global _users, _real  # noqa: PLW0603 - see above
    with _lock:
        _users -= 1
        if _users == 0 and _real is not None:
            sys.stdin, sys.stdout = _real
            _real = None


class _Input(io.TextIOBase):
    """stdin: the command's own if it has one."""

    def __init__(self, real: TextIO) -> None:
        self._real = real

    @property
    def _stream(self) -> Any:
        capture = _capture.get()
        return capture.stdin if capture is not None and capture.stdin is not None else self._real

    @property
    def buffer(self) -> Any:
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - read-only for us
        return str(self._stream.encoding)

    def read(self, size: int | None = -1, /) -> str:
        return self._stream.read(size)

    def readline(self, size: int = -1, /) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - as in TextIO
        return self._stream.readline(size)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return bool(self._stream.isatty())


class _Output(io.TextIOBase):
    """stdout: kept for the command that is captured."""

    def __init__(self, real: TextIO) -> None:
        self._real = real
        self.buffer = _Bytes(self)

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - read-only for us
        return "utf-8" if _capture.get() is not None else self._real.encoding

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - click finds out by trying
            raise TypeError(f"write() takes a str, not {type(text).__name__}")
        capture = _capture.get()
        if capture is not None:
            capture.add(text)
        if capture is None or capture.echo:
            self._real.write(text)
        return len(text)

    def flush(self) -> None:
        if not self._real.closed:  # when this object is collected, the real one may be gone already
            self._real.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._real.fileno()

    def isatty(self) -> bool:
        return _capture.get() is None and self._real.isatty()


class _Bytes(io.RawIOBase):
    """The binary side of stdout."""

    def __init__(self, text: _Output) -> None:
        self._text = text

    def write(self, data: Any, /) -> int:
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._text.flush()

    def writable(self) -> bool:
        return True
