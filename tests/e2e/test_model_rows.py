"""Rows that ask a model: what fails, what it costs, what is left after a kill, what a budget stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kurt.testing import faults
from kurt.testing.model_server import ModelServer
from tests.support import models, rows
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(latency=0.02, keep_bodies=False) as server:
        yield server


def _has_asked(server: ModelServer, moment: int) -> bool:
    return len(server.arrivals) >= moment


def of_row(traces: list[dict[str, Any]], row: int) -> list[tuple[int, str, str | None]]:
    return [(one["attempt"], one["state"], one["error_type"]) for one in traces if one["row"] == row]


def test_each_kind_of_failure_has_its_state_attempts_and_traces(
    kurt: Kurt, project: Path, server: ModelServer
) -> None:
    models.furnish(kurt, server, timeout=0.5, prices="1000/2000")
    server.script("<0>", always=faults.server_error())
    server.script("<1>", faults.server_error(), faults.server_error())
    server.script("<2>", faults.rate_limited(0.3))
    server.script("<3>", faults.hang())
    server.script("<4>", faults.not_json())
    server.script("<5>", faults.wrong_schema())
    server.script("<6>", faults.cut())
    server.script("<7>", always=faults.wrong_schema())
    server.script("<8>", always=faults.refused())
    found = kurt.json("workflows", "run", "asking", "--input", "count=30", "--run-id", "faults")
    assert found["status"] == "succeeded"
    assert found["outputs"]["states"] == {"<0>": "error", "<7>": "error", "<8>": "error"}
    traces = rows.traces(project)
    assert of_row(traces, 0) == [(number, "failed", "ServerError") for number in (1, 2, 3)]
    assert [state for _, state, _ in of_row(traces, 1)] == ["failed", "failed", "succeeded"]
    assert of_row(traces, 2) == [(1, "failed", "RateLimited"), (2, "succeeded", None)]
    assert of_row(traces, 3) == [(1, "failed", "Timeout"), (2, "succeeded", None)]
    for row in (4, 5):
        assert [state for _, state, _ in of_row(traces, row)] == ["failed", "succeeded"]
        assert [one["kind"] for one in traces if one["row"] == row] == ["call", "reask"]
    assert [state for _, state, _ in of_row(traces, 6)] == ["failed", "succeeded"]
    assert [state for _, state, _ in of_row(traces, 7)] == ["failed", "failed"]
    assert [state for _, state, _ in of_row(traces, 8)] == ["failed"]
    waited = [one["started_at"] for one in traces if one["row"] == 2]
    assert waited[0] < waited[1]
    paid = server.counts()
    answered = [one for one in traces if one["tokens_in"] is not None]
    assert len(traces) == paid["arrived"]
    assert sum(one["tokens_in"] for one in answered) == paid["tokens_in"]
    assert sum(one["tokens_out"] for one in answered) == paid["tokens_out"]
    cost = (paid["tokens_in"] * 1000 + paid["tokens_out"] * 2000) / 1_000_000
    assert sum(one["cost"] for one in traces if one["cost"]) == pytest.approx(cost)

    server.reset()
    again = kurt.json("workflows", "retry", "faults", "--failed-rows")
    assert again["outputs"]["states"] == {}
    assert server.counts()["arrived"] == 3
    assert [state for _, state, _ in of_row(rows.traces(project), 0)] == ["failed"] * 3 + ["succeeded"]


def test_a_spent_quota_stops_the_calls_and_the_rest_can_be_asked_later(
    kurt: Kurt, project: Path, server: ModelServer
) -> None:
    models.furnish(kurt, server, concurrency=5)
    server.script("<20>", always=faults.quota_spent())
    found = kurt.json("workflows", "run", "asking", "--input", "count=60", "--run-id", "quota")
    states = found["outputs"]["states"]
    assert states["<20>"] == "error"
    assert set(states.values()) == {"error", "skipped"}
    assert "left out after row 20 failed" in found["outputs"]["errors"]["<59>"]
    assert server.counts()["arrived"] <= 26
    before = server.counts()["arrived"]
    server._scripts.clear()
    assert kurt.json("workflows", "retry", "quota", "--failed-rows")["outputs"]["states"] == {}
    assert server.counts()["arrived"] - before == len(states)


def test_a_budget_ends_the_run_and_a_retry_goes_on_from_there(
    kurt: Kurt, project: Path, server: ModelServer
) -> None:
    models.furnish(kurt, server, concurrency=5, prices="10000/10000")
    inputs = ["--input", "count=60", "--input", "usd=1.0"]
    failed = kurt("workflows", "run", "asking", *inputs, "--run-id", "poor", code=1)
    assert "the budget of this step is spent" in failed.stderr
    spent = sum(one["cost"] for one in rows.traces(project))
    dearest = max(one["cost"] for one in rows.traces(project))
    assert 1.0 <= spent <= 1.0 + 5 * dearest
    calls = server.counts()["arrived"]
    module = project / "workflows" / "asking" / "workflow.py"
    module.write_text(module.read_text().replace("usd=usd", "usd=100 * usd"))
    assert kurt.json("workflows", "retry", "poor")["outputs"]["states"] == {}
    assert server.counts()["arrived"] == 60
    assert calls < 60


def test_a_budget_may_end_the_step_with_what_there_is(kurt: Kurt, project: Path, server: ModelServer) -> None:
    models.furnish(kurt, server, concurrency=5, prices="10000/10000")
    inputs = ["--input", "count=60", "--input", "usd=1.0", "--input", "on_spent=partial"]
    found = kurt.json("workflows", "run", "asking", *inputs)
    skipped = found["outputs"]["states"]
    assert found["status"] == "succeeded"
    assert set(skipped.values()) == {"skipped"}
    assert len(skipped) == 60 - server.counts()["arrived"]


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_thousand_rows_survive_a_kill_at_any_moment(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, server: ModelServer, chaos: Chaos
) -> None:
    count, concurrency = 1000, 50
    models.furnish(kurt, server, concurrency=concurrency, prices="1/2")
    server.latency = 0.1
    for number in range(min(chaos.rounds, FULL_SERIES)):
        server.arrivals.clear()
        run_id = f"killed-{number}"
        words = ["workflows", "run", "asking", "--input", f"count={count}", "--run-id", run_id]
        victim = spawn_kurt(*words)
        moment = chaos.random.randrange(1, count - concurrency)
        wait_until(partial(_has_asked, server, moment), 60)
        victim.kill()
        finished = kurt.json("workflows", "resume", run_id)
        assert finished["outputs"] == {"states": {}, "errors": {}, "rows": count}
        asked = [arrival.prompt for arrival in server.arrivals]
        assert len(set(asked)) == count
        assert len(asked) - count <= concurrency
        traces = [one for one in rows.traces(project) if one["run_id"] == run_id]
        cut = [one for one in traces if one["state"] == "cut"]
        good = [one for one in traces if one["state"] == "succeeded"]
        assert len(good) + len(cut) == len(traces)
        assert {one["row"] for one in good} == set(range(count))
        # Answers that went to the killed process and that it could not note any more are among those that were cut.
        unseen = server.counts()["delivered"] - len(good)
        assert 0 <= unseen <= len(cut) <= concurrency
        if not unseen:
            assert sum(one["tokens_in"] for one in good) == server.counts()["tokens_in"]
