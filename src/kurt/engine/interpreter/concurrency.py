"""Coroutines side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from kurt.runtime import resting


async def together(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run them side by side; when one raises, cancel the others, wait for them, and raise what it raised.

    Unlike a task group it raises the error itself: DBOS must see its own.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    with resting.side_by_side(len(tasks)) as lane_is_over:
        for task in tasks:
            task.add_done_callback(lane_is_over)
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
