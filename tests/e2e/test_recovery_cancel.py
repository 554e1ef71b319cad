"""Cancelling: the steps at work and their child processes are stopped, and the run can go on later."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import KURT, Kurt
from tests.support.processes import Spawned, is_alive

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

LIMIT = 2.0
"""Seconds in which a cancelled step must have ended, with its child processes."""

KINDS = """
name: kinds
inputs: {server: {type: string, required: true}}
steps:
  - {name: first, type: python, call: "effects:work", args: ["${run.id}", first]}
  - name: together
    parallel:
      - {name: program, type: run, command: [sh, effect.sh], env: {RUN: "${run.id}", NAME: program, HOLD: "true", SECONDS_: "0"}}
      - name: deaf
        type: run
        command: "trap '' TERM INT HUP; NAME=deaf; export NAME; . ./effect.sh"
        env: {RUN: "${run.id}", HOLD: "true", SECONDS_: "0"}
      - {name: code, type: script, inputs: {id: "${run.id}"}, code: "import effects; result = effects.work(id, 'code', True)"}
      - {name: command, type: cli, command: effect, argv: ["${run.id}", command], args: {hold: true}}
      - {name: request, type: http, url: "${server}/${run.id}/request?hold", allow_private: true}
      - name: rows
        foreach: {items: [[a, true], [b, true], [c, false]], max_concurrent: 2}
        steps:
          - {name: one, type: python, call: "effects:work", args: ["${run.id}", "rows.${item[0]}.one"]}
          - {name: two, type: python, call: "effects:work", args: ["${run.id}", "rows.${item[0]}.two", "${item[1]}"]}
      - {name: other, workflow: inner.yaml}
      - {name: pause, type: wait, wait: {for: 3s}}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {first: "${steps.first}", rows: "${steps.together.rows}", other: "${steps.together.other}", last: "${steps.last}"}
"""

INNER = """
name: inner
steps:
  - {name: deep, type: python, call: "effects:work", args: ["${run.id}", inner.deep, true]}
outputs: {deep: "${steps.deep}"}
"""

HELD = ["program", "deaf", "code", "command", "request", "rows.a.two", "rows.b.two", "inner.deep"]
EFFECTS = [*HELD, "first", "rows.a.one", "rows.b.one", "rows.c.one", "rows.c.two", "last"]
OUTPUTS = {
    "first": "fx:first",
    "rows": [f"fx:rows.{item}.two" for item in "abc"],
    "other": {"deep": "fx:inner.deep"},
    "last": "fx:last",
}


@pytest.fixture
def server(project: Path) -> Any:
    durability.furnish(project)
    (project / "workflows" / "kinds.yaml").write_text(KINDS)
    (project / "workflows" / "inner.yaml").write_text(INNER)
    with durability.serving(project) as server:
        yield server


def wait_until_held(project: Path, wait_until: WaitUntil) -> None:
    """Wait until nothing goes on any more without a cancel."""
    wait_until(lambda: durability.begun(project).keys() >= set(HELD), 60, what="every step at work")


def ran_twice(project: Path) -> None:
    """What was stopped ran again, nothing else did."""
    assert durability.begun(project) == Counter([*EFFECTS, *HELD])


def test_cancel_stops_every_step_at_work_and_resume_goes_on(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, server: durability.Server, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start", "--concurrency", "20")
    durability.the_worker(project)
    kurt(
        "workflows",
        "run",
        "workflows/kinds.yaml",
        "--run-id",
        "r",
        "--input",
        f"server={server.url}",
        "--background",
    )
    wait_until_held(project, wait_until)
    at_work = durability.workers_of_steps(project, HELD)
    assert len(at_work) == len(HELD) - 1  # the request's is the server
    assert kurt.json("workflows", "cancel", "r")[0]["status"] == "cancelled"
    cancelled = time.monotonic()
    wait_until(lambda: not any(map(is_alive, at_work)), LIMIT, what="the end of the steps' processes")
    wait_until(
        lambda: not server.at_work, max(0.1, LIMIT - time.monotonic() + cancelled), what="the request's end"
    )
    assert worker.running
    assert "last" not in durability.begun(project)
    assert kurt.json("workflows", "resume", "r")["outputs"] == OUTPUTS
    ran_twice(project)


def test_ctrl_c_cancels_a_foreground_run_and_says_how_it_goes_on(
    kurt: Kurt, project: Path, server: durability.Server, wait_until: WaitUntil
) -> None:
    argv = [
        *KURT,
        "workflows",
        "run",
        "workflows/kinds.yaml",
        "--run-id",
        "r",
        "--input",
        f"server={server.url}",
    ]
    run = kurt.spawn_program(argv)
    wait_until_held(project, wait_until)
    below = durability.below([run.pid])
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert run.wait(10) == 130, run.stderr
    assert not any(map(is_alive, below))
    assert "kurt workflows resume r" in run.stderr
    assert kurt.json("workflows", "status", "r")["status"] == "cancelled"
    resumed = kurt.json("workflows", "resume", "r", "--background")
    assert resumed["run_id"] == "r"
    assert durability.outputs(kurt, "r") == OUTPUTS
    ran_twice(project)


PYTHON = """
import time

