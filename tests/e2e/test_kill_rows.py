"""Rows of an `LLMStep` in real runs: kept when the executor is killed, repeated alone when they failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import rows
from tests.support.chaos import Chaos
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

ROWS, CONCURRENCY = 300, 10


@pytest.mark.parametrize("workflow", ["rows", "rows_async"])
def test_a_killed_batch_repeats_at_most_the_calls_in_flight(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, workflow: str, chaos: Chaos
) -> None:
    marks = rows.furnish(project, seconds=0.02, concurrency=CONCURRENCY)
    victim = spawn_kurt("workflows", "run", workflow, "--input", f"count={ROWS}", "--run-id", "killed")
    moment = chaos.random.randrange(20, ROWS - 50)
    wait_until(lambda: rows.counted(marks, "end").total() >= moment, 30)
    victim.kill()
    paid = rows.counted(marks, "end")
    finished = kurt.json("workflows", "resume", "killed")
    assert finished["status"] == "succeeded"
    assert finished["outputs"] == {"rows": ROWS, "good": ROWS, "errors": []}
    begun = rows.counted(marks, "begin")
    assert len(begun) == ROWS
    assert begun.total() <= ROWS + CONCURRENCY
    assert sum(1 for row in paid if rows.counted(marks, "end")[row] > 1) <= CONCURRENCY
    assert rows.counted(marks, "after") == {str(ROWS): 1}
    traces = rows.traces(project)
    assert {row["run_id"] for row in traces} == {"killed"}
    assert {row["state"] for row in traces} <= {"succeeded", "cut"}
    assert {row["row"] for row in traces if row["state"] == "succeeded"} == set(range(ROWS))
    # A call may have been announced and not made, or made and not noted as over: both at the moment of the kill.
    assert 0 <= len(traces) - begun.total() <= CONCURRENCY
    assert sum(row["state"] == "cut" for row in traces) <= CONCURRENCY
    good = [row for row in traces if row["state"] == "succeeded"]
    assert all((row["tokens_in"], row["tokens_out"], row["cost"]) == (2, 1, 0.5) for row in good)


@pytest.mark.parametrize("workflow", ["rows", "rows_async"])
def test_failed_rows_are_repeated_alone(kurt: Kurt, project: Path, workflow: str) -> None:
    marks = rows.furnish(project)
    bad = ["row3", "row17"]
    for row in bad:
        (project / f"fail-{row}").touch()
    first = kurt.json("workflows", "run", workflow, "--input", "count=40", "--run-id", "partly")
    assert first["status"] == "succeeded"
    assert first["outputs"] == {"rows": 40, "good": 38, "errors": [f"no answer to {row}" for row in bad]}
    listed = kurt.json("workflows", "steps", "partly")
    steps = {one["path"]: one for one in (listed["items"] if isinstance(listed, dict) else listed)}
    assert set(steps) >= {"ask"}
    assert not [path for path in steps if path.startswith("ask[")]
    assert steps["ask"]["status"] == "failed"
    assert steps["ask"]["error"]["message"] == "2 of 40 rows failed, the first: no answer to row3"
    (project / "fail-row3").unlink()
    again = kurt.json("workflows", "retry", "partly", "--failed-rows")
    assert again["outputs"] == {"rows": 40, "good": 39, "errors": ["no answer to row17"]}
    (project / "fail-row17").unlink()
    assert kurt.json("workflows", "retry", "partly")["outputs"]["good"] == 40
    begun = rows.counted(marks, "begin")
    assert {row: count for row, count in begun.items() if count > 1} == {"row3": 2, "row17": 3}
    assert rows.counted(marks, "after") == {"38": 1, "39": 1, "40": 1}
    attempts = [
        (row["row"], row["attempt"], row["state"]) for row in rows.traces(project) if row["row"] in {3, 17}
    ]
    assert sorted(attempts) == [
        (3, 1, "failed"),
        (3, 2, "succeeded"),
        (17, 1, "failed"),
        (17, 2, "failed"),
        (17, 3, "succeeded"),
    ]
    nothing = kurt("workflows", "retry", "partly", "--failed-rows", code=1)
    assert "no row of the run partly failed" in nothing.stderr


def test_two_batches_at_once_keep_their_numbers(kurt: Kurt, spawn_kurt: Spawn, project: Path) -> None:
    marks = rows.furnish(project, seconds=0.02, concurrency=5)
    victim = spawn_kurt("workflows", "run", "rows_twice", "--input", "count=60", "--run-id", "twice")
    wait_until(lambda: rows.counted(marks, "end").total() >= 40, 30)
    victim.kill()
    assert kurt.json("workflows", "resume", "twice")["outputs"] == {"rows": 120}
    assert rows.counted(marks, "begin").total() <= 120 + 10
