"""The rows of a batch, side by side, each with a checkpoint of its own when the batch is in a workflow.

Step numbers are drawn before the first row begins and belong to the rows' places, so neither the order in which rows end
nor how many are at work decides a number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.runtime import place
from kurt.runtime.row_records import KIND, LEFT_OUT

if TYPE_CHECKING:
    from kurt.runtime.step_batch import StepBatch
    from kurt.types import JsonObject


class RowLeftError(Exception):
    """A row was not done and is not recorded: a later execution does it."""


__all__ = ["FAILED", "KIND", "LEFT_OUT", "SKIPPED", "SUCCEEDED", "RowLeftError", "Rows", "draw"]

SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
"""States of a row's checkpoint."""


def draw(count: int) -> StepBatch | None:
    """Numbers for so many rows, None outside of a workflow; to be called from the workflow's own thread."""
    if not count or not place.in_workflow():
        return None
    from kurt.runtime.step_batch import StepBatch  # noqa: PLC0415 - who is in no workflow loads no DBOS

    return StepBatch(count)


class Rows:
    """The rows of one call of a step.

    Args:
        name: durable name of the step; row 7 is recorded as `name[7]`.
        concurrency: rows at work at once.
        work: does one row and gives its checkpoint; must not raise for what concerns the row alone.
        batch: the rows' numbers, None outside of a workflow.
        stored: is told of each row that is over: its index, its checkpoint, and whether it was there already.
    """

    def __init__(
        self,
        name: str,
        *,
        concurrency: int,
        work: Callable[[int], Awaitable[JsonObject]],
        batch: StepBatch | None,
        stored: Callable[[int, JsonObject, bool], None],
    ) -> None:
        self._name = name
        self._concurrency = concurrency
        self._work = work
        self._batch = batch
        self._stored = stored
        self._results: dict[int, JsonObject] = {}
        self.stopped = False

    def stop(self) -> None:
        """Begin no further row; those at work end."""
        self.stopped = True

    async def run(self, order: Sequence[int]) -> dict[int, JsonObject]:
        """Do the rows, begun in this order; their checkpoints by index.

        Raises:
            BaseException: what `work` raises, and that the run was cancelled or taken over; the other rows are
                cancelled then.
        """
        todo = iter(order)
        workers = [self._worker(todo) for _ in range(min(self._concurrency, len(order)))]
        if self._batch is not None:
            await _until_done(workers, self._batch.watch())
        else:
            await _until_done(workers)
        return self._results

    async def _worker(self, todo: Any) -> None:
        for index in todo:
            if self.stopped:
                return
            try:
                found, envelope = await self._row(index)
            except RowLeftError:
                continue
            self._results[index] = envelope
            self._stored(index, envelope, found)

    async def _row(self, index: int) -> tuple[bool, JsonObject]:
        if self._batch is None:
            return False, await self._work(index)
        name = f"{self._name}[{index}]"
        found, envelope = await self._batch.recorded(index, name)
        if found:
            return True, envelope
        return False, await self._batch.run(index, name, partial(self._work, index))


async def _until_done(
    workers: Sequence[Coroutine[Any, Any, Any]], watcher: Coroutine[Any, Any, Any] | None = None
) -> None:
    """Run workers side by side until all are done, or one of them or the watcher raises; then cancel the rest."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    watching = [] if watcher is None else [asyncio.ensure_future(watcher)]
    together = asyncio.gather(*tasks)
    try:
        done, _ = await asyncio.wait([together, *watching], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [*tasks, *watching]:
            task.cancel()
        await asyncio.gather(*tasks, *watching, together, return_exceptions=True)