from dbos import DBOS

import effects


@DBOS.step()
def stubborn(run: str) -> str:
    effects.mark("begin", run, "stubborn")
    if effects.begun(run, "stubborn") == 1:
        time.sleep(60)
    return "fx:stubborn"


@DBOS.workflow()
def stubborn_workflow() -> str:
    return stubborn(DBOS.workflow_id)
"""


@pytest.fixture
def stubborn(project: Path) -> None:
    """A Python workflow with a step that nothing can stop: it sleeps in a thread."""
    durability.furnish(project)
    (project / "workflows" / "stubborn").mkdir()
    (project / "workflows" / "stubborn" / "workflow.py").write_text(PYTHON)


@pytest.mark.usefixtures("stubborn")
def test_ctrl_c_does_not_wait_for_a_step_that_nothing_can_stop(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    run = spawn_kurt("workflows", "run", "stubborn", "--run-id", "r")
    wait_until(lambda: durability.begun(project)["stubborn"], 20)
    run.signal(signal.SIGINT)
    assert run.wait(15) == 130, run.stderr
    assert "kurt workflows resume r" in run.stderr
    assert kurt.json("workflows", "resume", "r")["outputs"] == "fx:stubborn"


@pytest.mark.usefixtures("stubborn")
def test_a_second_ctrl_c_ends_at_once(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    run = spawn_kurt("workflows", "run", "stubborn", "--run-id", "r")
    wait_until(lambda: durability.begun(project)["stubborn"], 20)
    run.signal(signal.SIGINT)
    wait_until(lambda: durability.status(project, "r") == "CANCELLED", 10)
    run.signal(signal.SIGINT)
    started = time.monotonic()
    assert run.wait(5) == 130
    assert time.monotonic() - started < 1.5
    assert kurt.json("workflows", "resume", "r")["outputs"] == "fx:stubborn"


@pytest.mark.usefixtures("stubborn")
def test_a_stopped_worker_does_not_wait_for_a_step_that_nothing_can_stop(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start", "--grace", "1s")
    durability.the_worker(project)
    run = durability.submit(kurt, "stubborn")
    wait_until(lambda: durability.begun(project)["stubborn"], 20)
    worker.signal(signal.SIGTERM)
    assert worker.wait(15) == 0, worker.stderr
    assert kurt.json("workflows", "resume", run)["outputs"] == "fx:stubborn"


def test_a_cancelled_run_that_waits_in_its_queue_does_not_start(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, server: durability.Server, wait_until: WaitUntil
) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1")
    spawn_kurt("worker", "start", "--queues", "narrow")
    durability.the_worker(project)
    start = ["workflows", "run", "workflows/inner.yaml", "--background", "--queue", "narrow"]
    kurt(*start, "--run-id", "first")
    wait_until(lambda: durability.begun(project, "first")["inner.deep"], 20)
    kurt(*start, "--run-id", "second")
    assert kurt.json("workflows", "status", "second")["status"] == "queued"
    kurt("workflows", "cancel", "second")
    kurt("workflows", "cancel", "first")
    kurt(*start, "--run-id", "third")
    wait_until(lambda: durability.begun(project, "third")["inner.deep"], 20)
    kurt("workflows", "cancel", "third")
    assert not durability.begun(project, "second")
    assert kurt.json("workflows", "status", "second")["status"] == "cancelled"
