"""A live worker runs the code that is on disk: modules and kinds that were added or edited after it started."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.processes import Spawned, executors

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

MODULE = """
from dbos import DBOS

import effects


@DBOS.step()
def one(run: str) -> str:
    return effects.work(run, "one.VERSION", HOLD)


@DBOS.workflow()
def late_workflow(word: str = "none") -> list[str]:
    return [one(DBOS.workflow_id), word, "VERSION"]
"""

KIND = """
from kurt.engine.kinds import Fields, StepKind


class ShoutFields(Fields):
    text: str


class Shout(StepKind):
    type = "shout"
    Model = ShoutFields

    def execute(self, fields, context):
        return fields.text.upper() + "MARK"
"""

SHOUT = """
name: shout
steps:
  - {name: shout, type: shout, text: hello}
  - {name: call, type: python, call: "words:word"}
outputs: {said: "${steps.shout}", word: "${steps.call}"}
"""


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "workflows" / "shout.yaml").write_text(SHOUT)


def write_module(project: Path, version: str, *, hold: bool = False) -> None:
    """The Python workflow `late` in some version."""
    folder = project / "workflows" / "late"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    text = MODULE.replace("VERSION", version).replace("HOLD", str(hold))
    (folder / "workflow.py").write_text(text)


def write_kind(project: Path, mark: str) -> None:
    """The kind `shout`, and a function that a step calls, in some version."""
    (project / "steps").mkdir(exist_ok=True)
    (project / "steps" / "shout.py").write_text(KIND.replace("MARK", mark))
    (project / "words.py").write_text(f"def word():\n    return {mark!r}\n")


def result(kurt: Kurt, target: str, *words: str) -> Any:
    """Run a workflow in the live worker; its outputs."""
    return durability.outputs(kurt, durability.submit(kurt, target, *words))


def test_a_module_that_is_added_and_edited_while_the_worker_lives(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    first = set(executors(project))
    write_module(project, "first")
    assert result(kurt, "late", "--input", "word=hello") == ["fx:one.first", "hello", "first"]
    assert set(executors(project)) == first
    write_module(project, "second")
    assert result(kurt, "late") == ["fx:one.second", "none", "second"]
    # The process has begun again, as another executor, and is no child of anybody new.
    assert not set(executors(project)) & first
    assert set(executors(project).values()) == {worker.pid}
    worker.signal(signal.SIGTERM)
    assert worker.wait(15) == 0, worker.stderr


def test_work_that_goes_on_while_the_worker_begins_again_is_not_repeated(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    (project / "workflows" / "busy.yaml").write_text(
        "name: busy\n"
        "steps:\n"
        '  - {name: one, type: run, command: "echo begin busy one 1 1 >> effects.log; sleep 3; echo fx:one"}\n'
        '  - {name: two, type: python, call: "effects:work", args: [busy, two]}\n'
        "outputs: {one: '${steps.one.stdout}', two: '${steps.two}'}\n"
    )
    spawn_kurt("worker", "start")
    durability.the_worker(project)
    write_module(project, "first")
    result(kurt, "late")
    busy = durability.submit(kurt, "workflows/busy.yaml", "--run-id", "busy")
    wait_until(lambda: durability.begun(project, "busy")["one"], 20)
    write_module(project, "second")
    assert result(kurt, "late") == ["fx:one.second", "none", "second"]
    assert durability.outputs(kurt, busy) == {"one": "fx:one", "two": "fx:two"}
    assert durability.begun(project, "busy") == Counter(one=1, two=1)


def test_kinds_and_functions_that_are_added_and_edited_while_the_worker_lives(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    spawn_kurt("worker", "start")
    durability.the_worker(project)
    first = set(executors(project))
    for mark in ("!", "?", "!!"):
        write_kind(project, mark)
        assert result(kurt, "workflows/shout.yaml") == {"said": f"HELLO{mark}", "word": mark}
    assert set(executors(project)) == first


def test_a_module_that_is_edited_while_its_run_is_interrupted(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    account = durability.Account(project)
    write_module(project, "first", hold=True)
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    run = durability.submit(kurt, "late")
    wait_until(lambda: durability.begun(project, run)["one.first"], 20)
    account.kill(worker)
    write_module(project, "second")
    spawn_kurt("worker", "start")
    assert durability.outputs(kurt, run) == ["fx:one.second", "none", "second"]


def test_a_run_whose_workflow_nobody_knows_fails_and_says_so(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, wait_until: WaitUntil
) -> None:
    write_module(project, "first", hold=True)
    worker = spawn_kurt("worker", "start")
    durability.the_worker(project)
    run = durability.submit(kurt, "late")
    wait_until(lambda: durability.begun(project, run)["one.first"], 20)
    durability.Account(project).kill(worker)
    (project / "workflows" / "late" / "workflow.py").unlink()
    spawn_kurt("worker", "start")
    ended = kurt("workflows", "wait", run, "--timeout", "30s", "--format", "json", code=1)
    assert "'late_workflow'" in ended.stderr
    assert "workflows/" in ended.stderr
    assert kurt.json("workflows", "status", run)["status"] == "failed"
    write_module(project, "second")
    assert kurt.json("workflows", "retry", run)["outputs"] == ["fx:one.second", "none", "second"]


def test_a_step_whose_kind_nobody_knows_fails_and_says_so(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    spawn_kurt("worker", "start")
    durability.the_worker(project)
    write_kind(project, "!")
    run = durability.submit(kurt, "workflows/shout.yaml", "--in", "2s")
    (project / "steps" / "shout.py").unlink()
    ended = kurt("workflows", "wait", run, "--timeout", "30s", "--format", "json", code=1)
    assert "no step kind 'shout'" in ended.stderr
    assert "steps/" in ended.error()["hint"]
    write_kind(project, "!!")
    assert kurt.json("workflows", "retry", run)["outputs"] == {"said": "HELLO!!", "word": "!!"}
