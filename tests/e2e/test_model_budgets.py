"""Budgets of rows that ask a model: where they stop, what they say, and how a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.model_server import ModelServer
from tests.support import models, rows
from tests.support.cli import Kurt
from tests.support.processes import Spawned

CONCURRENCY, COUNT = 5, 60
PRICES = "10000/10000"
"""Dollars per million tokens: a call costs about an eighth."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(latency=0.02, keep_bodies=False) as server:
        yield server


def furnish(kurt: Kurt, server: ModelServer, more: str = "") -> None:
    models.furnish(kurt, server.url, concurrency=CONCURRENCY, prices=PRICES, more=more)


def words(workflow: str, run_id: str, **inputs: Any) -> list[str]:
    given = {"count": COUNT, **inputs}
    pairs = [word for name, value in given.items() for word in ("--input", f"{name}={value}")]
    return ["workflows", "run", workflow, *pairs, "--run-id", run_id]


def assert_spent(project: Path, limit: float, in_flight: int, **only: str) -> None:
    """The limit is reached, and exceeded by the calls in flight at most."""
    found = [one for one in rows.traces(project) if all(one[name] == value for name, value in only.items())]
    spent = sum(one["cost"] for one in found)
    dearest = max(one["cost"] for one in found)
    assert limit <= spent <= limit + in_flight * dearest


def edit(project: Path, before: str, after: str) -> None:
    file = project / "workflows" / "asking" / "workflow.py"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_a_spent_budget_fails_the_run_and_a_higher_one_lets_it_go_on(
    kurt: Kurt, project: Path, server: ModelServer
) -> None:
    furnish(kurt, server)
    failed = kurt(*words("asking", "poor", usd=1.0), code=1)
    assert "the budget of this step is spent: $1." in failed.stderr
    assert "of $1.00 are spent" in failed.stderr
    assert "hint: raise the budget, then `kurt workflows resume` the run" in failed.stderr
    shown = kurt.json("workflows", "status", "poor")
    assert (shown["status"], shown["error"]["type"]) == ("failed", "BudgetSpent")
    assert_spent(project, 1.0, CONCURRENCY)
    assert len(server.arrivals) < COUNT
    still = kurt("workflows", "resume", "poor", code=1)
    assert "the budget of this step is spent" in still.stderr
    asked = len(server.arrivals)
    edit(project, "usd=usd", "usd=100 * usd")
    assert kurt.json("workflows", "resume", "poor")["outputs"]["states"] == {}
    assert len(server.arrivals) == COUNT
    assert asked < COUNT
    assert len({one.prompt for one in server.arrivals}) == COUNT


def test_a_budget_of_the_settings_is_raised_there(kurt: Kurt, project: Path, server: ModelServer) -> None:
    furnish(kurt, server, more="ASKING.ASK.LLM_BUDGET_USD=1\n")
    failed = kurt(*words("asking", "poor"), code=1)
    assert "of $1.00 are spent" in failed.stderr
    assert_spent(project, 1.0, CONCURRENCY)
    config = project / "kurt.config"
    config.write_text(config.read_text().replace("BUDGET_USD=1", "BUDGET_USD=100"))
    submitted = kurt.json("workflows", "resume", "poor", "--background")
    assert submitted["run_id"] == "poor"
    assert kurt.json("workflows", "wait", "poor")["outputs"]["states"] == {}
    assert len(server.arrivals) == COUNT


def test_a_budget_may_end_the_step_with_what_there_is(kurt: Kurt, project: Path, server: ModelServer) -> None:
    furnish(kurt, server)
    found = kurt.json(*words("asking", "partly", usd=1.0, on_spent="partial"))
    skipped = found["outputs"]["states"]
    assert found["status"] == "succeeded"
    assert set(skipped.values()) == {"skipped"}
    assert len(skipped) == COUNT - len(server.arrivals)
    assert_spent(project, 1.0, CONCURRENCY)
    edit(project, "usd=usd", "usd=100 * usd")
    assert kurt.json("workflows", "retry", "partly", "--failed-rows")["outputs"]["states"] == {}
    assert len(server.arrivals) == COUNT


def test_a_budget_for_tokens(kurt: Kurt, project: Path, server: ModelServer) -> None:
    furnish(kurt, server, more="LLM.BUDGET_TOKENS=200\n")
    failed = kurt(*words("asking", "poor"), code=1)
    assert "of 200 tokens are used" in failed.stderr
    found = [one["tokens_in"] + one["tokens_out"] for one in rows.traces(project)]
    assert 200 <= sum(found) <= 200 + CONCURRENCY * max(found)


@pytest.mark.parametrize("workflow", ["asking_twice", "asking_together"])
def test_the_steps_of_a_run_share_its_budget(
    kurt: Kurt, project: Path, server: ModelServer, workflow: str
) -> None:
    furnish(kurt, server)
    failed = kurt(*words(workflow, "both", count=20, usd=3.0, scope="run"), code=1)
    assert "the budget of this run is spent" in failed.stderr
    in_flight = CONCURRENCY if workflow == "asking_twice" else 2 * CONCURRENCY
    assert_spent(project, 3.0, in_flight, run_id="both")
    assert {one["step"] for one in rows.traces(project)} == {"ask", "more"}
    asked = len(server.arrivals)
    assert asked < 40
    edit(project, "usd=usd", "usd=100 * usd")
    kurt.json("workflows", "resume", "both")
    # `gather` does not wait for the other step: what that had in flight when the run failed is paid again.
    again = 0 if workflow == "asking_twice" else CONCURRENCY
    assert 40 <= len(server.arrivals) <= 40 + again


def test_the_runs_of_a_workspace_share_its_budget(
    kurt: Kurt, spawn_kurt: Callable[..., Spawned], project: Path, server: ModelServer
) -> None:
    furnish(kurt, server, more="LLM.BUDGET_USD=6\nLLM.BUDGET_SCOPE=workspace\n")
    processes = [spawn_kurt("--workspace", "w1", *words("asking", f"run-{number}")) for number in range(2)]
    other = kurt.json("--workspace", "w2", *words("asking", "other", count=10))
    assert other["status"] == "succeeded"
    assert [process.wait() for process in processes] == [1, 1]
    for process in processes:
        assert "the budget of this workspace is spent" in process.stderr
    assert_spent(project, 6.0, 2 * CONCURRENCY, workspace_id="w1")
    late = kurt("--workspace", "w1", *words("asking", "late"), code=1)
    assert "the budget of this workspace is spent" in late.stderr
    assert not [one for one in rows.traces(project) if one["run_id"] == "late"]
