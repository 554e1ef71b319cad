"""The gate through which every step of this process goes to work: bounds their number and holds them back at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext


class StepGate:
    """Bounds the steps at work in this process; passed from one event loop.

    Attributes:
        limit: how many steps may be at work at once; None for no bound.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._free = asyncio.Semaphore(limit) if limit else None
        self._lock = threading.Lock()
        self._draining = False
        self._unstored = 0
        self._idle = threading.Event()
        self._idle.set()

    @contextmanager
    def passage(self) -> Generator[Passage]:
        """For one attempt of a step, around its checkpoint: once it has begun, it counts until its result is stored."""
        passage = Passage(self)
        try:
            yield passage
        finally:
            if passage.begun:
                self._leave()

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Wait for a free place, hold it while the step works."""
        async with self._free or nullcontext():
            if not self._enter():
                # Held here until DBOS ends and cancels the step, which then runs elsewhere.
                await asyncio.Event().wait()
            yield

    def _enter(self) -> bool:
        with self._lock:
            if self._draining:
                return False
            self._unstored += 1
            self._idle.clear()
            return True

    def _leave(self) -> None:
        with self._lock:
            self._unstored -= 1
            if self._unstored == 0:
                self._idle.set()

    def drain(self, grace: float) -> bool:
        """Let no further step begin, wait at most `grace` seconds for those at work; True when none is left."""
        with self._lock:
            self._draining = True
        return self._idle.wait(grace)


class Passage:
    """The way of one attempt through the gate.

    Attributes:
        begun: it has gone to work; a recorded result is read without that.
    """

    def __init__(self, gate: StepGate) -> None:
        self.begun = False
        self._gate = gate

    @asynccontextmanager
    async def enter(self) -> AsyncGenerator[None]:
        """Wait until the step may begin, hold its place while it works."""
        async with self._gate.place():
            self.begun = True
            yield


_gate = StepGate()


def current() -> StepGate:
    """The process's gate."""
    return _gate


def set_limit(limit: int | None) -> StepGate:
    """Make a fresh gate with this limit the process's gate; only while no step is at work."""
    global _gate  # noqa: PLW0603 - one process has one gate
    _gate = StepGate(limit)
    return _gate
