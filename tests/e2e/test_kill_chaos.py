"""kill -9 of executors at random moments, again and again: every run finishes as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import all_kinds, durability
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.durability import Account, Server
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

KILLS = 2
"""Executors killed in each round."""

FILES = {"everything": all_kinds.EVERYTHING, "graph": all_kinds.GRAPH}
EFFECTS = {"everything": all_kinds.EVERYTHING_EFFECTS, "graph": all_kinds.graph_effects("top")}


@pytest.fixture
def server(project: Path) -> Iterator[Server]:
    with durability.serving(project) as server:
        yield server


@pytest.fixture
def account(project: Path, server: Server, chaos: Chaos, url: str | None) -> Account:
    durability.furnish(project, seed=chaos.random.random(), unit=0.15)
    for name, text in FILES.items():
        (project / "workflows" / f"{name}.yaml").write_text(text)
    return Account(project, url, server)


def words(server: Server, name: str, run: str) -> list[str]:
    """The command that starts a run."""
    inputs = ["--input", f"server={server.url}"] if name == "everything" else []
    return ["workflows", "run", f"workflows/{name}.yaml", "--run-id", run, *inputs]


def undisturbed(kurt: Kurt, server: Server) -> tuple[dict[str, Any], float]:
    """What each workflow gives when nothing happens to it, and how long the longest took."""
    results: dict[str, Any] = {}
    longest = 0.0
    for name in FILES:
        results[name] = kurt.json(*words(server, name, f"calm-{name}"))["outputs"]
        times = [mark.at for mark in durability.marks(kurt.project) if mark.run == f"calm-{name}"]
        longest = max(longest, times[-1] - times[0])
    return results, longest


def wait_a_moment(chaos: Chaos, account: Account, victim: Spawned, longest: float) -> None:
    """Wait for a random moment: mostly counted from the executor's first step, sometimes from its own start."""
    if chaos.random.random() < 0.75:
        known = len(durability.marks(account.project))
        end = time.monotonic() + 15
        while len(durability.marks(account.project)) == known and victim.running and time.monotonic() < end:
            time.sleep(0.01)
    time.sleep(chaos.moment(longest))


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_worker_is_killed(
    kurt: Kurt, spawn_kurt: Spawn, server: Server, account: Account, chaos: Chaos
) -> None:
    results, longest = undisturbed(kurt, server)
    for turn in range(rounds(chaos, account)):
        runs = {f"{name}-{turn}": name for name in FILES}
        worker = spawn_kurt("worker", "start")
        wait_until(lambda: durability.live(account.project, account.url) == {worker.pid}, 20)  # noqa: B023 - used at once
        for run, name in runs.items():
            kurt(*words(server, name, run), "--background")
        for _ in range(KILLS):
            wait_a_moment(chaos, account, worker, longest)
            account.kill(worker)
            worker = spawn_kurt("worker", "start")
        for run, name in runs.items():
            assert durability.outputs(kurt, run) == results[name], run
        account.check({run: EFFECTS[name] for run, name in runs.items()})
        account.kill(worker)


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_foreground_run_is_killed(
    kurt: Kurt, spawn_kurt: Spawn, server: Server, account: Account, chaos: Chaos
) -> None:
    results, longest = undisturbed(kurt, server)
    for turn in range(rounds(chaos, account)):
        name = "everything" if turn % 2 == 0 else "graph"
        run = f"{name}-{turn}"
        start = words(server, name, run)
        executor = spawn_kurt(*start)
        for _ in range(KILLS):
            wait_a_moment(chaos, account, executor, longest)
            account.kill(executor)
            executor = spawn_kurt(*going_on(account, run, start, chaos))
        wait_until(partial(durability.exists, account.project, run, account.url), 30)
        assert durability.outputs(kurt, run) == results[name]
        account.check({run: EFFECTS[name]})
        account.kill(executor)


def rounds(chaos: Chaos, account: Account) -> int:
    """How many rounds: the short series has one on Postgres, where each takes longer."""
    return 1 if account.url and chaos.rounds < FULL_SERIES else chaos.rounds


def going_on(account: Account, run: str, start: list[str], chaos: Chaos) -> list[str]:
    """The command by which a killed run goes on: by a worker, or in the foreground again."""
    status = durability.status(account.project, run, account.url)
    if status is None:
        return start  # it was killed before there was a run
    if status == "PENDING" and chaos.random.random() < 0.5:
        return ["workflows", "resume", run]
    return ["worker", "start"]
