"""Waiting for something that other processes do: polled, with a limit, and a message when it does not come."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.05
"""Seconds between two looks."""


def wait_until(
    condition: Callable[[], T], limit: float = 20.0, *, what: str | None = None, pause: float = PAUSE
) -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        condition: looked at again and again; what it raises is raised at once.
        limit: seconds after which the test fails.
        what: what is awaited, for the message.
        pause: seconds between two looks.

    Raises:
        AssertionError: the limit passed; says what was awaited and what was seen last.
    """
    end = time.monotonic() + limit
    while not (seen := condition()):
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {limit:g} s: {what or _source(condition)} (last seen: {seen!r})"
            )
        time.sleep(pause)
    return seen


def _source(condition: Callable[[], object]) -> str:
    """The text of the condition, as far as it can be had."""
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return repr(condition)


async def eventually(condition: Callable[[], object], limit: float = 20.0) -> None:
    """`wait_until` for a test that is a coroutine: the event loop goes on meanwhile."""
    await asyncio.to_thread(wait_until, condition, limit, pause=0.01)
