"""kill -9 of an executor while a step of every kind is at work: everything is continued, nothing finished is repeated."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import all_kinds, durability
from tests.support.cli import Kurt
from tests.support.durability import Account, Server
from tests.support.processes import Spawned
from tests.support.waiting import wait_until as wait_until_true

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]


@pytest.fixture
def server(project: Path) -> Any:
    with durability.serving(project) as server:
        yield server


@pytest.fixture
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "workflows" / "held.yaml").write_text(all_kinds.HELD)
    (project / "workflows" / "other.yaml").write_text(all_kinds.OTHER)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("executor", "next_one", "url"),
    [
        ("worker", "worker", "sqlite"),
        ("worker", "survivors", "sqlite"),
        ("foreground", "worker", "sqlite"),
        ("foreground", "resume", "sqlite"),
        pytest.param("worker", "worker", "postgres", marks=pytest.mark.postgres),
        pytest.param("worker", "survivors", "postgres", marks=pytest.mark.postgres),
        pytest.param("foreground", "resume", "postgres", marks=pytest.mark.postgres),
    ],
    indirect=["url"],
)
def test_a_run_goes_on_after_a_kill_in_the_middle_of_every_kind(
    kurt: Kurt,
    spawn_kurt: Spawn,
    server: Server,
    project: Path,
    wait_until: WaitUntil,
    executor: str,
    next_one: str,
    url: str | None,
) -> None:
    account = Account(project, url, server)
    start = ["workflows", "run", "workflows/held.yaml", "--run-id", "held", "--input", f"server={server.url}"]
    if executor == "worker":
        victim = spawn_kurt("worker", "start", "--concurrency", "50")
        wait_until(lambda: durability.live(project, url) == {victim.pid}, 20, what="the worker")
        kurt(*start, "--background")
    else:
        victim = spawn_kurt(*start)
    at_work = set(all_kinds.HELD_AT_WORK)
    wait_until(
        lambda: durability.begun(project).keys() >= at_work or not victim.running, 60, what="all at work"
    )
    assert victim.running, victim.stderr
    survivors = stopped_workers(spawn_kurt, account) if next_one == "survivors" else []
    account.kill(victim)
    # Quick effects beside them may have begun too, and not be stored yet.
    assert {name for _, name in account.repeats} >= at_work
    assert kurt.json("workflows", "status", "held")["status"] in {"interrupted", "waiting"}

    for survivor in survivors:
        survivor.signal(signal.SIGCONT)
    if next_one == "worker":
        spawn_kurt("worker", "start", "--concurrency", "50")
    resumed = spawn_kurt("workflows", "resume", "held") if next_one == "resume" else None
    owns = lambda: durability.executors_of(project, url)["held"] in durability.live(project, url)  # noqa: E731 - one look
    wait_until(owns, 20, what="somebody who goes on with the run")
    kurt("workflows", "send", "held", "--topic", "go", "--data", '"went"')
    outputs = durability.outputs(kurt, "held")
    assert outputs["all"]["request"].pop("headers")
    assert outputs == all_kinds.HELD_OUTPUTS
    account.check({"held": all_kinds.HELD_EFFECTS})
    if resumed is not None:
        assert resumed.wait() == 0, resumed.stderr
    assert all(survivor.running for survivor in survivors)


def stopped_workers(spawn_kurt: Spawn, account: Account) -> list[Spawned]:
    """Two workers that live and do nothing until they are continued, so that what is at work can be noted."""
    workers = [spawn_kurt("worker", "start", "--concurrency", "50") for _ in range(2)]
    alive = {worker.pid for worker in workers}
    wait_until_true(lambda: durability.live(account.project, account.url) >= alive, 20, what="two workers")
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    return workers


PYTHON = """
import asyncio

from dbos import DBOS, SetWorkflowID

import effects


@DBOS.step()
def step(run: str, name: str, hold: bool = False) -> str:
    return effects.work(run, name, hold)


@DBOS.step()
async def gentle(run: str, name: str, hold: bool = False) -> str:
    return await asyncio.to_thread(effects.work, run, name, hold)


@DBOS.workflow()
async def gentle_workflow(run: str) -> list[str]:
    first = await gentle(run, "gentle.one")
    both = await asyncio.gather(gentle(run, "gentle.left", True), gentle(run, "gentle.right", True))
    return [first, *both]


@DBOS.workflow()
def flow_workflow() -> list[object]:
    run = DBOS.workflow_id
    first = step(run, "first")
    with SetWorkflowID(f"{run}.gentle"):
        child = DBOS.start_workflow(gentle_workflow, run)
    return [first, step(run, "held", True), child.get_result(), step(run, "last")]
"""
GENTLE = ["gentle.one", "gentle.left", "gentle.right"]


@pytest.mark.parametrize("executor", ["worker", "foreground"])
def test_a_python_workflow_goes_on_after_a_kill(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, executor: str
) -> None:
    durability.furnish(project)
    (project / "workflows" / "flow").mkdir()
    (project / "workflows" / "flow" / "workflow.py").write_text(PYTHON)
    start = ["workflows", "run", "flow", "--run-id", "r"]
    if executor == "worker":
        victim = spawn_kurt("worker", "start")
        durability.the_worker(project)
        kurt(*start, "--background")
    else:
        victim = spawn_kurt(*start)
    held = {"held", "gentle.left", "gentle.right"}
    wait_until(lambda: durability.begun(project).keys() >= held or not victim.running, 30)
    account = Account(project)
    account.kill(victim)
    assert {name for _, name in account.repeats} == held
    spawn_kurt("worker", "start")
    gentle = [f"fx:{name}" for name in GENTLE]
    assert durability.outputs(kurt, "r") == ["fx:first", "fx:held", gentle, "fx:last"]
    account.check({"r": [*GENTLE, "first", "held", "last"]})
