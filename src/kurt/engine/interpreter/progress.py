"""What a run tells the world while it works: its log, its live view, a few events, and the streams `progress` and `logs`.

Nothing here draws a step number. Each write costs a commit, so events and `progress` are written at most four times a
second, and events not at all by a run that is over sooner; finished steps are read from their checkpoints. The log goes to
its stream in pieces, every `SEND_EVERY` seconds and when the run is over.

An item of `progress` says what has changed since the one before:

    {"timestamp": 1795000000.1, "status": "running",
     "steps": [{"step": "fetch", "status": "succeeded", "attempt": 1, "seconds": 0.4}],
     "items": [{"step": "pages", "done": 30, "failed": 1, "total": 200}]}
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from kurt.runtime import durable
from kurt.runtime.log_sending import LogSender
from kurt.runtime.logs import RunLog
from kurt.runtime.masking import Masker
from kurt.runtime.names import PROGRESS_STREAM
from kurt.types import JsonObject

_log = logging.getLogger(__name__)

FLUSH_EVERY = 0.25
"""Seconds between two writes of events and progress."""

SEND_EVERY = 2.0
"""Seconds between two writes of the log's stream."""

_SHOWN_STEPS = 50
"""Steps in one item of the stream `progress`; more of them change at once only inside of a fan-out, which is counted."""

_LEVELS = {"failed": "ERROR", "retrying": "WARN"}


class Listener(Protocol):
    """Somebody in this process who watches a run as it goes."""

    def on_step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state: `running`, `succeeded`, `failed`, `skipped`, `retrying`."""

    def on_items(self, path: str, *, done: int, failed: int, total: int, note: str = "") -> None:
        """A fan-out, or the rows of a step, went on."""

    def on_wait(self, path: str, what: str, command: str | None) -> None:
        """A step waits for something outside of the run; the command ends the wait."""


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
        self._masker = Masker(())
        self._events: dict[str, Any] = {}
        self._changes = _Changes()
        self._sender = LogSender(run_id, log.path)
        self._sent_at = time.monotonic()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._wrote = False

    def join(self, secrets: Iterable[str]) -> None:
        """One more execution reports here, whose secrets the log must hide: a called file may have its own."""
        self.users += 1
        if not self._secrets.issuperset(secrets):
            self._secrets.update(secrets)
            self._masker = Masker(self._secrets)
            self.log.hide(self._masker)

    def started(self, name: str, *, mocked: Sequence[str] = ()) -> None:
        """The run begins in this process, or goes on in it.

        Args:
            name: the workflow's name.
            mocked: what it only pretends: `models`, `steps`.
        """
        self.log.write("INFO", "-", f"run {self.run_id} of {name!r} starts")
        if mocked:
            self.log.write("WARN", "-", f"mocked: {' and '.join(mocked)}; their results are made up")
        self._changes.status = "running"
        self._set(status="running", started_at=time.time())

    def ended(self, state: str) -> None:
        """The run is over in this process; called while the error with which it ends is being handled."""
        error = sys.exception() if state == "failed" else None
        detail = f": {getattr(error, 'message', error)}" if error is not None else ""
        self.log.write("INFO" if state == "succeeded" else "ERROR", "-", f"run {state}{detail}")
        self.log.sync()

    def step(self, path: str, state: str, **facts: Any) -> None:
        """A step changed its state."""
        self._changes.step(path, state, facts)
        self._set(**({"current_step": path} if state == "running" else {}))
        self.log.write(_LEVELS.get(state, "INFO"), path, _line(state, facts))
        if (listener := _listeners.get(self.run_id)) is not None:
            _outside(lambda: listener.on_step(path, state, **facts))

    def waits(self, path: str, what: str, command: str | None) -> None:
        """A step waits for something outside of the run, or the run itself does.

        Args:
            path: the step's path, empty for the run.
            what: what it waits for, on one line.
            command: the command that ends the wait, None for a time.
        """
        if path:
            self._changes.step(path, "waiting", {})
        self._set()
        self.log.write("INFO", path or None, f"waits for {what}" + (f"; {command}" if command else ""))
        if (listener := _listeners.get(self.run_id)) is not None:
            _outside(lambda: listener.on_wait(path, what, command))

    def items(self, path: str, *, done: int, failed: int, total: int, note: str = "") -> None:
        """A fan-out, or the rows of a step, went on; the note says more, in words."""
        self._changes.items[path] = {"step": path, "done": done, "failed": failed, "total": total}
        self._set(
            stage=path,
            stage_total=total,
            stage_current=done,
            stage_status="running" if done < total else "completed",
        )
        if (listener := _listeners.get(self.run_id)) is not None:
            _outside(lambda: listener.on_items(path, done=done, failed=failed, total=total, note=note))

    def _set(self, **events: Any) -> None:
        self._events.update(events)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._flush_forever())

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            # A write that has begun is not given up when the run ends: what follows would overtake it.
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Write what has changed."""
        async with self._turn:
            events, self._events = self._events, {}
            for key, value in events.items():
                self._wrote = True
                await self._write(durable.write_event, self.run_id, key, value)
            await self._tell_changes()
            if time.monotonic() - self._sent_at >= SEND_EVERY:
                await self._send()

    async def _tell_changes(self) -> None:
        changes, self._changes = self._changes, _Changes(self._changes.status)
        if changes:
            item = self._masker.mask_value(changes.to_json())
            await self._write(durable.append_stream, self.run_id, PROGRESS_STREAM, item)

    async def _send(self, *, over: bool = False) -> None:
        self._sent_at = time.monotonic()
        await self._write(partial(self._sender.send, over=over))

    async def _write(self, write: Callable[..., None], *what: Any) -> None:
        try:
            # Not `to_thread`, which takes the context along: DBOS would end whoever writes here after the run
            # was resumed elsewhere, and with it the execution that goes on.
            await asyncio.get_running_loop().run_in_executor(None, write, *what)
        except Exception:  # noqa: BLE001 - progress is a courtesy; the run itself must not suffer
            _log.debug("could not write the progress of the run %s", self.run_id, exc_info=True)

    async def close(self, status: str | None = None) -> None:
        """Write what is left; a run that has written its state corrects it.

        Args:
            status: how the run ended; None if it goes on elsewhere.
        """
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if status is not None:
            self._changes.end(status)
            self._events = {"status": status, "completed_at": time.time()} if self._wrote else {}
        elif not self._wrote:
            self._events = {}
        await self.flush()
        async with self._turn:
            await self._send(over=status is not None)


