"""Telling that a run waits, and looking after the waits for people of this process.

One task looks twice a second for answers to all questions that are open here, and notes which runs only wait for people:
nobody needs to execute those until an answer is there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from kurt.engine.interpreter.context import WorkflowContext
from kurt.runtime import asking, resting, wait_words
from kurt.runtime.recovery import executor_id, let_go, repeated, system_database
from kurt.types import JsonObject

_log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks for answers."""

ASK_AGAIN = 5.0
"""Seconds until that is looked at again where the database has more of the run than this process."""

REST_AFTER = 1.0
"""Seconds for which nothing is done in a run before it is noted that nobody needs to execute it."""


@asynccontextmanager
async def told(context: WorkflowContext, path: str, wait: JsonObject) -> AsyncGenerator[None]:
    """The run is shown as waiting while the context lasts; also when this process ends in the middle of it.

    Args:
        context: the run.
        path: path of the step, empty for the run itself.
        wait: what is waited for, with its `kind`.
    """
    shown_path = (context.base + path).rstrip(".")
    token = secrets.token_hex(8)
    entry = {**context.masker.mask_value(wait), "path": shown_path, "run_id": context.run_id, "token": token}
    await beside(partial(repeated(asking.begin), system_database(), context.root_id, entry))
    alone = wait_words.kind_of(entry) == wait_words.MESSAGE
    context.progress.waits(
        path or shown_path,
        wait_words.text_of(entry),
        wait_words.command_of(entry, context.root_id, alone=alone),
    )
    try:
        with _watched(context.root_id, entry):
            yield
    except Exception:
        # Not when the executor ends (a `CancelledError`): the run then still waits, and shows it.
        await _over(context.root_id, token)
        raise
    await _over(context.root_id, token)


async def _over(root_id: str, token: str) -> None:
    resting.hold(root_id)
    await beside(partial(repeated(asking.end), system_database(), root_id, token))


async def settled(context: WorkflowContext, path: str) -> None:
    """Tell that a wait is over that an earlier execution of the run has told of."""
    resting.hold(context.root_id)
    forget = partial(repeated(asking.forget), system_database(), context.root_id)
    await beside(partial(forget, context.run_id, context.base + path))


async def beside(work: Callable[[], Any]) -> Any:
    """Do it in a thread, outside of the run's context: DBOS would take it for a step of the run."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


@dataclass(slots=True)
class _Watch:
    """What is looked after in one event loop.

    Attributes:
        asks: the open questions: the run that the user started, and the future of the answer.
        waits: the waits for people by run: their tokens, and whether they end by themselves at some time.
        not_before: when to note next that a run rests, where the database has seen more to it than is here.
        task: looks after them.
    """

    asks: dict[str, tuple[str, asyncio.Future[JsonObject]]] = field(default_factory=dict)
    waits: dict[str, dict[str, bool]] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to look, unless that has begun."""
        if self.task is None or self.task.done():
            # Without the context of the run that happens to wait first.
            self.task = asyncio.get_running_loop().create_task(self._look(), context=contextvars.Context())

    async def _look(self) -> None:
        while self.asks or self.waits:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._find_answers()
                await self._note_rest()
            except SQLAlchemyError as error:  # away for a while: told elsewhere, tried again
                _log.debug("could not look for answers: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, runs must not wait for an answer that is there
                _log.warning("could not look for answers", exc_info=True)

    async def _find_answers(self) -> None:
        wanted = {ask: root_id for ask, (root_id, _) in self.asks.items()}
        if not wanted:
            return
        for ask, answer in (await beside(partial(asking.answers, system_database(), wanted))).items():
            _, future = self.asks.get(ask, (None, None))
            if future is not None and not future.done():
                future.set_result(answer)

    async def _note_rest(self) -> None:
        known, now = resting.released_roots(), time.monotonic()
        for root_id, waits in list(self.waits.items()):
            if root_id in known or any(waits.values()) or self.not_before.get(root_id, 0.0) > now:
                continue
            run_ids = resting.rested(root_id, seconds=REST_AFTER)
            if not run_ids:
                continue
            give_up = resting.gives_up()
            if not await beside(partial(rest, root_id, give_up=give_up)):
                self.not_before[root_id] = now + ASK_AGAIN
            elif give_up:
                resting.give_up(run_ids)


_watches: dict[asyncio.AbstractEventLoop, _Watch] = {}


def _watch() -> _Watch:
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        for other in [one for one in _watches if one.is_closed()]:
            del _watches[other]
        _watches[loop] = _Watch()
    return _watches[loop]


@contextmanager
def _watched(root_id: str, wait: JsonObject) -> Generator[None]:
    """The caller's lane waits for people, and for nothing else, while the context lasts; nothing to do for a time."""
    if wait_words.kind_of(wait) == wait_words.TIME:
        yield
        return
    watch = _watch()
    waits = watch.waits.setdefault(root_id, {})
    waits[wait["token"]] = asking.has_time(wait)
    watch.begin()
    try:
        with resting.waiting():
            yield
    finally:
        waits.pop(wait["token"], None)
        if not waits and watch.waits.get(root_id) is waits:
            del watch.waits[root_id]


def rest(root_id: str, *, give_up: bool = False) -> bool:
    """Note that nobody has to execute a run of this process for now; False if something is at work or has a time.

    Args:
        root_id: the run that the user started.
        give_up: this process ends its executions.
    """
    run_ids, waits = resting.rested(root_id), _waits_of(root_id)
    if not run_ids or not waits or any(waits.values()):
        return False
    rested = asking.Rested(root_id, run_ids, frozenset(waits), executor_id(), give_up)
    if not asking.rest(system_database(), rested):
        return False
    if resting.rested(root_id):
        resting.release(root_id, run_ids)
    return True


def leave(root_id: str) -> bool:
    """Let this process end without a run that only waits for people; False if it does more than that.

    Where it waits only until some time, somebody else must take it up.
    """
    run_ids = resting.rested(root_id)
    if not run_ids or not _waits_of(root_id):
        return False
    if not rest(root_id, give_up=True):
        let_go(run_ids)
    return True


def _waits_of(root_id: str) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for watch in list(_watches.values()):
        found.update(dict(watch.waits.get(root_id, {})))  # a copy: the event loop changes it
    return found


async def answer_of(root_id: str, ask: str, seconds: float | None) -> JsonObject | None:
    """Wait for the answer to a question, at most so many seconds; None if there is none."""
    watch = _watch()
    future: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
    watch.asks[ask] = (root_id, future)
    watch.begin()
    try:
        return await asyncio.wait_for(future, seconds)
    except TimeoutError:
        return None
    finally:
        watch.asks.pop(ask, None)
