"""A Postgres server that is not there, or goes away for a while, and workers that stop in the middle of their work."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.postgres import NoServerError, Server, new_server
from tests.support.processes import Spawned

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

GATED = """
name: gated
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
  - name: rows
    foreach: {items: [a, b], max_concurrent: 2}
    steps:
      - {name: two, type: python, call: "gates:work", args: ["${run.id}", "two.${item}"]}
      - {name: three, type: python, call: "effects:work", args: ["${run.id}", "three.${item}"]}
  - {name: both, type: parallel, parallel: [
      {name: left, type: python, call: "effects:work", args: ["${run.id}", left]},
      {name: right, type: python, call: "effects:work", args: ["${run.id}", right]}]}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {rows: "${steps.rows}", last: "${steps.last}"}
"""
OUTPUTS = {"rows": ["fx:three.a", "fx:three.b"], "last": "fx:last"}
HELD = ["two.a", "two.b"]
EFFECTS = ["one", *HELD, "three.a", "three.b", "left", "right", "last"]

GATES = """
import time
from pathlib import Path

import effects


def work(run, name):
    \"\"\"At its first beginning it lasts until the test opens the gate.\"\"\"
    effects.mark("begin", run, name)
    if effects.begun(run, name) == 1:
        until = time.monotonic() + 120
        while not Path("open").exists() and time.monotonic() < until:
            time.sleep(0.02)
    effects.mark("end", run, name)
    return f"fx:{name}"
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "gates.py").write_text(GATES)
    (project / "workflows" / "gated.yaml").write_text(GATED)


def test_a_server_that_nobody_can_reach(kurt: Kurt, project: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else answers there either
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://someone:hunter2@127.0.0.1:{taken.getsockname()[1]}/nothing"
        kurt.environ["DATABASE_URL"] = address
        for words in (
            ["workflows", "list"],
            ["workflows", "status", "r"],
            ["workflows", "run", "workflows/gated.yaml"],
            ["workflows", "run", "workflows/gated.yaml", "--background"],
            ["workflows", "resume", "r"],
            ["workflows", "cancel", "r"],
            ["worker", "start"],
            ["worker", "list"],
            ["queues", "list"],
        ):
            done = kurt(*words, "--format", "json", code=1)
            error = done.error()
            assert error["code"] == "storage", done
            assert "cannot be reached" in error["message"]
            assert "check that the server runs" in error["hint"]
            assert "hunter2" not in done.stderr
    assert not durability.begun(project)


@pytest.fixture
def own_server() -> Iterator[Server]:
    try:
        with new_server() as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.mark.postgres
@pytest.mark.parametrize("executor", ["worker", "foreground"])
def test_a_server_that_goes_away_and_comes_back(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, own_server: Server, wait_until: WaitUntil, executor: str
) -> None:
    url = kurt.environ["DATABASE_URL"] = own_server.url(own_server.create())
    kurt("db", "upgrade")
    if executor == "worker":
        process = spawn_kurt("worker", "start", "--idle-exit", "60s")
        wait_until(lambda: durability.live(project, url) == {process.pid}, 20)
        durability.submit(kurt, "workflows/gated.yaml", "--run-id", "r")
    else:
        process = spawn_kurt("workflows", "run", "workflows/gated.yaml", "--run-id", "r")
    wait_until(lambda: durability.begun(project).keys() >= set(HELD) or not process.running, 30)
    own_server.stop("fast")
    (project / "open").touch()
    ended = lambda: [mark.name for mark in durability.marks(project) if mark.what == "end"]  # noqa: E731 - one look
    wait_until(lambda: set(ended()) >= set(HELD), 10, what="the end of the steps")
    wait_until(lambda: "cannot be reached" in process.stderr, 20, what="word of the server that is gone")
    error = kurt("workflows", "status", "r", "--format", "json", code=1).error()
    assert (error["code"], "cannot be reached" in error["message"]) == ("storage", True)
    assert process.running, process.stderr
    own_server.start()
    assert durability.outputs(kurt, "r", limit=90) == OUTPUTS
    assert durability.begun(project) == Counter(EFFECTS)
    if executor == "foreground":
        assert process.wait(20) == 0, process.stderr
        return
    later = durability.submit(kurt, "workflows/gated.yaml")  # the worker goes on, with its lease
    assert durability.outputs(kurt, later) == OUTPUTS
    assert durability.live(project, url) == {process.pid}
    process.signal(signal.SIGTERM)
    assert process.wait(20) == 0, process.stderr


@pytest.mark.postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_worker_that_is_stopped_until_its_lease_has_lapsed(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str, wait_until: WaitUntil
) -> None:
    old = spawn_kurt("worker", "start")
    wait_until(lambda: durability.live(project, url) == {old.pid}, 20)
    durability.submit(kurt, "workflows/gated.yaml", "--run-id", "r")
    wait_until(lambda: durability.begun(project).keys() >= set(HELD), 30)
    old.signal(signal.SIGSTOP)
    durability.end_terms(url, [old.pid])
    assert kurt.json("workflows", "status", "r")["status"] == "interrupted"
    new = spawn_kurt("worker", "start")
    # It may have been stopped with locks in its hands: the server takes them away after a minute.
    assert durability.outputs(kurt, "r", limit=150) == OUTPUTS
    assert durability.executors_of(project, url)["r"] == new.pid
    before = checkpoints(url)
    # The steps of the old one end only now; their results come too late, and nothing goes on from them.
    (project / "open").touch()
    ends = lambda: Counter(mark.name for mark in durability.marks(project) if mark.what == "end")  # noqa: E731 - one look
    wait_until(lambda: all(ends()[name] == 2 for name in HELD), 20, what="the end of the old worker's steps")
    old.signal(signal.SIGCONT)
    wait_until(lambda: durability.live(project, url) == {old.pid, new.pid}, 20, what="the old worker's lease")
    new.signal(signal.SIGTERM)
    assert new.wait(20) == 0, new.stderr
    later = durability.submit(kurt, "workflows/gated.yaml")
    assert durability.outputs(kurt, later) == OUTPUTS
    assert durability.executors_of(project, url)[later] == old.pid
    assert checkpoints(url) == before
    assert durability.begun(project, "r") == Counter([*EFFECTS, *HELD])
    assert kurt.json("workflows", "status", "r")["status"] == "succeeded"
    old.signal(signal.SIGTERM)
    assert old.wait(20) == 0, old.stderr


def checkpoints(url: str) -> list[tuple[Any, ...]]:
    """Everything that is recorded of the run `r` and its items."""
    query = (
        "SELECT workflow_uuid, function_id, function_name, output, error, completed_at_epoch_ms"
        " FROM dbos.operation_outputs WHERE workflow_uuid = 'r' OR workflow_uuid LIKE 'r.%' ORDER BY 1, 2"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()
