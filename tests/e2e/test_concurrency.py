"""`concurrency` of a file: so many of its runs are at work at once, whoever executes them; the others wait visibly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

BACKENDS = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)

FILE = """
concurrency: {limit}
inputs: {{seconds: {{type: float, default: 0.8}}, hold: false}}
steps:
  - {{name: one, type: python, call: "noting:note", args: ["${{run.id}}", "${{seconds}}", "${{hold}}"]}}
"""

NOTING = """
import time
from pathlib import Path

import effects


def note(run, seconds, hold):
    # Held until it is killed; its repeat takes no time.
    if not hold:
        effects.mark("begin", run, "one")
        while seconds < 0 and not Path("go").exists():
            time.sleep(0.02)
        time.sleep(max(0.3, seconds))
        effects.mark("end", run, "one")
        return "fx:one"
    return effects.work(run, "one", hold=True)
"""

PARENT = """
steps:
  - name: both
    parallel:
      - {name: left, workflow: limited.yaml}
      - {name: right, workflow: limited.yaml}
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "noting.py").write_text(NOTING)
    (project / "workflows" / "parent.yaml").write_text(PARENT)


def limited(project: Path, limit: int = 1) -> str:
    (project / "workflows" / "limited.yaml").write_text(FILE.format(limit=limit))
    return "workflows/limited.yaml"


def most_at_once(project: Path) -> int:
    """How many were at work at once at most."""
    at_work = most = 0
    for mark in durability.marks(project):
        at_work += 1 if mark.what == "begin" else -1
        most = max(most, at_work)
    return most


def status(kurt: Kurt, run: str) -> dict[str, Any]:
    return kurt.json("workflows", "status", run)


@BACKENDS
def test_no_more_runs_than_the_file_allows_are_at_work_wherever_they_are(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str | None
) -> None:
    file = limited(project, 2)
    workers = [spawn_kurt("worker", "start") for _ in range(2)]
    wait_until(lambda: durability.live(project, url) >= {one.pid for one in workers}, 30, what="two workers")
    runs = [f"r{number}" for number in range(5)]
    for run in runs:
        kurt("workflows", "run", file, "--background", "--run-id", run, "--input", "seconds=-1")
    wait_until(lambda: durability.begun(project)["one"] == 2, 30, what="two runs at work")
    waiting = [run["run_id"] for run in kurt.json("workflows", "list", "--status", "waiting")]
    assert len(waiting) == 3
    (project / "go").touch()
    kurt("workflows", "run", file, "--run-id", "front")
    for run in runs:
        kurt("workflows", "wait", run)
    assert most_at_once(project) == 2
    assert durability.begun(project)["one"] == 6


def test_a_run_tells_behind_which_it_waits_and_can_be_cancelled_meanwhile(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    file = limited(project)
    kurt("workflows", "run", file, "--background", "--run-id", "long", "--input", "hold=true")
    wait_until(lambda: durability.begun(project, "long"), 30, what="the run in the way")
    front = spawn_kurt("workflows", "run", file, "--run-id", "front", "--input", "seconds=4")
    wait_until(lambda: "waits for its turn" in front.stderr, 30, what="the foreground run that waits")
    kurt("workflows", "run", file, "--background", "--run-id", "second")
    wait_until(lambda: status(kurt, "second")["status"] == "waiting", 30, what="a run that waits")
    wait = status(kurt, "second")["waiting_for"]
    assert (wait["kind"], wait["runs"], wait["limit"]) == ("turn", ["long", "front"], 1)
    assert "waiting for:  its turn, behind long, front\n" in kurt("workflows", "status", "second").stdout
    waiting = {run["run_id"] for run in kurt.json("workflows", "list", "--status", "waiting")}
    assert waiting == {"front", "second"}
    kurt("workflows", "cancel", "second")
    wait_until(lambda: status(kurt, "second")["status"] == "cancelled", 10)
    kurt("workflows", "cancel", "long")
    assert front.wait(30) == 0
    assert "the run waits for its turn, behind long" in front.stderr
    assert durability.begun(project, "second") == {}


def test_a_killed_run_keeps_its_turn_until_it_is_over(kurt: Kurt, spawn_kurt: Spawn, project: Path) -> None:
    file = limited(project)
    first = spawn_kurt("worker", "start")
    wait_until(lambda: first.pid in durability.live(project), 30)
    kurt("workflows", "run", file, "--background", "--run-id", "killed", "--input", "hold=true")
    wait_until(lambda: durability.begun(project, "killed"), 30)
    kurt("workflows", "run", file, "--background", "--run-id", "next")
    first.kill()
    spawn_kurt("worker", "start")
    kurt("workflows", "wait", "next")
    order = [(mark.what, mark.run) for mark in durability.marks(project)]
    assert order == [
        ("begin", "killed"),
        ("begin", "killed"),
        ("end", "killed"),
        ("begin", "next"),
        ("end", "next"),
    ]


def test_a_run_that_is_resumed_asks_for_its_turn_again(kurt: Kurt, spawn_kurt: Spawn, project: Path) -> None:
    file = limited(project)
    kurt("workflows", "run", file, "--background", "--run-id", "first", "--input", "hold=true")
    wait_until(lambda: durability.begun(project, "first"), 30)
    kurt("workflows", "cancel", "first")
    kurt("workflows", "run", file, "--background", "--run-id", "second", "--input", "seconds=8")
    wait_until(lambda: durability.begun(project, "second"), 30)
    kurt("workflows", "resume", "first", "--background")
    kurt("workflows", "wait", "first")
    assert status(kurt, "second")["status"] == "succeeded"
    end = next(mark.at for mark in durability.marks(project) if (mark.what, mark.run) == ("end", "second"))
    again = [mark.at for mark in durability.marks(project) if (mark.what, mark.run) == ("begin", "first")][-1]
    assert again > end


def test_a_workflow_that_others_run_is_bounded_too(kurt: Kurt, project: Path) -> None:
    limited(project)
    kurt("workflows", "run", "workflows/parent.yaml")
    assert durability.begun(project)["one"] == 2
    assert most_at_once(project) == 1
