"""`budget` of files and steps: where they stop, over what they count, and how a run goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kurt.testing.model_server import ModelServer
from tests.support import models, rows
from tests.support.cli import Kurt
from tests.support.model_files import Asking


@pytest.fixture
def asking(kurt: Kurt) -> Iterator[Asking]:
    with ModelServer(latency=0.01, keep_bodies=False) as server:
        yield Asking(kurt, server, "LLM.BUDGET_SCOPE=step\n")


FILE = """
name: flow
budget: {tokens: 60}
steps:
  - {name: one, type: llm, prompt: "0123456789012345678901234567890123456789"}
  - name: rows
    foreach: {items: [1, 2, 3], max_concurrent: 1}
    steps:
      - {name: inner, type: llm, items: ["a${item}", "b${item}"], prompt: "<${item}>", concurrency: 1}
  - {name: last, type: llm, prompt: "the end"}
outputs: {rows: "${steps.rows}", last: "${steps.last}"}
"""
"""Its calls cost 13, 6 times 4, and 4 tokens: 41."""


def tokens(asking: Asking, run_id: str) -> int:
    return sum(
        (one["tokens_in"] or 0) + (one["tokens_out"] or 0)
        for one in rows.traces(asking.project)
        if one["run_id"] == run_id
    )


def test_the_budget_of_a_file_counts_all_its_calls(asking: Asking) -> None:
    asking.write(FILE)
    asking.run("--run-id", "enough")
    spent = tokens(asking, "enough")
    calls = len(asking.server.arrivals)
    asking.server.reset()
    asking.write(FILE.replace("tokens: 60", f"tokens: {spent - 8}"))
    failed = asking.run("--run-id", "r", code=1)
    assert "the budget of this run is spent" in failed.stderr
    assert "set FLOW.LLM_BUDGET_TOKENS in kurt.config, then: kurt workflows retry r" in failed.stderr
    asked = len(asking.server.arrivals)
    assert asked < calls
    assert spent - 8 <= tokens(asking, "r") < spent
    assert asking.status("r")["error"]["type"] == "BudgetSpent"
    config = asking.project / "kurt.config"
    config.write_text(config.read_text() + "\nFLOW.LLM_BUDGET_TOKENS=1000\n")
    assert asking.kurt.json("workflows", "retry", "r")["status"] == "succeeded"
    assert len(asking.server.arrivals) == calls
    assert tokens(asking, "r") == spent


PARTIAL = """
name: flow
budget: {tokens: 40, on_spent: partial}
steps:
  - {name: many, type: llm, items: "${[]}", prompt: "<${item}>", concurrency: 1, output: rows}
  - {name: after, type: llm, prompt: "after"}
  - {name: free, type: script, code: "result = 1"}
outputs: {rows: "${rows}", after: "${steps.after}", free: "${steps.free}"}
""".replace('"${[]}"', "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]")


def test_a_run_may_go_on_without_what_cannot_be_paid(asking: Asking) -> None:
    asking.write(PARTIAL)
    run = asking.run("--run-id", "r", "--format", "json").json()
    states = [row["status"] for row in run["outputs"]["rows"]]
    paid = states.count("success")
    assert states == ["success"] * paid + ["skipped"] * (15 - paid)
    assert 0 < paid < 15
    assert (run["outputs"]["after"], run["outputs"]["free"]) == (None, 1)
    assert run["summary"] == {"rows": 15, "rows_skipped": 15 - paid}
    assert asking.steps("r")["after"]["status"] == "skipped"
    assert "the budget of this run is spent" in asking.kurt("workflows", "logs", "r").stdout
    config = asking.project / "kurt.config"
    config.write_text(config.read_text() + "\nFLOW.LLM_BUDGET_TOKENS=1000\n")
    again = asking.kurt.json("workflows", "retry", "r")
    assert [row["status"] for row in again["outputs"]["rows"]] == ["success"] * 15


STEPS = """
name: flow
steps:
  - name: items
    foreach: {items: [1, 2, 3, 4, 5, 6], max_concurrent: 1, on_item_error: skip}
    steps:
      - {name: dear, type: llm, prompt: "<${item}>", budget: {usd: 0.01}}
  - {name: free, type: llm, prompt: "free"}
  - name: other
    workflow: other.yaml
outputs: {items: "${steps.items}", free: "${steps.free}", other: "${steps.other}"}
"""
OTHER = """
name: other
budget: {tokens: 5, on_spent: partial}
steps:
  - {name: first, type: llm, prompt: "first"}
  - {name: second, type: llm, prompt: "second"}
  - {name: third, type: llm, prompt: "third"}
outputs: {all: ["${steps.first}", "${steps.second}", "${steps.third}"]}
"""


def test_budgets_of_steps_and_of_files_that_others_run_count_their_own_calls(asking: Asking) -> None:
    asking.write(OTHER, "other.yaml")
    found = asking.outputs(STEPS, "--run-id", "r")
    assert 0 < len(found["items"]) < 6
    assert found["free"] == "A plain answer."
    assert found["other"]["all"][0] == "A plain answer."
    assert found["other"]["all"][2] is None
    assert {one["step"] for one in rows.traces(asking.project)} == {
        "items.dear",
        "free",
        "other.first",
        "other.second",
    }
    dear = [one for one in rows.traces(asking.project) if one["step"] == "items.dear"]
    assert sum(one["cost"] for one in dear) >= 0.01
    assert sum(one["cost"] for one in dear[:-1]) < 0.01
    assert not [one for one in asking.server.arrivals if one.prompt == "third"]


def test_the_budget_of_a_file_holds_in_the_files_that_it_runs(asking: Asking) -> None:
    asking.write(OTHER.replace("budget: {tokens: 5, on_spent: partial}\n", ""), "other.yaml")
    asking.write("name: flow\nbudget: {tokens: 5}\nsteps: [{name: other, workflow: other.yaml}]\n")
    failed = asking.run("--run-id", "r", code=1)
    assert "the budget of this run is spent" in failed.stderr
    assert len(asking.server.arrivals) == 2


def test_the_budget_of_a_file_holds_in_the_python_workflows_that_it_runs(asking: Asking) -> None:
    config = asking.project / "kurt.config"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("LLM.BASE_URL")]
    config.write_text("\n".join(lines))
    models.furnish(asking.kurt, asking.server.url, concurrency=1)
    asking.write(
        "name: flow\nbudget: {tokens: 60}\nsteps:\n"
        "  - {name: asking, workflow: asking, inputs: {count: 30}}\n"
        "  - {name: last, type: llm, prompt: x}\n"
    )
    failed = asking.run("--run-id", "r", code=1)
    assert "the budget of this run is spent" in failed.stderr
    assert 0 < len(asking.server.arrivals) < 30
    assert 60 <= tokens(asking, "r") < 100