class _Changes:
    """What has changed since the last item of the stream `progress`.

    Args:
        status: the run's state.

    Attributes:
        status: the run's state.
        items: how far each fan-out is that went on.
    """

    def __init__(self, status: str | None = None) -> None:
        self.status = status
        self.items: dict[str, JsonObject] = {}
        self._steps: dict[str, JsonObject] = {}
        self._more = 0
        self._ended = False

    def __bool__(self) -> bool:
        return self._ended or bool(self._steps or self.items)

    def step(self, path: str, state: str, facts: Mapping[str, Any]) -> None:
        """A step changed its state."""
        if path not in self._steps and len(self._steps) >= _SHOWN_STEPS:
            self._more += 1
            return
        shown = {name: facts[name] for name in ("attempt", "seconds") if facts.get(name) is not None}
        self._steps[path] = {"step": path, "status": state, **shown}

    def end(self, status: str) -> None:
        """The run is over."""
        self.status = status
        self._ended = True

    def to_json(self) -> JsonObject:
        """The item of the stream."""
        item: JsonObject = {"timestamp": time.time(), "steps": list(self._steps.values())}
        if self.status is not None:
            item["status"] = self.status
        if self._more:
            item["more_steps"] = self._more
        return {**item, "items": list(self.items.values())}


def _outside(tell: Callable[[], None]) -> None:
    """Call a listener outside of the run's context: what it prints is for the terminal, not for the run's log."""
    contextvars.Context().run(tell)


def _line(state: str, facts: dict[str, Any]) -> str:
    """One line of the log for a change of state."""
    return f"{_told(state, facts)} (mocked)" if facts.get("mocked") else _told(state, facts)


def _told(state: str, facts: dict[str, Any]) -> str:
    match state:
        case "running":
            attempt = facts.get("attempt", 1)
            return "started" if attempt == 1 else f"started, attempt {attempt}"
        case "failed" | "retrying":
            error = facts.get("error") or {}
            wait = f", next attempt in {facts['wait']:.1f} s" if state == "retrying" else ""
            return f"failed: {error.get('type')}: {error.get('message')}{wait}"
        case "cached":
            return "cached: its value is that of an earlier run"
        case "succeeded":
            return f"succeeded in {facts.get('seconds', 0):.2f} s" if "seconds" in facts else "succeeded"
        case _:
            return state
