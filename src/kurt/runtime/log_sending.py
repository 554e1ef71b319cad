"""Sending a run's log file to its stream `logs`, from the processes that execute it."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kurt.runtime import durable
from kurt.runtime.log_stream import log_id, new_pieces, stored_form
from kurt.runtime.logs import log_end
from kurt.runtime.names import LOGS_STREAM

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class LogSender:
    """Sends one log; draws no step numbers, blocks for a commit where there is something new.

    Args:
        run_id: the run that the user started.
        path: its log on this machine.
    """

    def __init__(self, run_id: str, path: Path) -> None:
        self._run_id = run_id
        self._path = path
        self._id: str | None = None
        self._seen = 0

    def send(self, *, over: bool = False) -> None:
        """Store what the file holds beyond what is stored of it.

        Args:
            over: whether the run is over.
        """
        size = log_end(self._path)
        if size == self._seen:
            return
        if self._id is None:
            self._id = log_id(self._run_id, self._path, shared=durable.is_shared())
        with _alone(self._path):
            sent = self._sent(self._id)
            for piece in new_pieces(self._path, self._id, sent, over=over):
                durable.append_stream(self._run_id, LOGS_STREAM, piece.to_json())
        self._seen = size

    def _sent(self, log: str) -> int:
        """Up to where the file is stored: by this process, another one of this machine, or one that was killed."""
        last = durable.last_in_stream(self._run_id, LOGS_STREAM, stored_form(log))
        return int(last["end"]) if last is not None else 0


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Keep the other processes of this machine from sending the same lines."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
