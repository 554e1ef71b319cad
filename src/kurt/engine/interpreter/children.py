"""Child runs: items and branches of several steps, and other workflows.

A child's id is made from its run and its path, so a replay attaches to the child that exists. Starting one draws a step
number of the parent, so children are started in the order of the file or of the items, never in the order in which
anything finishes; how they end is read from the database beside the run and draws nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager, nullcontext

from kurt.runtime import durable, resting

LOOK_EVERY = 0.25
"""Seconds between two looks at children that may be at work in another process."""

LOOK_SOON = 0.005
"""Seconds until the first look at a child that has just ended here: its end is stored a moment later."""

_finished: dict[str, asyncio.Event] = {}


@contextmanager
def announced(run_id: str) -> Generator[None]:
    """Tell waiters in this process at once when the child is done."""
    try:
        yield
    finally:
        if (event := _finished.get(run_id)) is not None:
            event.set()


class Waiter:
    """Waits for children of one parent.

    Args:
        rests: nothing else is to be done until one of them ends; not where a time is counted meanwhile.
    """

    def __init__(self, *, rests: bool = True) -> None:
        self._rests = rests
        self._running: dict[str, asyncio.Event] = {}
        self._pause = LOOK_SOON

    def __len__(self) -> int:
        return len(self._running)

    def add(self, run_id: str) -> None:
        """Wait for this child too."""
        self._running[run_id] = _finished.setdefault(run_id, asyncio.Event())

    async def next(self) -> list[tuple[str, durable.Outcome]]:
        """Wait until at least one child is over; those that are, with their outcomes."""
        with resting.waiting() if self._rests else nullcontext():
            return await self._next()

    async def _next(self) -> list[tuple[str, durable.Outcome]]:
        while True:
            over = await self._over()
            if over:
                self._pause = LOOK_SOON
                return over
            await self._any_signal()

    async def _over(self) -> list[tuple[str, durable.Outcome]]:
        states = await durable.statuses(self._running)
        over: list[tuple[str, durable.Outcome]] = []
        for run_id, state in states.items():
            if state in durable.TERMINAL and (outcome := await durable.outcome(run_id)) is not None:
                over.append((run_id, outcome))
                del self._running[run_id]
                _finished.pop(run_id, None)
        return over

    async def _any_signal(self) -> None:
        """Wait for a child of this process to end, or until it is time to look at those in others.

        A child signals its end before it is stored, hence another look soon. One that another process has taken over
        signals an end that is none, hence the growing pause.
        """
        events = list(self._running.values())
        if any(event.is_set() for event in events):
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LOOK_EVERY)
            return
        tasks = [asyncio.ensure_future(event.wait()) for event in events[:200]]
        try:
            await asyncio.wait(tasks, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def all(self) -> dict[str, durable.Outcome]:
        """Wait for every child that is still running; the outcomes by id."""
        outcomes: dict[str, durable.Outcome] = {}
        while self._running:
            outcomes.update(await self.next())
        return outcomes


async def outcome_of(run_id: str, *, rests: bool = True) -> durable.Outcome:
    """Wait for one child."""
    waiter = Waiter(rests=rests)
    waiter.add(run_id)
    return (await waiter.all())[run_id]


async def cancel_unfinished(run_ids: Iterable[str]) -> None:
    """Cancel those of the children that are not over."""
    states = await durable.statuses(run_ids)
    await durable.cancel([run_id for run_id, state in states.items() if state not in durable.TERMINAL])
