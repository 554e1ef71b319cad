"""kill -9 of executors in the middle of `dspy` steps: nothing is lost, and only what was in flight is asked again."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.dspy_answers import written
from tests.support import durability, models, rows
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.models import ServerProcess
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

ITEMS, ITEMS_AT_ONCE = 40, 8
AGENTS, TURNS = 4, 3
"""Agents work at the same time; each uses a tool so many times, ends its turns, and is asked for the outputs."""

ODD = 6
"""Steps whose first answer breaks the format, so that each is asked twice; all at the same time."""

IDEAL = {"item": ITEMS, "agent": AGENTS * (TURNS + 2), "odd": ODD * 2}
IN_FLIGHT = {"item": ITEMS_AT_ONCE, "agent": AGENTS, "odd": ODD}

WORKFLOW = """
name: asked
inputs: {items: {type: list}, agents: {type: list}, odd: {type: list}}
steps:
  - name: all
    parallel:
      - name: items
        foreach: {items: "${items}", as: n, key: "${n}", max_concurrent: 8}
        steps:
          - {name: ask, type: dspy, signature: "question -> reply, score: float", inputs: {question: "item <${n}>"}}
        collect: ["${n}", "${steps.ask}"]
      - name: agents
        foreach: {items: "${agents}", as: n, key: "${n}", max_concurrent: 4}
        steps:
          - name: act
            type: dspy
            signature: "question -> summary"
            module: react
            tools: ["effects:search"]
            inputs: {question: "agent <${n}>"}
        collect: ["${n}", "${steps.act.summary}", "${steps.act.trajectory}"]
      - name: odd
        foreach: {items: "${odd}", as: n, key: "${n}", max_concurrent: 6}
        steps:
          - {name: ask, type: dspy, signature: "question -> odd", inputs: {question: "odd <${n}>"}}
        collect: ["${n}", "${steps.ask.odd}"]
outputs: {items: "${steps.all.items}", agents: "${steps.all.agents}", odd: "${steps.all.odd}"}
"""

EFFECTS = '''
import os
import time

def search(query: str) -> str:
    """Find something."""
    file = os.open("searched", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{query}\\n".encode())
    return f"{query} at {time.time()}"
'''


@pytest.fixture
def server(home: Path) -> Iterator[ServerProcess]:
    with ServerProcess(home, latency=0.08) as server:
        prepare(server)
        yield server


def prepare(server: ServerProcess) -> None:
    """Tell the model how agents act, and which answers break the format; the first text that fits counts."""
    ends = {"next_thought": "done", "next_tool_name": "finish", "next_tool_args": {}}
    scripts = [(f"[[ ## observation_{TURNS} ## ]]", written({"reasoning": "so", "summary": "found"}))]
    scripts.append((f"[[ ## observation_{TURNS - 1} ## ]]", written(ends)))
    for turn in range(TURNS - 1, -1, -1):
        act = {
            "next_thought": "more",
            "next_tool_name": "search",
            "next_tool_args": {"query": f"turn {turn}"},
        }
        scripts.append((f"[[ ## observation_{turn - 1} ## ]]" if turn else "agent <", written(act)))
    scripts.append(("starting with the field `[[ ## odd ## ]]`", "no format at all"))
    body = [{"text": text, "always": {"fault": "not_json", "text": said}} for text, said in scripts]
    address = f"{server.url.removesuffix('/v1')}/kurt/script"
    with urllib.request.urlopen(address, data=json.dumps(body).encode(), timeout=10) as answer:
        assert json.load(answer)["scripts"] == len(body)


def group_of(call: dict[str, Any]) -> str:
    """Which steps asked."""
    return next(name for name in IDEAL if f"{name} <" in call["prompt"])


def assert_nothing_is_lost(outputs: dict[str, Any]) -> None:
    numbers = [number for number, _ in outputs["items"]]
    assert numbers == list(range(ITEMS))
    assert all(value == {"reply": "mock_reply", "score": 0.85} for _, value in outputs["items"])
    assert [(number, summary) for number, summary, _ in outputs["agents"]] == [
        (number, "found") for number in range(AGENTS)
    ]
    for _, _, trajectory in outputs["agents"]:
        assert [step["tool"] for step in trajectory] == ["search"] * TURNS + ["finish"]
    assert outputs["odd"] == [[number, "mock_odd"] for number in range(ODD)]


def assert_only_what_was_in_flight_is_repeated(calls: list[dict[str, Any]], searched: list[str]) -> None:
    asked = Counter(map(group_of, calls))
    for name, ideal in IDEAL.items():
        assert ideal <= asked[name] <= ideal + IN_FLIGHT[name], name
    assert AGENTS * TURNS <= len(searched) <= AGENTS * TURNS + AGENTS


def assert_the_books_agree(
    calls: list[dict[str, Any]], traces: list[dict[str, Any]], stats: dict[str, Any]
) -> None:
    """Each answer that a process had is counted once, though others were used twice; what was cut is named as such."""
    states = Counter(one["state"] for one in traces if not one["cache_hit"])
    paid = [one for one in traces if one["state"] == "succeeded" and not one["cache_hit"]]
    delivered = [call for call in calls if call["delivered"]]
    assert 0 <= len(delivered) - len(paid) <= states["cut"]
    assert stats["tokens_in"] == sum(one["tokens_in"] for one in paid)
    assert stats["cost"] == pytest.approx(sum(one["cost"] for one in paid))


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_dspy_steps_survive_a_kill_at_any_moment(
    kurt: Kurt,
    spawn_kurt: Callable[..., Spawned],
    project: Path,
    server: ServerProcess,
    chaos: Chaos,
    url: str | None,
) -> None:
    models.configure(
        kurt, f'LLM.BASE_URL="{server.url}"\nLLM.MODEL="openai/fake"\nLLM.PRICES="openai/fake=1/2"'
    )
    kurt.environ["OPENAI_API_KEY"] = "a-key"
    (project / "effects.py").write_text(EFFECTS)
    (project / "asked.yaml").write_text(WORKFLOW)
    given = {"items": range(ITEMS), "agents": range(AGENTS), "odd": range(ODD)}
    inputs = [f"--input={name}={json.dumps(list(values))}" for name, values in given.items()]
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
        calls, searched = log[seen:], (project / "searched").read_text().splitlines()
        print(  # noqa: T201 - what a series came to is to be read
            f"seed {chaos.seed}, kill {number} at call {moment} of {total}: {len(calls) - total} calls and"
            f" {len(searched) - AGENTS * TURNS} uses of tools repeated"
        )
        assert_nothing_is_lost(done["outputs"])
        assert_only_what_was_in_flight_is_repeated(calls, searched)
        traces = [one for one in rows.traces(project, url) if one["run_id"] == run_id]
        assert_the_books_agree(calls, traces, kurt.json("workflows", "stats", run_id)["total"])
        seen = len(log)
        (project / "searched").unlink()


def go_on(kurt: Kurt, spawn_kurt: Callable[..., Spawned], run_id: str, chaos: Chaos) -> dict[str, Any]:
    """Let a killed run go on, by hand or by a worker that finds it; how it ended."""
    if chaos.random.random() < 0.5:
        return kurt.json("workflows", "resume", run_id)
    worker = spawn_kurt("worker", "start")
    finished = kurt.json("workflows", "wait", run_id, "--timeout", "60s", limit=90)
    worker.kill()
    return finished
