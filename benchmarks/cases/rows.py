"""What the rows of a batch step cost."""

from __future__ import annotations

import json
import statistics
import subprocess
from typing import Any

from benchmarks.measure import python
from benchmarks.registry import Figure, benchmark
from benchmarks.server import Server, model_server
from benchmarks.workspace import REPOSITORY, Bench

ROWS, CONCURRENCY, LATENCY = 1000, 50, 0.02
NOOPS, NOOP_CONCURRENCY = 200, 3
MANY = 20_000


@benchmark("rows")
def rows(bench: Bench) -> list[Figure]:
    """1,000 rows of 20 ms calls, 50 at once, against a bare DBOS step and a bare aiohttp call for each."""
    with model_server(bench, latency=LATENCY) as server:
        _point_at(bench, server)
        samples: dict[str, list[dict[str, float]]] = {"kurt": [], "bare": []}
        for _ in range(max(3, bench.rounds)):
            samples["kurt"].append(_run(bench, "kurt", ROWS, CONCURRENCY))
            samples["bare"].append(
                _run(bench, "bare", ROWS, CONCURRENCY, str(bench.root / "bare-rows.sqlite"))
            )
    rate = _median(samples["kurt"], "rows_per_s")
    cpu, bare = (_median(samples[name], "cpu_ms_per_row") for name in ("kurt", "bare"))
    return [
        Figure(
            what="1,000 rows, checkpointed and traced: wall of a row",
            value=1000 / rate,
            unit="ms",
            budget=2.0,
            detail={"rows_per_s": rate, "bare_rows_per_s": _median(samples["bare"], "rows_per_s")},
        ),
        Figure(
            what="1,000 rows, CPU of a row",
            value=cpu / bare,
            unit="x",
            budget=2.0,
            against="a bare DBOS step and a bare aiohttp call",
            detail={"kurt_ms": cpu, "bare_ms": bare},
        ),
    ]


@benchmark("noop-rows")
def noop_rows(bench: Bench) -> list[Figure]:
    """200 rows that do nothing, 3 at once; and 20,000, for memory."""
    few = [_run(bench, "noop", NOOPS, NOOP_CONCURRENCY) for _ in range(3)]
    many = _run(bench, "noop", MANY, CONCURRENCY)
    return [
        Figure(
            what="200 no-op rows, 3 at once",
            value=_median(few, "wall_s"),
            unit="s",
            budget=1.0,
            detail={"rows_per_s": _median(few, "rows_per_s")},
        ),
        Figure(
            what="memory of a run with 20,000 rows",
            value=many["memory_mb"],
            unit="MB",
            budget=300,
            detail={"rows_per_s": many["rows_per_s"], "few_mb": _median(few, "memory_mb")},
        ),
    ]


def measured_rows(bench: Bench, server: Server) -> dict[str, float]:
    """The rows through Kurt alone: medians, as `benchmarks.rows` has them."""
    _point_at(bench, server)
    samples = [_run(bench, "kurt", ROWS, CONCURRENCY) for _ in range(3)]
    return {name: _median(samples, name) for name in samples[0]}


def _point_at(bench: Bench, server: Server) -> None:
    """Let the project's model be the server, at a price."""
    bench.environ |= {"OPENAI_API_KEY": "k", "BENCH_URL": server.url}
    with (bench.root / "kurt.config").open("a") as config:
        config.write(f'\nLLM.BASE_URL="{server.url}"\nLLM.PRICES="openai/fake=1/2"\n')


def _median(samples: list[dict[str, float]], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)


def _run(bench: Bench, *argv: Any) -> dict[str, float]:
    """One measurement in a process of its own."""
    done = subprocess.run(
        python("-m", "benchmarks.rows", *map(str, argv)),
        cwd=bench.root,
        env={**bench.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"benchmarks.rows {argv} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
