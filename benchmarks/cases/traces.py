"""What it costs to trace calls of models."""

from __future__ import annotations

from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import REPOSITORY, Bench

ROWS = 1000


@benchmark("traces")
def traces(bench: Bench) -> list[Figure]:
    """Start and end of 1,000 calls written to the database, 50 calls at a time."""
    bench.kurt("db", "upgrade")
    program = str(REPOSITORY / "benchmarks" / "traced.py")
    found = bench.in_turn(
        {name: bench.measure_python(program, str(ROWS), name) for name in ("traced", "bare")}
    )
    cost = found["traced"] - found["bare"]
    return [
        Figure(
            what=f"CPU of {ROWS:,} traced calls, 50 at a time",
            value=cost.cpu,
            unit="s",
            budget=0.15,
            against="the same calls without a trace",
            detail={f"{name}_cpu_s": sample.cpu for name, sample in found.items()},
        )
    ]
