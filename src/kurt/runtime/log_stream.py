"""The stream `logs` of a run: a copy of its log file, for machines that do not have the file.

Each item is a piece of one file:

    {"log": "<run>@<file>", "host": "a", "start": 0, "end": 812, "lines": ["2026-11-21T07:00:00.123Z INFO ...", ...]}

`start` and `end` are positions in the file. Every executor of a run sends what its own file holds beyond the last piece
that is stored of it, so an executor that takes over on the same machine sends what a killed one left behind, and nothing
twice; the last lines of a machine that is gone are in its file alone. Of a long log the stream has the first
`STREAM_LIMIT` bytes and, once the run is over, the last `LAST_BYTES`.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.runtime.logs import follow, log_end, next_line
from kurt.runtime.names import LOGS_STREAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kurt.runtime.runs import RunReader
    from kurt.types import JsonObject

STREAM_LIMIT = 4 * 1024 * 1024
"""Bytes from the beginning of a log that its stream holds."""

LAST_BYTES = 256 * 1024
"""Bytes from the end of a longer log that its stream holds too."""

PIECE_BYTES = 128 * 1024
"""About how many bytes one item holds."""

_LOCAL = "local"
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log file.

    Attributes:
        log: the file, see `log_id`.
        host: name of the machine that has it.
        start: position of its first byte.
        end: position after its last byte.
        lines: its lines.
    """

    log: str
    host: str
    start: int
    end: int
    lines: list[str]

    def to_json(self) -> JsonObject:
        """The piece as it is stored."""
        return {
            "log": self.log,
            "host": self.host,
            "start": self.start,
            "end": self.end,
            "lines": list(self.lines),
        }


def log_id(run_id: str, path: Path, *, shared: bool) -> str:
    """Which file this is among those that machines may have of a run.

    Args:
        run_id: the run.
        path: its log on this machine.
        shared: whether other machines may use the database; without them a project has one log of each run, wherever
            its folder is moved.
    """
    if not shared:
        return f"{run_id}@{_LOCAL}"
    place = f"{socket.gethostname()}:{os.path.realpath(path)}"
    return f"{run_id}@{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def stored_form(log: str) -> str:
    """What the stored text of each piece of a log holds, and that of no other."""
    return f'"log":"{log}"'


def new_pieces(path: Path, log: str, sent: int, *, over: bool) -> Iterator[Piece]:
    """What is to be sent of a log file.

    Args:
        path: the log.
        log: id of that file.
        sent: end of the last piece that is stored.
        over: whether the run is over, so that the end of a long log is sent too.
    """
    host = socket.gethostname()
    start = sent
    while start < STREAM_LIMIT:
        lines, end = follow(path, start, limit=min(PIECE_BYTES, STREAM_LIMIT - start))
        if not lines:
            return
        yield Piece(log, host, min(start, end), end, lines)
        start = end
    if over:
        yield from _last(path, log, host, start)


def _last(path: Path, log: str, host: str, start: int) -> Iterator[Piece]:
    """The end of a long log; it begins with a whole line."""
    end = log_end(path)
    if end <= start:
        return
    if end - start > LAST_BYTES:
        start = next_line(path, end - LAST_BYTES)
    while (read := follow(path, start, limit=PIECE_BYTES))[0]:
        yield Piece(log, host, start, read[1], read[0])
        start = read[1]


class StoredLog:
    """Reads the stored copies of a run's logs, page by page.

    Args:
        reader: of the project's database.
        run_id: the run.
        without: id of a log that is not wanted, because its file is here.
    """

    def __init__(self, reader: RunReader, run_id: str, *, without: str | None = None) -> None:
        self._reader = reader
        self._run_id = run_id
        self._without = without
        self._offset = 0
        self._ends: dict[str, int] = {}

    def new_lines(self) -> list[str]:
        """The lines that were stored since the last call."""
        return [line for piece in self._new() for line in self._lines(piece)]

    def _new(self) -> Iterator[Piece]:
        unwanted = stored_form(self._without) if self._without else None
        while True:
            page = self._reader.stream(self._run_id, LOGS_STREAM, self._offset, _PAGE, without=unwanted)
            self._offset = page.next_offset
            for item in page.items:
                if (piece := _piece(item, self._run_id)) is not None:
                    yield piece
            if not page.has_more:
                return

    def _lines(self, piece: Piece) -> list[str]:
        """The lines of a piece, with a remark where something before it is missing."""
        missing = piece.start - self._ends.get(piece.log, 0)
        self._ends[piece.log] = piece.end
        remark = f"... {missing} bytes are only in the log on the machine {piece.host}"
        return [remark, *piece.lines] if missing > 0 else piece.lines


def _piece(item: Any, run_id: str) -> Piece | None:
    """An item of the stream as a piece; None for what others wrote, or what a fork took over from its source."""
    if not isinstance(item, dict) or not isinstance(item.get("lines"), list):
        return None
    if not str(item.get("log")).startswith(f"{run_id}@"):
        return None
    start, end = int(item.get("start") or 0), int(item.get("end") or 0)
    return Piece(str(item["log"]), str(item.get("host")), start, end, [str(line) for line in item["lines"]])
