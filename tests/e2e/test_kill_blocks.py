"""kill -9 of an executor while a block is tried again: the count goes on, and nothing that was finished is repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

CALLS = """
import time

import effects


def call(run, name, plan):
    \"\"\"Fail, hang or succeed as the plan says for each call in turn; then succeed.\"\"\"
    number = effects.LOG.read_text().count(f"begin {run} {name} ")
    effects.mark("begin", run, name)
    what = plan[number] if number < len(plan) else "works"
    if what == "fails":
        raise ValueError(f"call {number + 1}")
    if what == "hangs":
        time.sleep(300)
    effects.mark("end", run, name)
    return number + 1
"""

BLOCKS = """
name: blocks
inputs: {plan: {type: list, required: true}, delay: {type: string, default: 10ms}}
steps:
  - {name: before, type: python, call: "effects:work", args: ["${run.id}", before]}
  - name: block
    retry: {max_attempts: 4, delay: DELAY, backoff: fixed, jitter: false}
    parallel:
      - {name: beside, type: python, call: "effects:work", args: ["${run.id}", beside]}
      - name: chain
        switch:
          on: "'go'"
          cases:
            go:
              - {name: first, type: python, call: "effects:work", args: ["${run.id}", first]}
              - {name: then, type: python, call: "calls:call", args: ["${run.id}", then, "${plan}"]}
  - name: items
    retry: {max_attempts: 4, delay: 10ms}
    foreach: {items: [[a, []], [b, "${plan}"], [c, []]], key: "${item[0]}", max_concurrent: 1}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "one.${item[0]}"]}
      - {name: two, type: python, call: "calls:call", args: ["${run.id}", "two.${item[0]}", "${item[1]}"]}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {block: "${steps.block.chain}", items: "${steps.items}"}
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "calls.py").write_text(CALLS)


def write(project: Path, delay: str) -> None:
    (project / "workflows" / "blocks.yaml").write_text(BLOCKS.replace("DELAY", delay))


@pytest.mark.parametrize("next_one", ["worker", "resume"])
@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_in_the_middle_of_the_second_attempt(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, url: str | None, next_one: str
) -> None:
    write(project, "10ms")
    account = Account(project, url)
    start = ["workflows", "run", "workflows/blocks.yaml", "--run-id", "r", "--input", "plan=[fails, hangs]"]
    executor = spawn_kurt(*start)
    for held in ("then", "two.b"):
        wait_until(lambda: durability.begun(project)[held] == 2 or not executor.running, 60)  # noqa: B023 - used at once
        assert executor.running, executor.stderr
        account.kill(executor)
        executor = spawn_kurt(
            *(["worker", "start"] if next_one == "worker" else ["workflows", "resume", "r"])
        )
    assert durability.outputs(kurt, "r") == {"block": 3, "items": [1, 3, 1]}
    assert durability.begun(project) == {
        "before": 1, "beside": 2, "first": 2, "then": 3,
        "one.a": 1, "two.a": 1, "one.b": 2, "two.b": 3, "one.c": 1, "two.c": 1, "last": 1,
    }  # fmt: skip
    steps = {step["path"]: step for step in kurt.json("workflows", "steps", "r")}
    assert [(steps[path]["status"], steps[path]["attempt"]) for path in ("block", "items")] == [
        ("succeeded", 2),
        ("succeeded", 2),
    ]


def test_in_the_wait_between_two_attempts(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    write(project, "4s")
    account = Account(project)
    worker = spawn_kurt("worker", "start")
    run = durability.submit(kurt, "workflows/blocks.yaml", "--input", "plan=[fails, fails]")
    for number in (1, 2):
        wait_until(
            lambda: f"[block] failed: ValueError: call {number}, next attempt in 4.0 s" in log(project, run),  # noqa: B023 - used at once
            60,
        )
        time.sleep(0.5)  # so that what was logged is stored; the wait lasts eight times as long
        account.kill(worker)
        worker = spawn_kurt("worker", "start")
    assert durability.outputs(kurt, run) == {"block": 3, "items": [1, 3, 1]}
    times = [mark.at for mark in durability.marks(project) if mark.what == "begin" and mark.name == "then"]
    assert len(times) == 3
    assert all(4 <= later - earlier < 9 for earlier, later in pairwise(times))
    begun = durability.begun(project)
    assert (begun["before"], begun["beside"], begun["first"], begun["last"]) == (1, 3, 3, 1)


def test_an_attempt_that_hangs_is_ended_by_the_next_executor(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    (project / "workflows" / "late.yaml").write_text(
        """
name: late
steps:
  - name: block
    timeout: 3s
    retry: {max_attempts: 2, delay: 10ms}
    foreach: {items: [a, b], key: "${item}"}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "one.${item}"]}
      - {name: two, type: python, call: "calls:call", args: ["${run.id}", "two.${item}", [hangs, hangs]]}
outputs: {block: "${steps.block}"}
"""
    )
    worker = spawn_kurt("worker", "start")
    run = durability.submit(kurt, "workflows/late.yaml")
    wait_until(lambda: durability.begun(project)["two.a"] == durability.begun(project)["two.b"] == 1, 60)
    Account(project).kill(worker)
    spawn_kurt("worker", "start")
    assert durability.outputs(kurt, run) == {"block": [3, 3]}
    assert durability.begun(project) == {"one.a": 2, "one.b": 2, "two.a": 3, "two.b": 3}
    assert set(durability.children(project, run).values()) == {"SUCCESS", "ERROR"}


def test_the_number_of_the_run_stays_when_an_executor_dies(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    (project / "workflows" / "count.yaml").write_text(
        """
name: count
steps:
  - name: items
    foreach: {items: [a], key: "${item}"}
    steps:
      - {name: one, type: python, call: "calls:call", args: ["${run.id}", one, [fails, hangs]]}
      - {name: two, type: script, inputs: {n: "${run.attempt}"}, code: "result = n"}
outputs: {items: "${steps.items}", attempt: "${run.attempt}"}
"""
    )
    worker = spawn_kurt("worker", "start")
    run = durability.submit(kurt, "workflows/count.yaml")
    kurt("workflows", "wait", run, code=1)
    kurt("workflows", "retry", run, "--background")
    wait_until(lambda: durability.begun(project)["one"] == 2, 60)
    Account(project).kill(worker)
    spawn_kurt("worker", "start")
    assert durability.outputs(kurt, run) == {"items": [2], "attempt": 2}
    assert durability.begun(project) == {"one": 3}


def log(project: Path, run: str) -> str:
    """The run's log."""
    file = project / ".kurt" / "logs" / f"workflow-{run}.log"
    return file.read_text() if file.exists() else ""
