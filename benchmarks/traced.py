"""Rows of a batch that only wait, with or without a trace of each: `python traced.py ROWS traced|bare`, in a project."""

from __future__ import annotations

import asyncio
import sys
import time

from kurt.core.tracing import TraceRow, trace_writer

CONCURRENCY = 50
CALL = 0.02
"""Seconds that a call takes."""


async def rows(count: int, *, traced: bool) -> None:
    writer = trace_writer()
    run_id = f"bench-{time.time_ns()}"
    left = iter(range(count))

    async def runner() -> None:
        for number in left:
            began = time.time()
            if traced:
                await writer.started(TraceRow(run_id=run_id, step="s", row=number, started_at=began))
            await asyncio.sleep(CALL)
            if traced:
                await writer.finished(finished(run_id, number, began))

    await asyncio.gather(*[runner() for _ in range(CONCURRENCY)])


def finished(run_id: str, number: int, began: float) -> TraceRow:
    return TraceRow(
        run_id=run_id,
        step="s",
        row=number,
        state="succeeded",
        tokens_in=100,
        tokens_out=20,
        cost=0.001,
        currency="USD",
        prompt="What is said here?\n" * 20,
        response='{"answer": "nothing"}',
        started_at=began,
        ended_at=time.time(),
    )


if __name__ == "__main__":
    asyncio.run(rows(int(sys.argv[1]), traced=sys.argv[2] == "traced"))
