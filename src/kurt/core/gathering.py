"""Items that end in any order, a checkpoint for each group of those that are over.

For work that brings rows and files with it, such as fetching documents: the rows of a group and its checkpoint are
committed together. What a checkpoint says tells which items it stands for, so their order does not matter, and a crash
repeats no more than one group and what was at work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from kurt.core.rows import KIND, SUCCEEDED

if TYPE_CHECKING:
    import sqlalchemy as sa

    from kurt.runtime.step_batch import StepBatch
    from kurt.types import Json, JsonObject

T = TypeVar("T")

Write = Callable[["sa.Connection"], None]
"""Writes the rows of a group; may be called again, in a new transaction."""


class Gathering(Generic[T]):
    """Collects items that are over and stores them in groups.

    Args:
        name: durable name of the step; the third group is recorded as `name[2]`.
        batch: step numbers, at least one an item; None outside of a workflow.
        group: items of a group.
        linger: seconds after which a group that is not full is stored too.
        prepare: makes of a group's items what the checkpoint says, and what writes its rows.
        plainly: has rows written where there is no checkpoint, in a transaction of their own.
    """

    def __init__(
        self,
        name: str,
        *,
        batch: StepBatch | None,
        group: int,
        linger: float,
        prepare: Callable[[Sequence[T]], Awaitable[tuple[Json, Write]]],
        plainly: Callable[[Write], None],
    ) -> None:
        self._name = name
        self._batch = batch
        self._group = group
        self._linger = linger
        self._prepare = prepare
        self._plainly = plainly
        self._over: list[T] = []
        self._since = 0.0
        self._next = 0
        self._storing = asyncio.Lock()

    async def recorded(self, count: int) -> list[Json]:
        """What the groups say that earlier executions have stored; to be asked once, before anything is added.

        Args:
            count: step numbers that were drawn.
        """
        if self._batch is None:
            return []
        values: list[Json] = []
        for index in range(count):
            found, envelope = await self._batch.recorded(index, f"{self._name}[{index}]")
            if found:
                values.append(envelope["value"])
                self._next = index + 1
        return values

    async def add(self, item: T) -> None:
        """An item is over. Waits while a group is stored, so that no more than one group is over and not stored."""
        async with self._storing:
            if not self._over:
                self._since = time.monotonic()
            self._over.append(item)
            if len(self._over) >= self._group:
                await self._store()

    async def flush(self) -> None:
        """Store what is left."""
        async with self._storing:
            if self._over:
                await self._store()

    async def keep_storing(self) -> None:
        """Store groups that are not full but old; for a task beside the work, to be cancelled at its end."""
        while True:
            await asyncio.sleep(self._linger / 2)
            if self._over and time.monotonic() - self._since >= self._linger:
                await self.flush()

    async def _store(self) -> None:
        items, self._over = self._over, []
        started = int(time.time() * 1000)
        value, write = await self._prepare(items)
        if self._batch is None:
            await asyncio.to_thread(self._plainly, write)
            return
        envelope: JsonObject = {"ok": True, "state": SUCCEEDED, "kind": KIND, "value": value}
        index, self._next = self._next, self._next + 1
        await self._batch.store(index, f"{self._name}[{index}]", envelope, started=started, also=write)
