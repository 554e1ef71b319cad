"""The log file of a run: `.kurt/logs/workflow-<run id>.log`.

One line of text is one line of the file:

    2026-11-21T07:00:00.123Z INFO  [pages.fetch] 12 pages

Time is UTC, the part in brackets is the step's path, `-` for the run itself. Colours that programs print are kept; what
would move the cursor, change the terminal's title or reach its clipboard is not, so that a log can be shown.

Any number of threads and processes append to one log: each call writes all its lines by a single `write` to a file opened for
appending, which the kernel does not interleave. Nothing is buffered, so a killed process loses no line.

A log that grows beyond `LOG.MAX_BYTES` is moved to `<name>.log.1` (which replaces an older one) and begins
again with a line that says how many bytes came before. Positions in a log count from its very first byte,
so they stay valid through a rotation.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kurt.errors import StorageError
from kurt.runtime.terminal import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from kurt.config import Settings
    from kurt.runtime.masking import Masker

RUN_LABEL = "-"
"""What stands in the place of a step's path in lines of the run itself."""

_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR", "FATAL": "ERROR"}
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\w+) +\[((?:[^\[\]]|\[[^\]]*\])*)\] (.*)")
_CONTINUED = re.compile(rb"\S+ INFO  \[-\] log continues after (\d+) bytes")
_BLOCK = 64 * 1024
_PAGE = 1024 * 1024
_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # where nobody listens: standard error belongs to the command
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        at: UTC time in ISO 8601 with milliseconds; empty for a line that Kurt did not write.
        level: `DEBUG`, `INFO`, `WARN` or `ERROR`; empty likewise.
        label: the step's path, `-` for the run itself; empty likewise.
        text: what was logged, without the line's end.
    """

    at: str
    level: str
    label: str
    text: str

    def to_json(self) -> dict[str, str]:
        """The line as JSON: at, level, label, text."""
        return {"at": self.at, "level": self.level, "label": self.label, "text": self.text}


def log_path(settings: Settings, run_id: str) -> Path:
    """Where the log of a run is; an id chosen by a user cannot leave the folder of logs."""
    safe = re.sub(r"[^A-Za-z0-9._-]", lambda match: f"%{ord(match.group()):02X}", run_id)
    return settings.logs_dir / f"workflow-{safe[:200]}.log"


def open_log(settings: Settings, run_id: str, *, masker: Masker | None = None) -> RunLog:
    """The log of a run, ready for writing, with the size limit of the project's settings.

    Raises:
        StorageError: the file or its folder cannot be created.
    """
    limit = settings.get("LOG.MAX_BYTES")
    return RunLog(log_path(settings, run_id), masker, max_bytes=int(limit or 0))


class RunLog:
    """The writing end of one log.

    A full disk never stops a run: lines that cannot be written are counted, the first failure is reported
    through `logging`, and the log says how many are missing as soon as it can be written again.

    Attributes:
        path: the file.
        dropped: lines that could not be written since the last line that could.
    """

    def __init__(self, path: Path, masker: Masker | None = None, *, max_bytes: int = 0) -> None:
        """Open or create the log.

        Args:
            path: the file; missing folders are made.
            masker: hides secrets in whatever is written.
            max_bytes: size at which the file is rotated, 0 for never.

        Raises:
            StorageError: the file or its folder cannot be created.
        """
        self.path = path
        self.dropped = 0
        self._masker = masker
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise StorageError(
                f"the log {str(path)!r} cannot be written: {error.strerror}",
                hint=f"make the folder writable: {path.parent}",
            ) from error

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, level: str, label: str | None, text: str) -> None:
        """Append one line for each line of `text`; an empty text is one empty line.

        Args:
            level: `DEBUG`, `INFO`, `WARN` or `ERROR`; names of the standard library's levels are understood.
            label: path of the step, None for the run itself.
            text: what to log; secrets are masked.
        """
        rows = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
        if not text.isprintable():
            rows = [harmless(row) for row in rows]
        if self._masker is not None:
            rows = self._masker.mask("\n".join(rows)).split("\n")
        prefix = f"{_now()} {_LEVELS.get(level, level):<5} [{label or RUN_LABEL}] "
        data = "".join(f"{prefix}{row}\n" for row in rows).encode("utf-8", "backslashreplace")
        with self._lock:
            error = self._append(data, len(rows))
        if error is not None:  # told without the lock: what is logged may come back to this very log
            _log.warning("cannot write %s: %s", self.path, error.strerror)

    def hide(self, masker: Masker) -> None:
        """Mask with another masker from now on."""
        self._masker = masker

    def sync(self) -> None:
        """Have the disk keep what was written (a power cut loses nothing of it)."""
        with self._lock, suppress(OSError):  # a file system without fsync keeps what it can
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; writing afterwards is an error of the caller."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _append(self, data: bytes, rows: int) -> OSError | None:
        """Write; the error, when it is the first of several."""
        try:
            self._renew()
            if self.dropped:
                # The line's end in front closes a line that was cut short.
                lost = f"\n{_now()} WARN  [{RUN_LABEL}] {self.dropped} lines could not be written here\n"
                _write_all(self._fd, lost.encode())
                self.dropped = 0
            _write_all(self._fd, data)
        except OSError as error:
            first = not self.dropped
            self.dropped += rows
            return error if first else None
        return None

    def _renew(self) -> None:
        """Follow the path when another process rotated or removed the file; rotate it when it is large."""
        try:
            at_path = self.path.stat()
        except FileNotFoundError:
            at_path = None
        mine = os.fstat(self._fd)
        if at_path is None or not os.path.samestat(at_path, mine):
            self._reopen()
        elif 0 < self._max_bytes < at_path.st_size:
            _rotate(self.path, self._fd, self._max_bytes)
            self._reopen()

    def _reopen(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = os.open(self.path, _FLAGS, 0o644)
        os.close(self._fd)
        self._fd = fresh


def parse_line(line: str) -> LogLine:
    """The parts of one line of a log; a line of another origin has only `text`."""
    match = _LINE.fullmatch(line.rstrip("\n"))
    return LogLine(*match.groups()) if match else LogLine("", "", "", line.rstrip("\n"))


def read_lines(path: Path) -> Iterator[LogLine]:
    """All lines that are kept of a log, the rotated part first; nothing when there is no log."""
    for file in (_previous(path), path):
        with suppress(FileNotFoundError), file.open("rb") as stream:
            for line in stream:
                yield parse_line(line.decode("utf-8", "replace"))


def tail(path: Path, n: int) -> list[str]:
    """The last `n` lines, without their line ends; fewer when there are fewer, none without a log."""
    lines: list[str] = []
    offset = tail_offset(path, n)
    while True:
        more, offset = follow(path, offset)
        if not more:
            return lines[max(len(lines) - n, 0) :]
        lines += more


def tail_offset(path: Path, n: int) -> int:
    """The position at which the last `n` complete lines start, to be given to `follow`."""
    try:
        with path.open("rb") as stream:
            base = _base(stream)
            start, found = _start_of_last(stream, n)
    except FileNotFoundError:
        return 0
    if found < n and base:
        with suppress(FileNotFoundError), _previous(path).open("rb") as older:
            return _base(older) + _start_of_last(older, n - found)[0]
    return base + start


def follow(path: Path, offset: int = 0, *, limit: int = _PAGE) -> tuple[list[str], int]:
    """The complete lines from a position on, and the position after them.

    Args:
        path: the log; one that does not exist (yet) has no lines.
        offset: 0 for the start, or what an earlier call returned. Lines that a rotation has removed since
            are passed over; when the log was removed and begun anew, reading starts at its first line.
        limit: about how many bytes to read at most; a longer line is returned whole.
    """
    try:
        with path.open("rb") as stream:
            base = _base(stream)
            if offset < base and (earlier := _read_rotated(_previous(path), offset, base, limit)):
                return earlier
            if not base <= offset <= base + stream.seek(0, os.SEEK_END):
                offset = base
            data = _complete_lines(stream, offset - base, limit)
    except FileNotFoundError:
        return [], offset
    return _decode(data), offset + len(data)


def log_end(path: Path) -> int:
    """The position after the last byte of a log, 0 without one."""
    try:
        with path.open("rb") as stream:
            return _base(stream) + stream.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return 0


def next_line(path: Path, offset: int) -> int:
    """The position of the first line that starts at `offset` or later, as far as it is not rotated away."""
    with path.open("rb") as stream:
        base = _base(stream)
        stream.seek(max(offset - base - 1, 0))
        if offset > base:
            stream.readline()
        return base + stream.tell()


def _now() -> str:
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanos // 1_000_000:03d}Z"


def _write_all(fd: int, data: bytes) -> None:
    """One write as a rule; a signal or a nearly full disk may cut it short."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _rotate(path: Path, fd: int, max_bytes: int) -> None:
    """Move the log aside, unless another process just did; the path exists at every moment."""
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        mine, at_path = os.fstat(fd), path.stat()
        if not os.path.samestat(mine, at_path) or at_path.st_size <= max_bytes:
            return
        with path.open("rb") as stream:
            total = _base(stream) + at_path.st_size
        fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
        line = f"{_now()} INFO  [{RUN_LABEL}] log continues after {total} bytes in {_previous(path).name}\n"
        new = os.open(fresh, _FLAGS, 0o644)
        _write_all(new, line.encode())
        os.close(new)
        _previous(path).unlink(missing_ok=True)
        try:
            os.link(path, _previous(path))
        except OSError:  # a file system without hard links: for an instant there is no file
            path.replace(_previous(path))
        fresh.replace(path)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _base(stream: BinaryIO) -> int:
    """How many bytes of the log stood before this file; reads its first line."""
    stream.seek(0)
    match = _CONTINUED.match(stream.readline(200))
    return int(match.group(1)) if match else 0


def _start_of_last(stream: BinaryIO, n: int) -> tuple[int, int]:
    """Where the last `n` complete lines of a file start, and how many there are up to `n`."""
    found, position = 0, stream.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK)
        stream.seek(start)
        block = stream.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found > n:
                return start + at + 1, n
        position = start
    return 0, found


def _read_rotated(path: Path, offset: int, end: int, limit: int) -> tuple[list[str], int] | None:
    """Lines of the rotated part, which ends at position `end`; None when it has nothing (any more)."""
    try:
        with path.open("rb") as stream:
            base = _base(stream)
            start = max(offset, base)
            data = _complete_lines(stream, start - base, limit) if start < end else b""
    except FileNotFoundError:
        return None
    return (_decode(data), min(start + len(data), end)) if data else None


def _complete_lines(stream: BinaryIO, start: int, limit: int) -> bytes:
    """Whole lines from a place of the file on: about `limit` bytes, or one line when it is longer."""
    stream.seek(start)
    data = stream.read(limit)
    while b"\n" not in data and (more := stream.read(_BLOCK)):
        data += more
    return data[: data.rfind(b"\n") + 1]


def _decode(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").split("\n")[:-1]
