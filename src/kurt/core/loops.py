"""Running coroutines for code that is not asynchronous: one event loop in a thread of its own, for the whole process."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Value = TypeVar("Value")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def rows_loop() -> asyncio.AbstractEventLoop:
    """The process's loop, started with the first use; its thread ends with the process."""
    global _loop  # noqa: PLW0603 - one process has one loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="kurt-rows", daemon=True).start()
        return _loop


def wait_for(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on the process's loop, in the caller's context, and block until it is done.

    An interrupt of the caller cancels the coroutine and waits for what it leaves behind.
    """
    loop = rows_loop()
    outcome: Future[Value] = Future()
    context = contextvars.copy_context()
    tasks: list[asyncio.Task[Value]] = []

    def start() -> None:
        task = loop.create_task(coroutine, context=context)
        tasks.append(task)
        task.add_done_callback(lambda done: _pass_on(done, outcome))

    loop.call_soon_threadsafe(start)
    try:
        return outcome.result()
    except BaseException:
        if not outcome.done():
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
        raise


def _pass_on(task: asyncio.Task[Value], outcome: Future[Value]) -> None:
    if task.cancelled():
        outcome.cancel()
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
