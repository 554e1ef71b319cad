"""A disk that is full or read-only, a damaged file: a clear error, nothing lost, and the run goes on afterwards."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned, end_executors, executors
from tests.support.small_disk import SmallDisk, small_disk

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

ITEMS = 30
LARGE = 30_000
"""Characters that each item gives; all of them are more than the disk has left, a command is less."""
LEFT = 500_000

FILL = f"""
name: fill
steps:
  - {{name: first, type: python, call: "effects:work", args: ["${{run.id}}", first]}}
  - {{name: go, type: wait, wait: {{message: go}}}}
  - name: items
    foreach: {{items: {list(range(ITEMS))}, max_concurrent: 3}}
    steps:
      - {{name: item, type: python, call: "large:work", args: ["${{run.id}}", "${{item}}"]}}
  - {{name: count, type: script, inputs: {{items: "${{steps.items}}"}}, code: "result = [len(items), len({{len(i) for i in items}}), len(items[0])]"}}
outputs: {{first: "${{steps.first}}", count: "${{steps.count}}"}}
"""
OUTPUTS = {"first": "fx:first", "count": [ITEMS, 1, LARGE]}

MODULE = f"""
import effects


def work(run, item):
    effects.work(run, f"item{{item}}")
    return str(item).ljust({LARGE}, ".")
"""

HELD = """
name: held
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
  - {name: two, type: python, call: "effects:work", args: ["${run.id}", two, true]}
  - {name: three, type: python, call: "effects:work", args: ["${run.id}", three]}
outputs: {steps: "${steps}"}
"""
HELD_OUTPUTS = {"steps": {name: f"fx:{name}" for name in ("one", "two", "three")}}


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "large.py").write_text(MODULE)
    for name, text in {"fill": FILL, "held": HELD}.items():
        (project / "workflows" / f"{name}.yaml").write_text(text)


@pytest.fixture
def disk(project: Path, kurt: Kurt) -> Iterator[SmallDisk]:
    """A disk of its own for all that Kurt writes."""
    with small_disk(project / ".kurt", megabytes=6) as disk:
        yield disk
        kurt.end()
        end_executors(project)


def refused(kurt: Kurt, *words: str) -> dict[str, Any]:
    """The error with which a command ends."""
    error = kurt(*words, "--format", "json", code=1).error()
    assert error["code"] == "storage", error
    return error


def begin(kurt: Kurt, spawn_kurt: Spawn, executor: str, name: str) -> Spawned:
    """A run of this file and name, and its executor."""
    if executor == "foreground":
        return spawn_kurt("workflows", "run", f"workflows/{name}.yaml", "--run-id", name)
    worker = spawn_kurt("worker", "start", "--idle-exit", "60s")
    durability.the_worker(kurt.project)
    durability.submit(kurt, f"workflows/{name}.yaml", "--run-id", name)
    return worker


@pytest.mark.parametrize("executor", ["worker", "foreground"])
def test_a_full_disk(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, disk: SmallDisk, wait_until: WaitUntil, executor: str
) -> None:
    process = begin(kurt, spawn_kurt, executor, "fill")
    wait_until(lambda: state(kurt, "fill") == "waiting", 30)
    with no_room_in_the_journal(project):
        disk.fill()
        for words in (
            ["workflows", "send", "fill", "--topic", "go", "--data", "1"],
            ["workflows", "cancel", "fill"],
            ["workflows", "run", "workflows/held.yaml", "--run-id", "other", "--background"],
            ["workflows", "run", "workflows/held.yaml", "--run-id", "other"],
            ["worker", "start"],
        ):
            error = refused(kurt, *words)
            assert "full" in error["message"] or "No space left" in error["message"]
            assert error["hint"].startswith("free space on the disk")
    assert [run["run_id"] for run in kurt.json("workflows", "list")] == ["fill"]  # reading goes on
    assert state(kurt, "fill") == "waiting"
    disk.clear()
    disk.fill(leave=LEFT)
    kurt("workflows", "send", "fill", "--topic", "go", "--data", "1")
    wait_until(lambda: disk.free < 2 * LARGE or not process.running, 30, what="the disk to be full")
    wait_until(lambda: "database or disk is full" in process.stderr, 10, what="word of it")
    assert process.running, process.stderr
    assert state(kurt, "fill") == "running"
    assert "last" not in durability.begun(project)
    disk.clear()
    assert durability.outputs(kurt, "fill", limit=90) == OUTPUTS
    assert durability.begun(project) == Counter(["first", *(f"item{item}" for item in range(ITEMS))])
    assert "the run waits for it" in process.stderr or "runs wait for it" in process.stderr
    assert "Traceback" not in process.stderr
    if executor == "foreground":
        assert process.wait(20) == 0


@contextmanager
def no_room_in_the_journal(project: Path) -> Generator[None]:
    """Cut SQLite's journal to its contents and let nobody begin it anew: what is written now takes room on the disk."""
    with closing(
        sqlite3.connect(project / ".kurt" / "kurt.sqlite", timeout=30, isolation_level=None)
    ) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield


