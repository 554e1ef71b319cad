"""Brings events and stream entries of runs to the database, beside the runs: draws no step number and holds up nobody.

What is set several times within a quarter of a second is written once.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

_log = logging.getLogger(__name__)

EVERY = 0.25
"""Seconds between two deliveries."""

_IDLE = 10.0

_Event = tuple[str, str]


class Courier:
    """The thread of a process that delivers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: dict[_Event, Any] = {}
        self._entries: dict[tuple[str, str, Any], Any] = {}
        self._thread: threading.Thread | None = None
        self._posted = 0
        self._delivered = 0
        self._hurry = False

    def set(self, run_id: str, key: str, value: Any) -> None:
        """Have an event set."""
        with self._changed:
            self._events[run_id, key] = value
            self._note()

    def append(self, run_id: str, key: str, value: Any, *, instead_of: object = None) -> None:
        """Have an entry appended to a stream.

        Args:
            run_id: the run.
            key: the stream.
            value: the entry.
            instead_of: what the entry is about, if it replaces one about the same that is still waiting.
        """
        with self._changed:
            self._entries[run_id, key, instead_of if instead_of is not None else self._posted] = value
            self._note()

    def _note(self) -> None:
        self._posted += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kurt-courier", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def flush(self, limit: float = 5.0) -> None:
        """Wait until all that was posted so far is delivered, or the limit has passed."""
        with self._changed:
            wanted = self._posted
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._delivered >= wanted, limit)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._events or self._entries, _IDLE):
                    self._thread = None
                    return
                self._changed.wait_for(lambda: self._hurry, EVERY)
                self._hurry = False
                events, self._events = self._events, {}
                entries, self._entries = self._entries, {}
                posted = self._posted
            for (run_id, stream, _), entry in entries.items():
                _deliver("append_stream", run_id, stream, entry)
            for (run_id, key), value in events.items():
                _deliver("write_event", run_id, key, value)
            with self._changed:
                self._delivered = posted
                self._changed.notify_all()


def _deliver(how: str, run_id: str, key: str, value: Any) -> None:
    from kurt.runtime import durable  # noqa: PLC0415 - who posts is in a run, so DBOS is loaded

    try:
        getattr(durable, how)(run_id, key, value)
    except Exception:  # noqa: BLE001 - progress is a courtesy; the run itself must not suffer
        _log.debug("could not write %s of run %s", key, run_id, exc_info=True)


courier = Courier()
"""The process's courier."""
