"""Queues: work goes back to its own one, whoever resumes it; limits do not stop a run's own children."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned, executors

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

ROWS = """
name: rows
steps:
  - {name: first, type: python, call: "effects:work", args: ["${run.id}", first]}
  - name: rows
    foreach: {items: [[a, false], [b, true], [c, true], [d, false]], max_concurrent: 2}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "${item[0]}.one"]}
      - {name: two, type: python, call: "effects:work", args: ["${run.id}", "${item[0]}.two", "${item[1]}"]}
  - {name: other, workflow: one.yaml}
outputs: {rows: "${steps.rows}", other: "${steps.other.one}"}
"""

ONE = """
name: one
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
outputs: {one: "${steps.one}"}
"""

EFFECTS = ["first", "one", *(f"{item}.{step}" for item in "abcd" for step in ("one", "two"))]
HELD = {"b.two", "c.two"}
OUTPUTS = {"rows": [f"fx:{item}.two" for item in "abcd"], "other": "fx:one"}


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "workflows" / "rows.yaml").write_text(ROWS)
    (project / "workflows" / "one.yaml").write_text(ONE)


def worker_of(kurt: Kurt, spawn_kurt: Spawn, queue: str, wait_until: WaitUntil) -> Spawned:
    """A worker that serves this queue."""
    worker = spawn_kurt("worker", "start", "--queues", queue)
    wait_until(lambda: worker.pid in executors(kurt.project).values(), 20)
    return worker


def test_recovered_resumed_and_forked_work_stays_on_its_queue(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    kurt("queues", "create", "gpu")
    account = Account(project)
    gpu = worker_of(kurt, spawn_kurt, "gpu", wait_until)
    default = worker_of(kurt, spawn_kurt, "default", wait_until)
    start = ["workflows/rows.yaml", "--run-id"]
    durability.submit(kurt, *start, "r")
    wait_until(lambda: durability.begun(project, "r").keys() >= HELD, 30)
    account.kill(default)
    # The worker of the other queue hands the run back, with its items, and leaves it where it is.
    wait_until(lambda: durability.status(project, "r") == "ENQUEUED", 10)
    assert set(durability.children(project, "r").values()) <= {"ENQUEUED", "SUCCESS"}
    successor = worker_of(kurt, spawn_kurt, "default", wait_until)
    assert durability.outputs(kurt, "r") == OUTPUTS
    account.check({"r": EFFECTS})
    simple = durability.submit(kurt, "workflows/one.yaml")
    assert durability.outputs(kurt, simple) == {"one": "fx:one"}
    fork = kurt.json("workflows", "fork", simple, "--background")["run_id"]
    assert durability.outputs(kurt, fork) == {"one": "fx:one"}
    durability.submit(kurt, *start, "cancelled")
    wait_until(lambda: durability.begun(project, "cancelled").keys() >= HELD, 30)
    kurt("workflows", "cancel", "cancelled")
    kurt("workflows", "resume", "cancelled", "--background")
    assert durability.outputs(kurt, "cancelled") == OUTPUTS
    durability.submit(kurt, "workflows/one.yaml", "--run-id", "own", "--queue", "gpu")
    assert durability.outputs(kurt, "own") == {"one": "fx:one"}
    pids = {default.pid: "default", successor.pid: "default", gpu.pid: "gpu"}
    who = durability.executors_of(project)
    assert {run for run, pid in who.items() if pids.get(pid) == "gpu"} == {"own"}
    assert {pids.get(pid) for run, pid in who.items() if run != "own"} == {"default"}


FAILING = """
name: failing
steps:
  - name: rows
    foreach: {items: [a, b], max_concurrent: 2, on_item_error: collect}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "${item}.one"]}
      - {name: broken, type: python, call: "mending:work", args: ["${run.id}", "${item}.broken"]}
  - {name: other, workflow: one.yaml}
  - {name: last, type: python, call: "mending:work", args: ["${run.id}", last]}
outputs: {rows: "${steps.rows}", last: "${steps.last}"}
"""

MENDING = """
from pathlib import Path

import effects


def work(run, name):
    value = effects.work(run, name)
    if not Path("mended").exists():
        raise ValueError(f"{name} is broken")
    return value
