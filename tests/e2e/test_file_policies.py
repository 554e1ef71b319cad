"""What a file says of its place is obeyed: `queue`, `priority`, `debounce`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.command import Command
from tests.support.processes import Spawned, executors
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

NOTED = """
{head}
inputs: {{page: start, n: 0}}
steps:
  - {{name: one, type: python, call: "effects:work", args: ["${{run.id}}", "${{page}}.${{n}}"]}}
outputs: {{page: "${{page}}", n: "${{n}}"}}
"""


@pytest.fixture(autouse=True)
def furnished(project: Path) -> None:
    durability.furnish(project)


def write(project: Path, head: str, name: str = "noted") -> str:
    path = project / "workflows" / f"{name}.yaml"
    path.write_text(NOTED.format(head=head))
    return f"workflows/{name}.yaml"


def submit(kurt: Kurt, file: str, *more: str) -> dict[str, Any]:
    return kurt.json("workflows", "run", file, "--background", *more)


def test_runs_go_to_the_queue_of_the_file_in_the_order_of_its_priority(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1")
    files = [write(project, f"queue: narrow\npriority: {number}", f"p{number}") for number in (9, 5, 1)]
    other = spawn_kurt("worker", "start", "--queues", "default")
    wait_until(lambda: other.pid in executors(project).values(), 20)
    blocker = spawn_kurt("worker", "start", "--queues", "narrow")
    wait_until(lambda: blocker.pid in executors(project).values(), 20)
    blocker.signal(
        19
    )  # stopped, it lives and takes nothing: what is submitted waits, and no worker is started
    ids = [submit(kurt, file)["run_id"] for file in files]
    assert {kurt.json("workflows", "status", run)["queue"] for run in ids} == {"narrow"}
    overridden = submit(kurt, files[0], "--queue", "default", "--priority", "2")["run_id"]
    run = kurt.json("workflows", "wait", overridden)
    assert (run["queue"], run["priority"], run["status"]) == ("default", 2, "succeeded")
    blocker.signal(18)
    for run_id in ids:
        kurt("workflows", "wait", run_id)
    order = [mark.run for mark in durability.marks(project) if mark.what == "begin" and mark.run in ids]
    assert order == ids[::-1]


def test_requests_that_come_close_together_are_one_run_with_the_last_inputs(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    file = write(project, 'debounce: {period: 10s, key: "${page}"}')
    worker = spawn_kurt("worker", "start")
    wait_until(lambda: worker.pid in executors(project).values(), 20)
    here = Command(project)  # three requests well within the period, however busy the machine is
    first, other, second = (
        here.json("workflows", "run", file, "--background", "--input", f"page={page}", "--input", f"n={n}")
        for page, n in (("a", 1), ("b", 1), ("a", 2))
    )
    assert second["run_id"] == first["run_id"] != other["run_id"]
    assert (first["existing"], second["existing"]) == (False, True)
    assert kurt.json("workflows", "status", first["run_id"])["status"] == "scheduled"
    assert kurt.json("workflows", "wait", first["run_id"])["outputs"] == {"page": "a", "n": 2}
    assert kurt.json("workflows", "wait", other["run_id"])["outputs"] == {"page": "b", "n": 1}
    again = submit(kurt, file, "--input", "page=a", "--input", "n=3")
    assert again["run_id"] != first["run_id"]
    # A run that is placed by hand, or executed here, is a run of its own, at once.
    placed = submit(kurt, file, "--input", "page=a", "--input", "n=4", "--run-id", "mine")
    assert (placed["run_id"], placed["existing"]) == ("mine", False)
    executed = kurt.json("workflows", "run", file, "--input", "page=a", "--input", "n=5")
    assert executed["outputs"] == {"page": "a", "n": 5}


def test_requests_cannot_put_a_run_off_for_ever(kurt: Kurt, spawn_kurt: Spawn, project: Path) -> None:
    file = write(project, "debounce: {period: 60s, max: 2s}")
    worker = spawn_kurt("worker", "start")
    wait_until(lambda: worker.pid in executors(project).values(), 20)
    began = time.monotonic()
    run = submit(kurt, file)["run_id"]
    submit(kurt, file)
    assert kurt.json("workflows", "wait", run)["status"] == "succeeded"
    assert time.monotonic() - began < 40


def test_a_dry_run_says_what_the_file_does_to_its_runs(kurt: Kurt, project: Path) -> None:
    file = write(project, "debounce: 90s\nconcurrency: 1")
    found = kurt("workflows", "run", file, "--dry-run").stdout
    assert found.endswith(
        "queue default, in the background after 1m30s without a request, at most 1 run of it at once\n"
    )
    plan = kurt.json("workflows", "run", file, "--dry-run")
    assert plan["debounce"] == {"key": "", "period": 90, "longest": None}


LIMITED = """
limits: {memory: 300MB, cpu: 1s}
steps:
  - {name: big, type: script, code: "result = len(bytearray(900_000_000))", on_error: skip}
  - {name: own, type: script, code: "result = len(bytearray(400_000_000))", limits: {memory: 2GB}}
  - {name: busy, type: run, command: [sh, -c, "while :; do :; done"]}
"""


def test_limits_of_the_file_hold_for_its_steps_and_a_step_may_have_its_own(kurt: Kurt, project: Path) -> None:
    (project / "workflows" / "limited.yaml").write_text(LIMITED)
    kurt("workflows", "run", "workflows/limited.yaml", "--run-id", "r", code=1)
    steps = {step["path"]: step for step in kurt.json("workflows", "steps", "r")}
    assert "memory" in str(steps["big"]["error"]).lower()
    assert steps["own"]["status"] == "succeeded"
    assert steps["busy"]["status"] == "failed"
    assert "processor time" in str(steps["busy"]["error"]).lower()
