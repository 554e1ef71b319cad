"""Which executions of this process only wait for people, so that nothing would be lost if nobody executed them.

An execution is one DBOS workflow at work here: a run, or an item or branch of one. It counts as at work by default; only
what is known to wait says so. It has as many lanes as coroutines work side by side in it, and it rests while each of them
waits for a person, for a message, or for children, which are executions themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Execution:
    """One DBOS workflow at work in this process.

    Attributes:
        root_id: the run that the user started.
        run_id: the DBOS workflow.
        lanes: coroutines that work side by side in it.
        waiting: how many of them wait.
        since: when the last of them began to wait, by the process's clock.
        task: what executes it.
    """

    root_id: str
    run_id: str
    lanes: int = 1
    waiting: int = 0
    since: float = 0.0
    task: asyncio.Task[Any] | None = None

    @property
    def rests(self) -> bool:
        """Whether all of it waits."""
        return self.waiting >= self.lanes


_executions: set[Execution] = set()
_here: ContextVar[Execution | None] = ContextVar("kurt_execution", default=None)
_released: dict[str, frozenset[str]] = {}
_gives_up = [False]


@contextmanager
def execution(root_id: str, run_id: str) -> Generator[None]:
    """The caller executes this run, item or branch while the context lasts."""
    one = Execution(root_id, run_id, task=asyncio.current_task())
    _executions.add(one)
    token = _here.set(one)
    try:
        yield
    finally:
        _here.reset(token)
        _executions.discard(one)
        if all(other.root_id != root_id for other in list(_executions)):
            hold(root_id)


@contextmanager
def waiting() -> Generator[None]:
    """The caller's lane waits for a person, a message or children while the context lasts."""
    one = _here.get()
    if one is None:
        yield
        return
    one.waiting += 1
    one.since = time.monotonic()
    try:
        yield
    finally:
        one.waiting -= 1


@contextmanager
def side_by_side(count: int) -> Generator[Callable[[object], None]]:
    """The caller waits for so many lanes of its own; gives what is to be called, with anything, when one of them is over."""
    one = _here.get() or Execution("", "")
    left = count
    one.lanes += count

    def lane_is_over(_: object) -> None:
        nonlocal left
        left -= 1
        one.lanes -= 1

    try:
        with waiting():
            yield lane_is_over
    finally:
        one.lanes -= left
        left = 0


def rested(root_id: str, *, seconds: float = 0.0) -> list[str] | None:
    """Ids of the executions of a run in this process if all of them have rested for so long; else None."""
    until = time.monotonic() - seconds
    # A copy: other threads ask too, while the event loop begins and ends executions.
    found = [one for one in list(_executions) if one.root_id == root_id]
    if found and all(one.rests and one.since <= until for one in found):
        return [one.run_id for one in found]
    return None


def give_up(run_ids: Iterable[str]) -> None:
    """End the executions of these here, unfinished; called in their event loop."""
    for one in [one for one in list(_executions) if one.run_id in set(run_ids)]:
        if one.task is not None:
            one.task.cancel()


def gives_up() -> bool:
    """Whether this process ends executions that only wait for people, so that they cost nothing while they do."""
    return _gives_up[0]


def set_gives_up(value: bool) -> None:
    """Say so; for processes that take up whatever an answer brings back."""
    _gives_up[0] = value


def release(root_id: str, run_ids: list[str]) -> None:
    """The database knows that nobody needs to execute these; this process may end without them."""
    _released[root_id] = frozenset(run_ids)


def hold(root_id: str) -> None:
    """The run goes on: it needs an executor again."""
    _released.pop(root_id, None)


def released() -> set[str]:
    """Ids of the executions without which this process may end."""
    return {run_id for run_ids in list(_released.values()) for run_id in run_ids}


def released_roots() -> set[str]:
    """The runs of which that is known."""
    return set(_released)
