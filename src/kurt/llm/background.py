"""The thread in which calls of models reach the database, so that the event loop never waits for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

_thread = ThreadPoolExecutor(1, thread_name_prefix="kurt-llm")


async def in_background(function: Callable[[], Value]) -> Value:
    """What a blocking function returns; functions run one after the other."""
    return await asyncio.get_running_loop().run_in_executor(_thread, function)
