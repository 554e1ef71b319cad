"""Runs outlive the processes that execute and enqueue them: queued ones, retries in waiting, edited files."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.chaos import Chaos
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned, executors

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

TWO = """
name: two
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one, true]}
  - {name: two, type: python, call: "effects:work", args: ["${run.id}", two]}
outputs: {one: "${steps.one}", two: "${steps.two}"}
"""

TWO_OUTPUTS = {"one": "fx:one", "two": "fx:two"}

RETRIES = """
name: retries
steps:
  - name: flaky
    type: python
    call: "effects:fail"
    args: ["${run.id}", flaky]
    retry: {max_attempts: 3, delay: 4s, backoff: fixed, jitter: false}
    on_error: skip
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {flaky: "${steps.flaky}", last: "${steps.last}"}
"""

QUICK = """
name: quick
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
outputs: {one: "${steps.one}"}
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    for name, text in {"two": TWO, "retries": RETRIES, "quick": QUICK}.items():
        (project / "workflows" / f"{name}.yaml").write_text(text)


def test_runs_outlive_the_end_of_every_process(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    kurt("queues", "create", "narrow", "--concurrency", "1")
    worker = spawn_kurt("worker", "start", "--queues", "narrow")
    durability.the_worker(project)
    start = ["workflows/two.yaml", "--queue", "narrow", "--run-id"]
    durability.submit(kurt, *start, "first")
    wait_until(lambda: durability.begun(project, "first")["one"], 20)
    durability.submit(kurt, *start, "second")
    durability.submit(kurt, *start, "later", "--in", "2s")
    account = Account(project)
    account.kill(worker)
    assert not executors(project)
    assert states(kurt) == {"first": "interrupted", "second": "queued", "later": "scheduled"}
    for words in (["wait", "first"], ["follow", "second"]):
        waiting = spawn_kurt("workflows", *words)
        remedy = (
            "no live worker serves the queue 'narrow'; it goes on with: kurt worker start --queues narrow"
        )
        wait_until(partial(_says, waiting, remedy), 20, what=f"word of it from {words}")
        waiting.signal(signal.SIGINT)
        assert waiting.wait(10) == 130
    # A worker of another queue has nothing to do with them.
    other = spawn_kurt("worker", "start", "--queues", "default", "--idle-exit", "2s")
    assert other.wait(20) == 0, other.stderr
    assert states(kurt)["first"] in {"interrupted", "queued"}
    assert not durability.begun(project, "second")
    spawn_kurt("worker", "start", "--queues", "narrow")
    assert durability.outputs(kurt, "first") == TWO_OUTPUTS
    account.check({"first": ["one", "two"]})
    for run in ("second", "later"):
        wait_until(lambda: durability.begun(project, run)["one"], 20)  # noqa: B023 - used at once
        kurt("workflows", "cancel", run)


def states(kurt: Kurt) -> dict[str, str]:
    """The state of every run."""
    return {run["run_id"]: run["status"] for run in kurt.json("workflows", "list")}


def _says(process: Spawned, text: str) -> bool:
    return text in process.stderr


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_an_interrupted_run_keeps_the_definition_with_which_it_began(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, change: str
) -> None:
    account = Account(project)
    run = spawn_kurt("workflows", "run", "workflows/two.yaml", "--run-id", "r")
    wait_until(lambda: durability.begun(project, "r")["one"], 20)
    account.kill(run)
    file = project / "workflows" / "two.yaml"
    if change == "edited":
        file.write_text(TWO.replace("name: two,", "name: three,").replace("steps.two", "steps.three"))
    else:
        file.unlink()
    spawn_kurt("worker", "start")
    assert durability.outputs(kurt, "r") == TWO_OUTPUTS
    account.check({"r": ["one", "two"]})


def test_the_wait_for_the_next_attempt_outlives_its_executor(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    account = Account(project)
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    run = durability.submit(kurt, "workflows/retries.yaml")
    for attempt in (1, 2):
        waiting = partial(lambda wanted: latest(kurt, run) == wanted, (attempt, "retrying"))
        wait_until(waiting, 30, what=f"the wait after attempt {attempt}")
        account.kill(worker)
        worker = spawn_kurt("worker", "start")
    assert durability.outputs(kurt, run) == {"flaky": None, "last": "fx:last"}
    begins = [mark.at for mark in durability.marks(project) if (mark.what, mark.name) == ("begin", "flaky")]
    assert len(begins) == 3  # the count did not begin again
    assert all(later - earlier >= 4 for earlier, later in pairwise(begins))
    assert begins[2] - begins[0] < 16  # nor did the wait


def latest(kurt: Kurt, run: str) -> tuple[int, str] | None:
    """The attempt of the run's last step, and its state."""
    steps = kurt.json("workflows", "steps", run)
    return (steps[-1]["attempt"], steps[-1]["status"]) if steps else None


def test_a_background_run_tells_where_it_is_and_writes_its_log(
    kurt: Kurt, project: Path, wait_until: WaitUntil
) -> None:
    started = time.monotonic()
    printed = kurt("workflows", "run", "workflows/two.yaml", "--background").stdout
    found = re.search(r"Workflow started: (\S+)\nLogs: (\S+)\n", printed)
    assert found, printed
    run, log = found[1], project / found[2]
    assert log.read_text().startswith("20")  # the log is there when the command has ended
    seen: list[str] = []

    def running() -> bool:
        seen.append(kurt.json("workflows", "status", run)["status"])
        return seen[-1] == "running" and durability.begun(project, run)["one"] == 1

    wait_until(running, 20)
    wait_until(lambda: "[one] started" in log.read_text(), 10 - (time.monotonic() - started))
    durability.kill(durability.the_worker(project))
    seen.append(kurt.json("workflows", "status", run)["status"])
    followed = kurt.spawn("workflows", "follow", run)
    kurt.spawn("worker", "start")
    assert followed.wait(40) == 0
    seen.append(kurt.json("workflows", "status", run)["status"])
    told = [state for state, before in zip(seen, [None, *seen], strict=False) if state != before]
    assert told in (
        ["queued", "running", "interrupted", "succeeded"],
        ["running", "interrupted", "succeeded"],
    )
    text = log.read_text()
    assert text.index("[one] started") < text.index("[two] succeeded")
    assert datetime.fromisoformat(text.split()[0].replace("Z", "+00:00")).utcoffset() is not None


@pytest.mark.chaos
def test_the_command_that_enqueues_may_die_at_any_moment(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, chaos: Chaos
) -> None:
    spawn_kurt("worker", "start")
    durability.the_worker(project)
    started = time.monotonic()
    durability.submit(kurt, "workflows/quick.yaml", "--run-id", "calm")
    longest = time.monotonic() - started
    runs = [f"r{number}" for number in range(4 * chaos.rounds)]
    for run in runs:
        command = spawn_kurt("workflows", "run", "workflows/quick.yaml", "--background", "--run-id", run)
        time.sleep(chaos.moment(longest))
        command.kill()
    listed = {run["run_id"] for run in kurt.json("workflows", "list", "--limit", "1000")}
    for run in runs:
        if run in listed:
            assert durability.outputs(kurt, run) == {"one": "fx:one"}
        else:
            assert not durability.begun(project, run)
            repeated = durability.submit(kurt, "workflows/quick.yaml", "--run-id", run)
            assert durability.outputs(kurt, repeated) == {"one": "fx:one"}
    assert durability.begun(project) == Counter(one=len(runs) + 1)


@pytest.mark.chaos
def test_no_run_is_left_behind_by_a_worker_that_ends_because_it_is_idle(
    kurt: Kurt, project: Path, chaos: Chaos
) -> None:
    with (project / "kurt.config").open("a") as config:
        config.write('WORKER.IDLE_EXIT="0.6"\n')
    for _ in range(3 * chaos.rounds):
        time.sleep(chaos.moment(1.5))
        run = durability.submit(kurt, "workflows/quick.yaml")
        assert durability.outputs(kurt, run, limit=15) == {"one": "fx:one"}
    assert len(list((project / ".kurt" / "logs").glob("worker-*.log"))) > 1


def test_a_foreground_run_leaves_the_work_of_others_alone(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    account = Account(project)
    dead = spawn_kurt("workflows", "run", "workflows/two.yaml", "--run-id", "dead")
    wait_until(lambda: durability.begun(project, "dead")["one"], 20)
    account.kill(dead)
    foreground = spawn_kurt("workflows", "run", "workflows/two.yaml", "--run-id", "own")
    wait_until(lambda: durability.begun(project, "own")["one"], 20)
    # It hands back what the dead one left, for a worker to take, and takes nothing itself.
    wait_until(lambda: kurt.json("workflows", "status", "dead")["status"] == "queued", 10)
    assert kurt("workflows", "resume", "own", code=1).stderr.count("is at work")
    foreground.signal(signal.SIGTERM)
    assert foreground.wait(10) == 130
    assert durability.begun(project) == Counter(one=2)
    assert kurt.json("workflows", "resume", "own")["outputs"] == TWO_OUTPUTS
    assert durability.begun(project, "dead") == Counter(one=1)
    spawn_kurt("worker", "start")
    assert durability.outputs(kurt, "dead") == TWO_OUTPUTS