def state(kurt: Kurt, run: str) -> str | None:
    """The state of a run as people see it, None while there is none."""
    found = [listed for listed in kurt.json("workflows", "list") if listed["run_id"] == run]
    return found[0]["status"] if found else None


def test_ctrl_c_ends_a_run_that_waits_for_a_full_disk(
    kurt: Kurt, spawn_kurt: Spawn, disk: SmallDisk, wait_until: WaitUntil
) -> None:
    process = begin(kurt, spawn_kurt, "foreground", "fill")
    wait_until(lambda: state(kurt, "fill") == "waiting", 30)
    disk.fill(leave=LEFT)
    kurt("workflows", "send", "fill", "--topic", "go", "--data", "1")
    wait_until(lambda: "the run waits for it" in process.stderr, 30, what="word of the full disk")
    disk.fill()
    process.signal(signal.SIGINT)
    assert process.wait(20) == 130, process.stderr
    assert "kurt workflows resume fill" in process.stderr
    # What the failed writes have taken of the disk may be just enough for it; the command says which it was.
    refused = "could not be cancelled: the database" in process.stderr
    assert state(kurt, "fill") == ("interrupted" if refused else "cancelled")
    disk.clear()
    assert kurt.json("workflows", "resume", "fill")["outputs"] == OUTPUTS


def test_a_disk_that_may_only_be_read(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, disk: SmallDisk, wait_until: WaitUntil
) -> None:
    account = Account(project)
    run = begin(kurt, spawn_kurt, "foreground", "held")
    wait_until(lambda: durability.begun(project)["two"], 30)
    account.kill(run)
    disk.read_only(True)
    for words in (
        ["workflows", "resume", "held"],
        ["workflows", "resume", "held", "--background"],
        ["workflows", "run", "workflows/held.yaml", "--background"],
        ["workflows", "run", "workflows/held.yaml"],
        ["worker", "start"],
    ):
        error = refused(kurt, *words)
        assert error["hint"], error
    disk.read_only(False)
    assert kurt.json("workflows", "resume", "held")["outputs"] == HELD_OUTPUTS
    account.check({"held": ["one", "two", "three"]})


def test_runs_on_a_disk_that_may_only_be_read_can_be_looked_at(
    kurt: Kurt, project: Path, disk: SmallDisk
) -> None:
    (project / "workflows" / "plain.yaml").write_text("steps: [{name: a, type: run, command: [echo]}]\n")
    kurt("workflows", "run", "plain", "--run-id", "over")
    disk.read_only(True)
    (run,) = kurt.json("workflows", "list")
    assert (run["run_id"], run["status"]) == ("over", "succeeded")
    assert "run succeeded" in kurt("workflows", "logs", "over").stdout
    disk.read_only(False)
    kurt("workflows", "run", "plain")
    assert len(kurt.json("workflows", "list")) == 2


@pytest.mark.parametrize("damage", ["all", "middle"])
def test_a_damaged_file(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil, damage: str
) -> None:
    account = Account(project)
    run = begin(kurt, spawn_kurt, "foreground", "held")
    wait_until(lambda: durability.begun(project)["two"], 30)
    account.kill(run)
    database = project / ".kurt" / "kurt.sqlite"
    durability.status(project, "held")  # whoever closes it last brings everything into the one file
    copy = shutil.copy(database, project / "copy.sqlite")
    with database.open("r+b") as file:
        file.seek(0 if damage == "all" else 2 * 4096)
        file.write(b"\xa5" * (database.stat().st_size - file.tell()))
    damaged = database.read_bytes()
    for words in (
        ["workflows", "list"],
        ["workflows", "status", "held"],
        ["workflows", "resume", "held"],
        ["workflows", "run", "workflows/held.yaml"],
        ["workflows", "run", "workflows/held.yaml", "--background"],
        ["worker", "start"],
    ):
        error = refused(kurt, *words)
        assert "is damaged" in error["message"]
        assert error["hint"].startswith("put a copy in its place")
    assert database.read_bytes() == damaged
    assert not executors(project)
    shutil.copy(copy, database)
    assert kurt.json("workflows", "resume", "held")["outputs"] == HELD_OUTPUTS
    account.check({"held": ["one", "two", "three"]})
