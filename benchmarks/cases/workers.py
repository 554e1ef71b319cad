"""What workers cost and how soon they answer."""

from __future__ import annotations

import statistics
import subprocess
import time
from datetime import datetime

from benchmarks.measure import usage_of
from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench

WATCHED = 10.0
"""Seconds for which an idle worker is watched."""


@benchmark("latency")
def latency(bench: Bench) -> list[Figure]:
    """From the enqueueing of a run to its first step, with a worker up."""
    file = bench.steps_file(1)
    with bench.worker():
        bench.kurt("workflows", "wait", bench.json("workflows", "run", file, "--background")["run_id"])
        delays = sorted(first_step_delay(bench, file) for _ in range(max(bench.rounds, 9)))
    return [
        Figure(
            what="enqueue to first step, worker up, median",
            value=statistics.median(delays) * 1000,
            unit="ms",
            budget=250,
            detail={"slowest_ms": delays[-1] * 1000},
        )
    ]


@benchmark("idle")
def idle(bench: Bench) -> list[Figure]:
    """An idle worker that serves one queue."""
    with bench.worker("--queues", "default") as pid:
        time.sleep(2)
        before = usage_of(_tree(pid))
        time.sleep(WATCHED)
        after = usage_of(_tree(pid))
    share = (after.cpu - before.cpu) / WATCHED
    return [
        Figure(what="idle worker, memory", value=after.memory / 1e6, unit="MB", budget=100, detail={}),
        Figure(what="idle worker, share of a core", value=share * 100, unit="%", budget=3, detail={}),
    ]


def first_step_delay(bench: Bench, file: str) -> float:
    """Seconds between the moment a run was enqueued and its first step; both clocks are this machine's."""
    run = bench.json("workflows", "run", file, "--background")["run_id"]
    bench.kurt("workflows", "wait", run)
    created = datetime.fromisoformat(bench.json("workflows", "status", run)["created_at"]).timestamp()
    (step,) = bench.json("workflows", "steps", run)
    return datetime.fromisoformat(step["started_at"]).timestamp() - created


def _tree(pid: int) -> set[int]:
    """A process and all below it."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
