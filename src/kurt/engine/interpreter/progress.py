"""What a run tells the world while it works: its log, its live view, and a few events.

Nothing here draws a step number. Events cost a commit each, so they are written at most four times a second, and not at
all by a run that is over sooner; finished steps are read from their checkpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from kurt.runtime import durable
from kurt.runtime.logs import RunLog
from kurt.runtime.masking import Masker

_log = logging.getLogger(__name__)

FLUSH_EVERY = 0.25
"""Seconds between two writes of events."""


_LEVELS = {"failed": "ERROR", "retrying": "WARN"}


class Listener(Protocol):
    """Somebody in this process who watches a run as it goes."""

    def on_step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state: `running`, `succeeded`, `failed`, `skipped`, `retrying`."""

    def on_items(self, path: str, *, done: int, failed: int, total: int) -> None:
        """A fan-out went on."""


_listeners: dict[str, Listener] = {}


def listen(run_id: str, listener: Listener) -> None:
    """Let a listener of this process watch a run."""
    _listeners[run_id] = listener


def forget(run_id: str) -> None:
    """Stop watching."""
    _listeners.pop(run_id, None)


class Progress:
    """One run's reports from this process.

    Args:
        run_id: the run that the user started.
        log: its log.

    Attributes:
        users: how many executions of this process report here: the run, its items, branches and called files.
    """

    def __init__(self, run_id: str, log: RunLog) -> None:
        self.run_id = run_id
        self.log = log
        self.users = 0
        self._secrets: set[str] = set()
        self._events: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._wrote = False

    def join(self, secrets: Iterable[str]) -> None:
        """One more execution reports here, whose secrets the log must hide: a called file may have its own."""
        self.users += 1
        if not self._secrets.issuperset(secrets):
            self._secrets.update(secrets)
            self.log.hide(Masker(self._secrets))

    def started(self, name: str) -> None:
        """The run begins in this process, or goes on in it."""
        self.log.write("INFO", "-", f"run {self.run_id} of {name!r} starts")
        self._set(status="running", started_at=time.time())

    def ended(self, state: str, detail: str = "") -> None:
        """The run is over in this process."""
        self.log.write("INFO" if state == "succeeded" else "ERROR", "-", f"run {state}{detail}")
        self.log.sync()

    def step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state."""
        if state == "running":
            self._set(current_step=path)
        self.log.write(_LEVELS.get(state, "INFO"), path, _line(state, facts))
        if (listener := _listeners.get(self.run_id)) is not None:
            _outside(lambda: listener.on_step(path, state, **facts))

    def items(self, path: str, *, done: int, failed: int, total: int) -> None:
        """A fan-out went on."""
        self._set(
            stage=path,
            stage_total=total,
            stage_current=done,
            stage_status="running" if done < total else "completed",
        )
        if (listener := _listeners.get(self.run_id)) is not None:
            _outside(lambda: listener.on_items(path, done=done, failed=failed, total=total))

    def _set(self, **events: Any) -> None:
        self._events.update(events)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._flush_forever())

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed."""
        events, self._events = self._events, {}
        loop = asyncio.get_running_loop()
        for key, value in events.items():
            try:
                # Not `to_thread`, which takes the context along: DBOS would end whoever writes here after the run
                # was resumed elsewhere, and with it the execution that goes on.
                await loop.run_in_executor(None, durable.write_event, self.run_id, key, value)
            except Exception:  # noqa: BLE001 - progress is a courtesy; the run itself must not suffer
                _log.debug("could not write the event %s", key, exc_info=True)
            self._wrote = True

    async def close(self, status: str | None = None) -> None:
        """Stop writing; a run that has written its state corrects it.

        Args:
            status: how the run ended; None if it goes on elsewhere.
        """
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._wrote and status is not None:
            self._events.update(status=status, completed_at=time.time())
            await self.flush()


def _outside(tell: Callable[[], None]) -> None:
    """Call a listener outside of the run's context: what it prints is for the terminal, not for the run's log."""
    contextvars.Context().run(tell)


def _line(state: str, facts: dict[str, Any]) -> str:
    """One line of the log for a change of state."""
    match state:
        case "running":
            attempt = facts.get("attempt", 1)
            return "started" if attempt == 1 else f"started, attempt {attempt}"
        case "failed" | "retrying":
            error = facts.get("error") or {}
            wait = f", next attempt in {facts['wait']:.1f} s" if state == "retrying" else ""
            return f"failed: {error.get('type')}: {error.get('message')}{wait}"
        case "succeeded":
            return f"succeeded in {facts.get('seconds', 0):.2f} s"
        case _:
            return state
