"""Runs that wait for people cost nothing: their workers end, nobody takes them up, and an answer brings them back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kurt.config import load_settings
from kurt.runtime.runs import open_reader
from tests.support import durability
from tests.support.cli import Kurt
from tests.support.processes import Spawned

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

ASKS = """
name: asks
inputs: {{timeout: "0s"}}
steps:
  - {{name: one, type: python, call: "effects:work", args: ["${{run.id}}", one]}}
{waits}
  - {{name: two, type: python, call: "effects:work", args: ["${{run.id}}", two]}}
outputs: {{two: "${{steps.two}}", answer: "${{steps.ask}}"}}
"""
ASK = {
    "approval": '  - {name: ask, approval: {message: "Go on?", fields: {n: 1}, on_reject: continue}}',
    "message": "  - {name: ask, wait: {message: go}}",
    "items": """
  - name: ask
    foreach: {items: [x, y, z], max_concurrent: 2, key: "${item}"}
    steps:
      - {name: before, type: python, call: "effects:work", args: ["${run.id}", "before.${item}"]}
      - {name: ok, approval: "Item ${item}?"}
      - {name: then, type: python, call: "effects:work", args: ["${run.id}", "then.${item}"]}
""",
    "beside": """
  - name: ask
    parallel:
      - {name: ok, approval: "Go on?"}
      - {name: work, type: python, call: "effects:work", args: ["${run.id}", work, true]}
