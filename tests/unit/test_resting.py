"""What counts as rest: only executions of which every lane waits for people or for children that rest."""

from __future__ import annotations

import asyncio

from kurt.engine.interpreter.concurrency import together
from kurt.runtime import resting


async def _forever() -> None:
    with resting.waiting():
        await asyncio.Event().wait()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_run_is_at_work_unless_it_says_that_it_waits() -> None:
    with resting.execution("r", "r"):
        assert resting.rested("r") is None
        with resting.waiting():
            assert resting.rested("r") == ["r"]
            assert resting.rested("r", seconds=60) is None, "not for so long"
        assert resting.rested("r") is None
    assert resting.rested("r") is None


async def test_every_lane_must_wait() -> None:
    work = asyncio.Event()

    async def run() -> None:
        with resting.execution("r", "r"):
            await together(_forever(), work.wait(), together(_forever(), _forever()))

    task = asyncio.ensure_future(run())
    await _settle()
    assert resting.rested("r") is None, "one lane is at work"
    work.set()
    await _settle()
    assert resting.rested("r") == ["r"], "that lane is over"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert resting.rested("r") is None


async def test_every_execution_of_a_run_must_rest() -> None:
    async def child(work: asyncio.Event) -> None:
        with resting.execution("r", "r.1"):
            await work.wait()
            await _forever()

    work = asyncio.Event()
    task = asyncio.ensure_future(child(work))
    with resting.execution("r", "r"), resting.waiting(), resting.execution("other", "other"):
        await _settle()
        assert resting.rested("r") is None
        work.set()
        await _settle()
        assert set(resting.rested("r") or ()) == {"r", "r.1"}
        assert resting.rested("other") is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_given_up_ends_where_it_is() -> None:
    async def run() -> None:
        with resting.execution("r", "r"):
            await _forever()

    task = asyncio.ensure_future(run())
    await _settle()
    resting.release("r", ["r"])
    assert resting.released() == {"r"}
    resting.give_up(["r"])
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert resting.released() == set(), "nothing of it is here any more"
