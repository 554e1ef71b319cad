"""How workers begin and end: signals, closed terminals, idleness, crashes of one of several processes."""

from __future__ import annotations

import os
import pty
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import KURT, Kurt
from tests.support.environment import child_environment
from tests.support.processes import Spawned, children, executors, is_alive

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

SLOW = """
name: slow
inputs: {name: {type: string, default: x}, seconds: 2}
steps:
  - {name: one, type: python, call: "waiting:work", args: ["${run.id}", "one.${name}", "${seconds}"]}
  - {name: two, type: python, call: "effects:work", args: ["${run.id}", "two.${name}"]}
outputs: {done: "${steps}"}
"""

WAITING = """
import time

import effects


def work(run, name, seconds):
    effects.mark("begin", run, name)
    time.sleep(seconds)
    effects.mark("end", run, name)
    return f"fx:{name}"
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "waiting.py").write_text(WAITING)
    (project / "workflows" / "slow.yaml").write_text(SLOW)


def run_slow(kurt: Kurt, run: str, seconds: float, wait_until: WaitUntil) -> None:
    """Put a run on the queue and wait until its first step is at work."""
    words = ["--run-id", run, "--input", f"seconds={seconds}", "--background"]
    kurt("workflows", "run", "workflows/slow.yaml", *words)
    wait_until(lambda: durability.begun(kurt.project, run)["one.x"], 20, what="the first step at work")


def test_a_hangup_changes_nothing_and_a_termination_drains(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    run_slow(kurt, "r1", 2, wait_until)
    worker.signal(signal.SIGHUP)
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0, worker.stderr
    # The step at work was given its time, the next one has not begun, and the run goes on elsewhere.
    assert [mark.what for mark in durability.marks(project)] == ["begin", "end"]
    assert kurt.json("workflows", "status", "r1")["status"] in {"interrupted", "queued"}
    assert not executors(project)
    successor = spawn_kurt("worker", "start")
    assert durability.outputs(kurt, "r1") == {"done": {"one": "fx:one.x", "two": "fx:two.x"}}
    assert Counter(mark.name for mark in durability.marks(project)) == {"one.x": 2, "two.x": 2}
    successor.signal(signal.SIGHUP)
    run_slow(kurt, "r2", 0, wait_until)
    durability.outputs(kurt, "r2")
    assert successor.running


def test_a_draining_worker_takes_nothing_and_is_not_counted_on(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    run_slow(kurt, "r1", 3, wait_until)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: "no more work" in worker.stderr, 10)
    wait_until(lambda: [item["queues"] for item in kurt.json("worker", "list")] == [[]], 10)
    run_slow(kurt, "r2", 0, wait_until)  # starts a worker for itself
    assert kurt.json("workflows", "status", "r2")["executor_id"] in executors(project)
    assert executors(project)[kurt.json("workflows", "status", "r2")["executor_id"]] != worker.pid
    assert worker.wait(20) == 0, worker.stderr
    for run in ("r1", "r2"):
        durability.outputs(kurt, run)


def test_a_second_signal_ends_a_worker_at_once(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start", "--grace", "60s")
    durability.the_worker(project)
    run_slow(kurt, "r1", 120, wait_until)
    below = durability.below([worker.pid])
    worker.signal(signal.SIGINT)
    wait_until(lambda: "no more work" in worker.stderr, 10, what="the worker's word that it drains")
    assert worker.running
    worker.signal(signal.SIGINT)
    assert worker.wait(5) == 128 + signal.SIGINT
    wait_until(lambda: not any(map(is_alive, below)), 5, what="the end of the worker's children")
    (project / "waiting.py").write_text(WAITING.replace("time.sleep(seconds)", "pass"))
    spawn_kurt("worker", "start")
    durability.outputs(kurt, "r1")


def test_a_worker_outlives_its_terminal(kurt: Kurt, project: Path, home: Path, wait_until: WaitUntil) -> None:
    pid, master = pty.fork()
    if pid == 0:  # a shell on a terminal of its own, with the worker as its background job
        os.chdir(project)
        environ = child_environment(home)
        os.execve("/bin/sh", ["sh", "-c", f"{' '.join(KURT)} worker start & wait"], environ)
    worker = durability.the_worker(project)
    os.close(master)  # the kernel sends SIGHUP to the session
    os.waitpid(pid, 0)
    run_slow(kurt, "r1", 0, wait_until)
    durability.outputs(kurt, "r1")
    assert is_alive(worker)


def test_an_idle_worker_ends_and_a_busy_one_does_not(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start", "--idle-exit", "1s")
    durability.the_worker(project)
    run_slow(kurt, "r1", 4, wait_until)
    durability.outputs(kurt, "r1")  # longer than the time after which it ends when idle
    assert worker.wait(10) == 0, worker.stderr
    assert len({mark.pid for mark in durability.marks(project)}) == 1


def test_a_crashed_process_of_several_is_replaced(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    supervisor = spawn_kurt("worker", "start", "--processes", "2")
    wait_until(lambda: len(executors(project)) == 2, 20, what="two workers")
    first = executors(project)
    assert children(supervisor.pid) == set(first.values())
    victim = min(first.values())
    durability.kill(victim)
    wait_until(lambda: len(set(executors(project)) - set(first)) == 1, 20, what="a new worker")
    run_slow(kurt, "r1", 0, wait_until)
    durability.outputs(kurt, "r1")
    listed = kurt.json("worker", "list")
    assert {item["id"]: item["pid"] for item in listed} == executors(project)
    assert all(item["queues"] == ["default"] for item in listed)
    stopped = kurt.json("worker", "stop", "--all")
    assert {item["id"] for item in stopped} == {item["id"] for item in listed}
    assert supervisor.wait(10) == 0, supervisor.stderr
    assert kurt.json("worker", "list") == []


def test_one_worker_of_several_is_stopped_by_its_id(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    stays, goes = spawn_kurt("worker", "start"), spawn_kurt("worker", "start")
    wait_until(lambda: len(executors(project)) == 2, 20, what="two workers")
    name = next(name for name, pid in executors(project).items() if pid == goes.pid)
    kurt("worker", "stop", name)
    assert goes.wait(5) == 0
    assert stays.running
    assert set(executors(project).values()) == {stays.pid}
    assert "no live worker" in kurt("worker", "stop", name, code=3).stderr


def test_concurrency_bounds_the_steps_at_work(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    spawn_kurt("worker", "start", "--concurrency", "1")
    durability.the_worker(project)
    for run in ("r1", "r2", "r3"):
        kurt(
            "workflows", "run", "workflows/slow.yaml", "--run-id", run, "--input", "seconds=1", "--background"
        )
    for run in ("r1", "r2", "r3"):
        durability.outputs(kurt, run)
    whats = [mark.what for mark in durability.marks(project)]
    assert whats == ["begin", "end"] * 6


def test_a_worker_ends_when_its_project_is_deleted(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start", "--grace", "1s", cwd=project)
    wait_until(lambda: "serves" in worker.stderr, 20, what="the worker")
    shutil.rmtree(project)
    assert worker.wait(20) == 0, worker.stderr
    assert "the folder of the project is gone" in worker.stderr