""",
    "hour": '  - {name: ask, approval: {message: "Go on?", timeout: 1h}}',
    "timed": '  - {name: ask, approval: {message: "Go on?", timeout: 8s, on_timeout: approve}}',
}


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    for name, waits in ASK.items():
        (project / "workflows" / f"{name}.yaml").write_text(ASKS.format(waits=waits))
    (project / "workflows" / "quick.yaml").write_text("steps: [{name: a, type: script, code: result = 1}]")


def submit(kurt: Kurt, name: str, *words: str) -> None:
    durability.submit(kurt, f"workflows/{name}.yaml", "--run-id", name, *words)


def ends_soon(project: Path) -> None:
    """Let workers end that have nothing to do for a second."""
    with (project / "kurt.config").open("a") as config:
        config.write('WORKER.IDLE_EXIT="1"\n')


def run_of(kurt: Kurt, run_id: str) -> dict[str, Any]:
    return kurt.json("workflows", "status", run_id)


def paths(project: Path, run_id: str, url: str | None = None) -> list[str]:
    """Where a run asks; read in this process, for a test looks often."""
    environ = {"DATABASE_URL": url} if url else {}
    with open_reader(load_settings(project, environ=environ)) as reader:
        run = reader.result(run_id) if reader.exists(run_id) else None
    return sorted(wait["path"] for wait in run.waits) if run is not None else []


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_worker_ends_whose_runs_wait_for_people_and_an_answer_starts_one(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, url: str | None
) -> None:
    ends_soon(project)
    for name in ("approval", "message", "items"):
        submit(kurt, name)
    wait_until(lambda: paths(project, "items", url) == ["ask[x].ok", "ask[y].ok"], 30)
    wait_until(lambda: not durability.live(project, url), 40, what="the end of the worker")
    # Whoever lives leaves them alone: another worker, which looks for dead executors, and a foreground run.
    other = spawn_kurt("worker", "start", "--idle-exit", "2s")
    kurt("workflows", "run", "workflows/quick.yaml")
    assert other.wait(30) == 0, other.stderr
    assert not durability.live(project, url)
    listed = kurt.json("workflows", "list", "--status", "waiting")
    assert {run["run_id"] for run in listed} == {"approval", "message", "items"}
    assert {run["executor_id"] for run in listed} == {None}
    kurt("workflows", "approve", "approval", "--input", "n=2")
    outputs = durability.outputs(kurt, "approval")
    assert (outputs["two"], outputs["answer"]["n"]) == ("fx:two", 2)
    kurt("workflows", "send", "message", "--topic", "go", "--data", "went")
    assert durability.outputs(kurt, "message") == {"two": "fx:two", "answer": "went"}
    kurt("workflows", "approve", "items", "--step", "ask[y].ok")
    wait_until(lambda: paths(project, "items", url) == ["ask[x].ok", "ask[z].ok"], 30)
    for item in "xz":
        kurt("workflows", "approve", "items", "--step", f"ask[{item}].ok")
    assert durability.outputs(kurt, "items")["answer"] == [f"fx:then.{item}" for item in "xyz"]
    begun = durability.begun(project)
    assert set(begun.values()) == {3, 1}, "nothing is repeated"
    assert begun["one"] == begun["two"] == 3


def test_a_worker_stays_for_what_has_a_time_or_is_at_work(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    ends_soon(project)
    submit(kurt, "timed")
    pid = durability.the_worker(project)
    assert durability.outputs(kurt, "timed")["answer"]["timed_out"]
    assert durability.live(project) == {pid}
    submit(kurt, "beside")
    wait_until(lambda: paths(project, "beside") == ["ask.ok"] and durability.begun(project)["work"], 30)
    pid = durability.the_worker(project)
    time.sleep(4)
    assert durability.live(project) == {pid}, "nothing is given up because something beside it waits"
    # Killed in the middle: what was at work beside the question is taken up at once, nobody has to answer first.
    durability.kill(pid)
    spawn_kurt("worker", "start")
    wait_until(lambda: durability.begun(project)["work"] == 2, 20)
    kurt("workflows", "approve", "beside")
    assert durability.outputs(kurt, "beside")["two"] == "fx:two"


def test_an_answer_counts_that_is_given_while_nobody_lives(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    submit(kurt, "approval")
    wait_until(lambda: paths(project, "approval") == ["ask"], 30)
    worker.kill()
    worker.wait()
    (project / "workflows" / "approval.yaml").unlink()  # it has the definition with which it began
    # Whoever answers may be killed before it has started a worker, as by a reboot: the answer stands.
    kurt("workflows", "approve", "approval", "--input", "n=3", "--by", "ana")
    for pid in durability.live(project):
        durability.kill(pid)
    spawn_kurt("worker", "start")
    outputs = durability.outputs(kurt, "approval")
    assert (outputs["answer"]["n"], outputs["answer"]["by"]) == (3, "ana")
    assert durability.begun(project) == {"one": 1, "two": 1}


@pytest.mark.parametrize("name", ["approval", "hour", "items"])
def test_ctrl_c_leaves_a_run_waiting(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, name: str
) -> None:
    run = spawn_kurt("workflows", "run", f"workflows/{name}.yaml", "--run-id", name)
    asked = ["ask[x].ok", "ask[y].ok"] if name == "items" else ["ask"]
    wait_until(lambda: paths(project, name) == asked or not run.running, 30)
    assert run.running, run.stderr
    wait_until(lambda: f"to go on: kurt workflows approve {name} --step" in run.stderr, 10)
    run.signal(signal.SIGINT)
    assert run.wait(20) == 130
    assert f"error: left: the run {name} waits for approval:" in run.stderr
    assert f"hint: kurt workflows approve {name}" in run.stderr
    wait_until(lambda: run_of(kurt, name)["status"] == "waiting", 20)
    # Only where there is a time somebody must be there for it.
    assert len(durability.live(project)) == (name == "hour")
    for path in asked:
        kurt("workflows", "approve", name, "--step", path)
    if name == "items":
        wait_until(lambda: paths(project, name) == ["ask[z].ok"], 30)
        kurt("workflows", "approve", name)
    assert durability.outputs(kurt, name)["two"] == "fx:two"
    assert set(durability.begun(project).values()) == {1}


def test_ctrl_c_cancels_a_run_that_does_more_than_wait(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    run = spawn_kurt("workflows", "run", "workflows/beside.yaml", "--run-id", "beside")
    wait_until(lambda: paths(project, "beside") == ["ask.ok"] and durability.begun(project)["work"], 30)
    run.signal(signal.SIGINT)
    assert run.wait(20) == 130
    assert (run_of(kurt, "beside")["status"], run_of(kurt, "beside")["waits"]) == ("cancelled", [])
    assert "over (cancelled)" in kurt("workflows", "approve", "beside", code=1).stderr
    resumed = spawn_kurt("workflows", "resume", "beside")
    wait_until(lambda: paths(project, "beside") == ["ask.ok"], 30)
    kurt("workflows", "approve", "beside")
    assert resumed.wait(30) == 0, resumed.stderr


def test_a_question_stays_open_while_its_run_is_in_its_queue(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    submit(kurt, "hour")
    wait_until(lambda: paths(project, "hour") == ["ask"], 30)
    worker.kill()
    worker.wait()
    # An executor that serves another queue hands back what has a time, and does not take it.
    kurt("queues", "create", "other")
    spawn_kurt("worker", "start", "--queues", "other")
    wait_until(lambda: run_of(kurt, "hour")["status"] == "queued", 20)
    assert "kurt workflows approve hour" in kurt("workflows", "status", "hour").stdout
    kurt("workflows", "approve", "hour")
    assert durability.outputs(kurt, "hour")["two"] == "fx:two"


def test_a_run_that_waits_holds_no_place_in_its_queue(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1")
    worker = spawn_kurt("worker", "start", "--queues", "narrow")
    durability.the_worker(project)
    for name in ("approval", "items", "message"):
        submit(kurt, name, "--queue", "narrow")
    wait_until(lambda: all(paths(project, name) for name in ("approval", "items", "message")), 60)
    wait_until(lambda: run_of(kurt, "message")["executor_id"] is None, 20)
    assert run_of(kurt, "message")["queue"] == "narrow"
    kurt("workflows", "approve", "approval")
    assert durability.outputs(kurt, "approval")["two"] == "fx:two"
    assert durability.live(project) == {worker.pid}, "the worker that lives goes on with it"
    kurt("workflows", "send", "message", "--topic", "go", "--data", "1")
    assert durability.outputs(kurt, "message")["answer"] == 1
    kurt("workflows", "cancel", "items")
    wait_until(lambda: run_of(kurt, "items")["status"] == "cancelled", 10)
    children = kurt.json("workflows", "list", "--parent", "items")
    assert {child["status"] for child in children} == {"cancelled"}


def test_who_waits_for_the_end_is_told_of_questions(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    submit(kurt, "approval")
    wait_until(lambda: paths(project, "approval") == ["ask"], 30)
    waiting, following = (spawn_kurt("workflows", verb, "approval") for verb in ("wait", "follow"))
    said = "waits for approval: Go on?"
    wait_until(lambda: said in waiting.stderr and said in following.stderr, 20)
    for process in (waiting, following):
        assert process.stderr.count("to go on: kurt workflows approve approval") == 1
    kurt("workflows", "approve", "approval")
    assert waiting.wait(30) == following.wait(30) == 0
    assert "approval: Go on?" not in kurt("workflows", "list").stdout
