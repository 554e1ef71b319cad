"""How a process is told to stop: politely by the first signal, at once by the second."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


class StopSignals:
    """SIGTERM or SIGINT asks this process to stop, a second one ends it at once; SIGHUP is ignored.

    Attributes:
        asked: True once a signal has come.
    """

    def __init__(self) -> None:
        self.asked = False
        self._stop = threading.Event()

    def install(self) -> None:
        """Listen; before anything slow, because a terminal may be closed at any time. Main thread only."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @property
    def stopping(self) -> bool:
        """True once somebody has asked for the end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask for the end from within the process."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for somebody to ask for the end; True when somebody has."""
        return self._stop.wait(seconds)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True
        self._stop.set()
