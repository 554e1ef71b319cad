"""What children print: lines for the run's log, masked, and the end of it for error messages."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from kurt.runtime.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_LIMIT = 8 * 1024
"""Bytes of one line that reach the log; the rest of it is left out."""

TAIL_LIMIT = 8 * 1024
"""Characters that `LineSink.tail` keeps."""

_SPELLING = 6  # a secret written with escapes may be this many times longer


class LineSink:
    """Takes bytes as they come and writes whole lines of masked text."""

    def __init__(self, write: Callable[[str], None], secrets: tuple[str, ...] = ()) -> None:
        """Start with an empty line.

        Args:
            write: called with one or more lines, joined by line feeds.
            secrets: values to hide.
        """
        self._write = write
        self._mask = masker(secrets).mask
        # A secret that the cut splits is no longer recognised: what could be its beginning goes too.
        self._margin = _SPELLING * max(map(len, secrets), default=0)
        self._rest = b""
        self._dropped = 0
        self._tail: deque[str] = deque()
        self._tail_size = 0

    @property
    def tail(self) -> str:
        """The last lines, at most `TAIL_LIMIT` characters."""
        return "\n".join(self._tail)[-TAIL_LIMIT:]

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        first, *lines = data.split(b"\n")
        self._keep(first)
        if lines:
            rest = lines.pop()
            self._emit([self._flush(), *(self._shown(line, len(line)) for line in lines)])
            self._keep(rest)

    def close(self) -> None:
        """Write the last line, if it has no line feed."""
        if self._rest:
            self._emit([self._flush()])

    def _keep(self, part: bytes) -> None:
        """Remember the beginning of a line, at most as much of it as can be shown."""
        room = LINE_LIMIT + self._margin - len(self._rest)
        self._rest += part[:room]
        self._dropped += max(len(part) - room, 0)

    def _flush(self) -> str:
        text = self._shown(self._rest, len(self._rest) + self._dropped)
        self._rest, self._dropped = b"", 0
        return text

    def _shown(self, line: bytes, size: int) -> str:
        if size <= LINE_LIMIT:
            return self._mask(_decode(line))
        masked = self._mask(_decode(line[: LINE_LIMIT + self._margin]))
        return f"{masked[: max(0, len(masked) - self._margin)][:LINE_LIMIT]} ... ({size} bytes in this line)"

    def _emit(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        self._remember(text)
        self._write(text)

    def _remember(self, text: str) -> None:
        self._tail.append(text[-TAIL_LIMIT:])
        self._tail_size += len(self._tail[-1]) + 1
        while self._tail_size - len(self._tail[0]) - 1 >= TAIL_LIMIT:
            self._tail_size -= len(self._tail.popleft()) + 1


@lru_cache(maxsize=16)
def masker(secrets: tuple[str, ...]) -> Masker:
    """The masker of these secrets; one run's steps share it."""
    return Masker(secrets)


def _decode(line: bytes) -> str:
    """The text of a line as a terminal would show it: what was overwritten after a carriage return is gone."""
    if b"\r" in line:
        line = line.rstrip(b"\r").rpartition(b"\r")[2]
    return line.decode("utf-8", "replace")
