"""What a long history costs: the same commands with 100,000 old runs in the database."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
from pathlib import Path

from benchmarks.cases.workers import first_step_delay
from benchmarks.measure import Sample
from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench, workspace

RUNS = 100_000
OWNED_BY = "workflow_uuid"
"""The column that says to which run a row of DBOS belongs."""


@benchmark("history")
def history(bench: Bench) -> list[Figure]:
    """Listing and starting runs with 100,000 old runs, against an empty database."""
    with workspace(bench.rounds) as full:
        example = full.json("workflows", "run", full.steps_file(3))["run_id"]
        multiply(full.root / ".kurt" / "kurt.sqlite", example, RUNS)
        recent = bench.json("workflows", "run", bench.steps_file(3))["run_id"]
        found = bench.in_turn(
            {
                "list": bench.measure("workflows", "list"),
                "list full": full.measure("workflows", "list"),
                "list failed": bench.measure("workflows", "list", "--status", "failed"),
                "list failed full": full.measure("workflows", "list", "--status", "failed"),
                "list name": bench.measure("workflows", "list", "--name", "nothing"),
                "list name full": full.measure("workflows", "list", "--name", "nothing"),
                "list user": bench.measure("workflows", "list", "--user", "nobody"),
                "list user full": full.measure("workflows", "list", "--user", "nobody"),
                "list workspace": bench.measure("workflows", "list", "--workspace", "none"),
                "list workspace full": full.measure("workflows", "list", "--workspace", "none"),
                "status": bench.measure("workflows", "status", recent),
                "status full": full.measure("workflows", "status", example),
            }
        )
        delays = {"empty": _delay(bench), "full": _delay(full)}
    figures = [
        _ratio(f"`kurt workflows {name}`", found[name], found[f"{name} full"]) for name in _names(found)
    ]
    return [
        *figures,
        Figure(
            what="enqueue to first step, 100,000 old runs",
            value=delays["full"] / delays["empty"],
            unit="x",
            budget=2,
            against="an empty database",
            detail={f"{name}_ms": value * 1000 for name, value in delays.items()},
        ),
    ]


def multiply(database: Path, run: str, count: int) -> None:
    """Copy all rows of one finished run so many times under new ids, spread over the past."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.create_function("unixepoch", -1, lambda *_: 0)  # a default of some columns, unused here
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        connection.execute("CREATE TEMP TABLE copies (id TEXT, age INTEGER)")
        connection.executemany(
            "INSERT INTO copies VALUES (?, ?)",
            ((f"0{number:025x}"[:26], number * 1000) for number in range(count)),
        )
        for table in tables:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            if OWNED_BY in columns:
                _copy_rows(connection, table, columns, run)
        (stored,) = connection.execute("SELECT count(*) FROM workflow_status").fetchone()
    if stored <= count:
        raise RuntimeError(f"{stored} runs are stored, not {count}: DBOS's tables have changed")


def _copy_rows(connection: sqlite3.Connection, table: str, columns: list[str], run: str) -> None:
    """Insert the rows of a run once for each row of `copies`."""
    age = {"created_at", "updated_at"}
    chosen = [
        "copies.id" if c == OWNED_BY else f't."{c}" - copies.age' if c in age else f't."{c}"' for c in columns
    ]
    names = ", ".join(f'"{column}"' for column in columns)
    connection.execute(
        f'INSERT INTO "{table}" ({names}) SELECT {", ".join(chosen)} FROM copies CROSS JOIN "{table}" t '
        f"WHERE t.{OWNED_BY} = ?",
        (run,),
    )


def _names(found: dict[str, Sample]) -> list[str]:
    return [name for name in found if not name.endswith(" full")]


def _ratio(what: str, empty: Sample, full: Sample) -> Figure:
    return Figure(
        what=f"{what}, 100,000 old runs, wall",
        value=full.wall / empty.wall,
        unit="x",
        budget=2,
        against="an empty database",
        detail={"empty_s": empty.wall, "full_s": full.wall},
    )


def _delay(bench: Bench) -> float:
    """Median seconds from enqueueing to the first step."""
    file = bench.steps_file(1)
    with bench.worker():
        first_step_delay(bench, file)
        return statistics.median(first_step_delay(bench, file) for _ in range(7))