"""


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_worker_takes_nothing_of_other_queues_whatever_happens_to_it(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, url: str | None
) -> None:
    (project / "workflows" / "failing.yaml").write_text(FAILING)
    (project / "mending.py").write_text(MENDING)
    account = Account(project, url)
    kurt("queues", "create", "gpu")
    gpu = spawn_kurt("worker", "start", "--queues", "gpu")
    default = spawn_kurt("worker", "start", "--queues", "default")
    wait_until(lambda: durability.live(project, url) == {gpu.pid, default.pid}, 20, what="both workers")
    words = ["workflows", "run", "--background", "--run-id"]
    kurt(*words, "retried", "workflows/failing.yaml")
    kurt("workflows", "wait", "retried", code=1)
    (project / "mended").touch()
    kurt("workflows", "retry", "retried", "--background")
    assert durability.outputs(kurt, "retried")["last"] == "fx:last"
    forks = [
        kurt.json("workflows", "fork", "retried", *start, "--background")["run_id"]
        for start in ([], ["--from", "rows"], ["--from", "last"])
    ]
    for fork in forks:
        assert durability.outputs(kurt, fork)["last"] == "fx:last"
    # A foreground run that is killed goes to the queue it was given, and so does what a worker loses.
    front = spawn_kurt("workflows", "run", "workflows/rows.yaml", "--run-id", "front")
    kurt(*words, "killed", "workflows/rows.yaml")
    kurt(*words, "cancelled", "workflows/rows.yaml")
    for run in ("front", "killed", "cancelled"):
        wait_until(lambda: durability.begun(project, run).keys() >= HELD, 30)  # noqa: B023 - used at once
    kurt("workflows", "cancel", "cancelled")
    account.kill(front, default)
    for run in ("front", "killed"):
        queued = lambda: kurt.json("workflows", "status", run)["status"] == "queued"  # noqa: B023, E731 - used at once
        wait_until(queued, 20, what=f"{run} to be handed back")
    begun = durability.begun(project)
    kurt(*words, "own", "workflows/one.yaml", "--queue", "gpu")  # it is looked for after all the others
    assert durability.outputs(kurt, "own") == {"one": "fx:one"}
    assert durability.begun(project) - begun == Counter(one=1)
    successor = spawn_kurt("worker", "start", "--queues", "default")
    resumed = kurt.json("workflows", "resume", "cancelled", "--background")
    assert resumed["queue"] == "default"
    for run in ("front", "killed", "cancelled"):
        assert durability.outputs(kurt, run) == OUTPUTS
    who = durability.executors_of(project, url)
    assert {run for run, pid in who.items() if pid == gpu.pid} == {"own"}
    assert set(who.values()) <= {gpu.pid, default.pid, front.pid, successor.pid}
    gpu.signal(signal.SIGTERM)
    assert gpu.wait(20) == 0, gpu.stderr


def test_a_run_does_not_wait_for_its_own_place_in_the_queue(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1", "--worker-concurrency", "1")
    account = Account(project)
    worker = worker_of(kurt, spawn_kurt, "narrow", wait_until)
    for run in ("r1", "r2"):
        durability.submit(kurt, "workflows/rows.yaml", "--queue", "narrow", "--run-id", run)
    wait_until(lambda: durability.begun(project, "r1").keys() >= HELD, 30)
    assert not durability.begun(project, "r2")
    account.kill(worker)
    successor = worker_of(kurt, spawn_kurt, "narrow", wait_until)
    assert durability.outputs(kurt, "r1") == OUTPUTS
    wait_until(lambda: durability.begun(project, "r2").keys() >= HELD, 30)
    account.kill(successor)
    worker_of(kurt, spawn_kurt, "narrow", wait_until)
    assert durability.outputs(kurt, "r2") == OUTPUTS
    account.check({"r1": EFFECTS, "r2": EFFECTS})


def test_low_numbers_go_first(kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1")
    worker = worker_of(kurt, spawn_kurt, "narrow", wait_until)
    start = ["--queue", "narrow", "--run-id"]
    durability.submit(kurt, "workflows/rows.yaml", *start, "holds")
    wait_until(lambda: durability.begun(project, "holds").keys() >= HELD, 30)
    for run, priority in (("p9", 9), ("p5", 5), ("p1", 1)):
        durability.submit(kurt, "workflows/one.yaml", *start, run, "--priority", str(priority))
    durability.submit(kurt, "workflows/one.yaml", *start, "none")
    worker.kill()
    worker_of(kurt, spawn_kurt, "narrow", wait_until)
    for run in ("holds", "p9"):
        durability.outputs(kurt, run)
    order = [mark.run for mark in durability.marks(project) if mark.what == "end" and mark.name == "one"]
    assert [run for run in order if run != "holds"] == ["none", "p1", "p5", "p9"]
    assert Counter(order).most_common(1)[0][1] == 1
