"""What runs cost."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from benchmarks.measure import Sample
from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench

FEW, MANY = 100, 1000
FEW_CLI, MANY_CLI = 10, 110


@benchmark("ten-steps")
def ten_steps(bench: Bench) -> list[Figure]:
    """A run of ten steps from the shell, against a DBOS script that does the same."""
    file = bench.steps_file(10)
    found = bench.in_turn({"kurt": bench.measure("workflows", "run", file), "dbos": bench.measure_bare("10")})
    return [
        Figure(
            what=f"10-step run from the shell, {name}",
            value=kurt / dbos,
            unit="x",
            budget=1.3,
            against="a bare DBOS script",
            detail={"kurt_s": kurt, "dbos_s": dbos},
        )
        for name, kurt, dbos in (
            ("wall", found["kurt"].wall, found["dbos"].wall),
            ("CPU", found["kurt"].cpu, found["dbos"].cpu),
        )
    ]


@benchmark("per-step")
def per_step(bench: Bench) -> list[Figure]:
    """The slope from 100 to 1,000 steps, against DBOS's own async steps."""
    found = bench.in_turn(
        {
            "kurt-few": bench.measure("workflows", "run", bench.steps_file(FEW)),
            "dbos-few": bench.measure_bare(str(FEW)),
            "kurt-many": bench.measure("workflows", "run", bench.steps_file(MANY)),
            "dbos-many": bench.measure_bare(str(MANY)),
        }
    )
    kurt = (found["kurt-many"] - found["kurt-few"]) / (MANY - FEW)
    dbos = (found["dbos-many"] - found["dbos-few"]) / (MANY - FEW)
    return [
        Figure(
            what=f"each further step, {name}",
            value=ours / theirs,
            unit="x",
            budget=2,
            against="a bare async DBOS step",
            detail={"kurt_ms": ours * 1000, "dbos_ms": theirs * 1000},
        )
        for name, ours, theirs in (("wall", kurt.wall, dbos.wall), ("CPU", kurt.cpu, dbos.cpu))
    ]


@benchmark("cli-step")
def cli_step(bench: Bench) -> list[Figure]:
    """A `cli` step on a primitive, once the pool is warm."""
    bench.write("data.json", json.dumps({"rows": [1, 2, 3]}))
    step = {"type": "cli", "command": "workflows read", "argv": ["data.json"]}
    found = bench.in_turn(
        {
            "few": bench.measure("workflows", "run", bench.steps_file(FEW_CLI, step)),
            "many": bench.measure("workflows", "run", bench.steps_file(MANY_CLI, step)),
        }
    )
    each: Sample = (found["many"] - found["few"]) / (MANY_CLI - FEW_CLI)
    return [
        Figure(
            what="a `cli` step on a primitive, wall",
            value=each.wall * 1000,
            unit="ms",
            budget=10,
            detail={"cpu_ms": each.cpu * 1000},
        )
    ]


@benchmark("overlap")
def overlap(bench: Bench) -> list[Figure]:
    """`parallel` and `foreach` really overlap."""
    sleep = {"type": "run", "command": ["sleep", "1"]}
    nap = {"name": "nap", "type": "run", "command": ["sleep", "0.5"]}
    parallel = {"name": "both", "parallel": [{"name": "a", **sleep}, {"name": "b", **sleep}]}
    foreach = {
        "name": "naps",
        "foreach": {"items": "${numbers}", "as": "number", "max_concurrent": 10},
        "steps": [nap],
    }
    return [
        _duration(bench, "`parallel` with two steps of 1 s", 1.6, {"steps": [parallel]}),
        _duration(
            bench,
            "`foreach` over 20 items of 0.5 s, 10 at a time",
            2.5,
            {"inputs": {"numbers": {"type": "list", "default": list(range(20))}}, "steps": [foreach]},
        ),
    ]


def _duration(bench: Bench, what: str, budget: float, body: dict[str, Any]) -> Figure:
    """The shortest duration of three runs, from start to end of the run."""
    file = bench.write("workflows/overlap.yaml", json.dumps({"name": "overlap", **body}))
    runs = [bench.json("workflows", "run", str(file)) for _ in range(3)]
    durations = [(_time(run["completed_at"]) - _time(run["started_at"])).total_seconds() for run in runs]
    return Figure(
        what=what, value=min(durations), unit="s", budget=budget, detail={"slowest_s": max(durations)}
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
