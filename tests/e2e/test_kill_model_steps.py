"""kill -9 of executors in the middle of `llm` and `embed` steps of files: nothing is lost, only what was in flight is asked again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability, models, rows
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.models import ServerProcess
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

IDEAL = {"row": 150, "inner": 16, "item": 30, "alone": 6, "vector": 20}
"""Calls of each group of steps, if nobody is killed."""

IN_FLIGHT = {"row": 10, "inner": 4, "item": 6, "alone": 4, "vector": 4}
"""Of each group those that are made at once."""

WORKFLOW = """
name: asked
inputs: {rows: {type: list}, items: {type: list}, pairs: {type: list}, texts: {type: list}}
budget: {usd: 100}
steps:
  - name: rows
    type: llm
    items: "${rows}"
    prompt: "row <${item}>"
    concurrency: 10
    schema: {type: object, properties: {score: {type: integer}}, required: [score]}
  - name: all
    parallel:
      - name: items
        foreach: {items: "${items}", as: n, key: "${n}", max_concurrent: 6}
        steps:
          - {name: ask, type: llm, prompt: "item <${n}>"}
        collect: ["${n}", "${steps.ask}"]
      - name: pairs
        foreach: {items: "${pairs}", as: n, key: "${n}", max_concurrent: 2}
        steps:
          - {name: before, type: llm, prompt: "alone <${n}>"}
          - {name: ask, type: llm, items: ["${n}-0", "${n}-1", "${n}-2", "${n}-3"], prompt: "inner <${item}>", concurrency: 2}
        collect: "${steps.ask}"
      - {name: one, type: llm, prompt: "alone <x>"}
      - {name: two, type: llm, prompt: "alone <y>"}
      - {name: vectors, type: embed, items: "${texts}", text: "vector <${item}>", batch_size: 1, concurrency: 4}
outputs: {rows: "${steps.rows}", all: "${steps.all}"}
"""


@pytest.fixture
def server(home: Path) -> Iterator[ServerProcess]:
    with ServerProcess(home, latency=0.05) as server:
        yield server


def group_of(call: dict[str, Any]) -> str:
    """Which steps asked."""
    return call["prompt"].partition(" <")[0]


def assert_nothing_is_lost(outputs: dict[str, Any]) -> None:
    assert [row["item"] for row in outputs["rows"]] == list(range(IDEAL["row"]))
    assert all(
        (row["score"], row["status"], row["error"]) == (42, "success", None) for row in outputs["rows"]
    )
    found = outputs["all"]
    assert found["items"] == [[number, "A plain answer."] for number in range(IDEAL["item"])]
    inner = [row["item"] for pair in found["pairs"] for row in pair]
    assert inner == [f"{pair}-{row}" for pair in "abcd" for row in range(4)]
    assert len(found["vectors"]) == IDEAL["vector"]
    assert all(len(vector) == 8 for vector in found["vectors"])


def assert_only_what_was_in_flight_is_repeated(calls: list[dict[str, Any]]) -> None:
    asked = Counter(map(group_of, calls))
    for name, ideal in IDEAL.items():
        assert ideal <= asked[name] <= ideal + IN_FLIGHT[name], name
    again = Counter(call["prompt"] for call in calls)
    assert max(again.values()) == (2 if len(again) < len(calls) else 1)


def assert_the_books_agree(
    calls: list[dict[str, Any]], traces: list[dict[str, Any]], stats: dict[str, Any]
) -> None:
    """Each answer that a process had is counted once; what was cut is named as such."""
    states = Counter(one["state"] for one in traces)
    paid = [one for one in traces if one["state"] == "succeeded"]
    delivered = [call for call in calls if call["delivered"]]
    assert 0 <= len(delivered) - len(paid) <= states["cut"]
    assert states["failed"] == states["started"] == 0
    assert stats["tokens_in"] == sum(one["tokens_in"] for one in paid)
    assert stats["cost"] == pytest.approx(sum(one["cost"] for one in paid))
    keys = [(one["scope"], one["step"], one["row"], one["attempt"]) for one in traces]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_model_steps_survive_a_kill_at_any_moment(
    kurt: Kurt,
    spawn_kurt: Callable[..., Spawned],
    project: Path,
    server: ServerProcess,
    chaos: Chaos,
    url: str | None,
) -> None:
    lines = [
        f'LLM.BASE_URL="{server.url}"\nLLM.MODEL="openai/fake"\nEMBEDDING.MODEL="openai/vectors"',
        f'EMBEDDING.BASE_URL="{server.url}"\nLLM.PRICES="openai/fake=1/2,openai/vectors=1/0"',
    ]
    models.configure(kurt, "\n".join(lines))
    kurt.environ["OPENAI_API_KEY"] = "a-key"
    (project / "asked.yaml").write_text(WORKFLOW)
    given = {
        "rows": list(range(IDEAL["row"])),
        "items": list(range(IDEAL["item"])),
        "pairs": list("abcd"),
        "texts": list(range(IDEAL["vector"])),
    }
    inputs = [f"--input={name}={json.dumps(values)}" for name, values in given.items()]
    seen, total = 0, sum(IDEAL.values())
    for number in range(1 if url and chaos.rounds < FULL_SERIES else chaos.rounds):
        run_id = f"killed-{number}"
        moment = chaos.random.randrange(1, total)
        victim = spawn_kurt("workflows", "run", "asked.yaml", *inputs, "--run-id", run_id)
        wait_until(lambda: server.counts()["arrived"] >= seen + moment, 60, pause=0.005)  # noqa: B023 - used at once
        victim.kill()
        if url is not None:
            durability.settle(url)
            durability.end_terms(url, [victim.pid])
        done = go_on(kurt, spawn_kurt, run_id, chaos)
        log = server.log()
        calls = log[seen:]
        print(  # noqa: T201 - what a series came to is to be read
            f"seed {chaos.seed}, kill {number} at call {moment} of {total}: {len(calls) - total} calls repeated"
        )
        assert_nothing_is_lost(done["outputs"])
        assert_only_what_was_in_flight_is_repeated(calls)
        traces = [one for one in rows.traces(project, url) if one["run_id"] == run_id]
        assert_the_books_agree(calls, traces, kurt.json("workflows", "stats", run_id)["total"])
        seen = len(log)


def go_on(kurt: Kurt, spawn_kurt: Callable[..., Spawned], run_id: str, chaos: Chaos) -> dict[str, Any]:
    """Let a killed run go on, by hand or by a worker that finds it; how it ended."""
    if chaos.random.random() < 0.5:
        return kurt.json("workflows", "resume", run_id)
    worker = spawn_kurt("worker", "start")
    finished = kurt.json("workflows", "wait", run_id, "--timeout", "60s", limit=90)
    worker.kill()
    return finished
