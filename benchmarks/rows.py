"""Rows of a batch step, and what they are measured against; run in a process of its own by `benchmarks.cases.rows`.

`python rows.py kurt URL COUNT CONCURRENCY`, `python rows.py bare URL COUNT CONCURRENCY`, `python rows.py noop COUNT`,
`python rows.py many COUNT`: prints a line of JSON with seconds, processor seconds and the most memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def measured(work: Callable[[], Any], count: int) -> dict[str, float]:
    """Do it once to warm up with few rows in it, then measure."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "rows_per_s": count / (time.perf_counter() - wall),
        "wall_s": time.perf_counter() - wall,
        "cpu_ms_per_row": (time.process_time() - cpu) * 1000 / count,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def with_kurt(count: int, concurrency: int, model: str | None) -> dict[str, float]:
    """A batch step in a workflow of a project: each row checkpointed and traced."""
    from dbos import DBOS
    from pydantic import BaseModel

    from kurt.core import LLMStep, destroy_dbos, init_dbos

    class Out(BaseModel):
        answer: str
        score: int

    def noop(_prompt: str) -> dict[str, Any]:
        return {"answer": "x" * 100, "score": 1}

    step = LLMStep(
        name="ask",
        input_columns=["content"],
        prompt_template="Tell of {content}",
        output_schema=Out,
        model=model,
        llm_fn=None if model else noop,
        concurrency=concurrency,
    )

    @DBOS.workflow(name="benchmark.rows")
    def rows(number: int) -> int:
        table = step.run([{"content": index} for index in range(number)])
        assert all(row["ask_status"] == "success" for row in table)
        return number

    init_dbos(queues=())
    rows(concurrency)
    found = measured(lambda: rows(count), count)
    destroy_dbos()
    return found


def bare(url: str, count: int, concurrency: int, path: str) -> dict[str, float]:
    """A bare DBOS step and a bare aiohttp call for each row; neither trace nor check of the answer."""
    import aiohttp
    from dbos import DBOS, DBOSConfig

    from benchmarks.bare import engine

    body = {"model": "fake", "messages": [{"role": "user", "content": "Tell of it"}]}

    async def work(number: int) -> int:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def call() -> str:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    answer = await response.json()
                    return answer["choices"][0]["message"]["content"]

            slots = [DBOS.reserve_step() for _ in range(number)]
            todo = iter(slots)

            async def worker() -> None:
                for slot in todo:
                    await slot.run_async({"name": "row"}, call)

            await asyncio.gather(*[worker() for _ in range(concurrency)])
        return number

    config: DBOSConfig = {
        "name": "bare-yardstick",
        "system_database_url": f"sqlite:///{path}",
        "system_database_engine": engine(path),
        "notification_listener_polling_interval_sec": 0.05,
        "application_version": "bare",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    workflow = DBOS.workflow(name="rows")(work)
    DBOS.launch()
    asyncio.run(workflow(concurrency))
    found = measured(lambda: asyncio.run(workflow(count)), count)
    DBOS.destroy()
    return found


def main(what: str, *rest: str) -> None:
    match what:
        case "kurt":
            found = with_kurt(int(rest[0]), int(rest[1]), "openai/fake")
        case "noop":
            found = with_kurt(int(rest[0]), int(rest[1]), None)
        case _:
            found = bare(os.environ["BENCH_URL"], int(rest[0]), int(rest[1]), rest[2])
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
