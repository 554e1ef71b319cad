"""Queues that code declares, and what a step says that starts or enqueues a workflow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS

from kurt.app import queues
from kurt.config import load_settings
from kurt.core import get_live_status, run_workflow
from kurt.core.tenancy import tenant
from kurt.errors import UsageError
from kurt.runtime import queue
from kurt.runtime.runs import open_reader
from tests.support.cli import Kurt

mail = queue("mail", concurrency=2, rate=(100, 60))

at_work: list[int] = []
most: list[int] = []
_lock = threading.Lock()


@DBOS.workflow(name="queues.letter")
def letter_workflow(number: int) -> int:
    with _lock:
        at_work.append(number)
        most.append(len(at_work))
    time.sleep(0.2)
    with _lock:
        at_work.remove(number)
    return 2 * number


@DBOS.workflow(name="queues.letters")
def letters_workflow(count: int) -> list[int]:
    handles = [mail.enqueue(letter_workflow, number) for number in range(count)]
    return [handle.get_result() for handle in handles]


@DBOS.step(name="queues.enqueueing")
def enqueueing_step() -> None:
    mail.enqueue(letter_workflow, 1)


@DBOS.step(name="queues.starting")
def starting_step() -> None:
    DBOS.start_workflow(letter_workflow, 1)


@DBOS.step(name="queues.dbos_enqueueing")
def dbos_enqueueing_step() -> None:
    DBOS.enqueue_workflow("mail", letter_workflow, 1)


@DBOS.step(name="queues.calling")
def calling_step() -> None:
    letter_workflow(1)


@DBOS.workflow(name="queues.misplaced")
def misplaced_workflow(name: str) -> None:
    {
        "enqueueing": enqueueing_step,
        "starting": starting_step,
        "dbos_enqueueing": dbos_enqueueing_step,
        "calling": calling_step,
    }[name]()


def test_the_runs_of_a_workflow_go_through_its_queue_with_its_limits(tmp_kurt_project: Path) -> None:
    most.clear()
    handle = DBOS.start_workflow(letters_workflow, 5)
    assert handle.get_result() == [0, 2, 4, 6, 8]
    assert max(most) <= 2
    settings = load_settings()
    (found,) = [info for info in queues.list_all(settings) if info.name == "mail"]
    assert (found.limits.concurrency, found.limits.rate) == (2, (100, 60.0))
    with open_reader(settings) as reader:
        children = reader.children(handle.workflow_id)
    assert {(child.queue, child.name, child.status) for child in children} == {
        ("mail", "letter", "succeeded")
    }


def test_a_run_may_be_enqueued_from_outside_for_a_tenant(tmp_kurt_project: Path) -> None:
    with tenant(workspace_id="acme"):
        handle = mail.enqueue(letter_workflow, 21)
    assert handle.get_result() == 42
    assert get_live_status(handle.workflow_id)["status"] == "succeeded"
    with open_reader(load_settings()) as reader:
        run = reader.get(handle.workflow_id)
    assert (run.workspace_id, run.queue, run.name) == ("acme", "mail", "letter")


@pytest.mark.parametrize("name", ["enqueueing", "starting", "dbos_enqueueing", "calling"])
def test_a_step_that_begins_a_workflow_is_refused_with_words(name: str, tmp_kurt_project: Path) -> None:
    with pytest.raises(
        UsageError, match="a workflow must be started from a workflow, not from a step"
    ) as refused:
        run_workflow(misplaced_workflow, name)
    assert "in the body of the\n@DBOS.workflow() function" in str(refused.value.hint)


def test_a_queue_is_declared_with_one_set_of_limits() -> None:
    assert queue("mail", concurrency=2, rate=(100, 60)) is mail
    with pytest.raises(UsageError, match="the queue 'mail' is declared twice, with different limits"):
        queue("mail", concurrency=3)
    with pytest.raises(UsageError, match="is not a name for a queue"):
        queue("mail.items")


MODULE = """
import time

from dbos import DBOS
from kurt.runtime import queue

letters = queue("letters", concurrency=1)


@DBOS.step()
def mark(number):
    time.sleep(0.2)
    with open("marks", "a") as file:
        file.write(f"{number}\\n")


@DBOS.workflow()
def letter(number):
    mark(number)
    return number + 1


@DBOS.workflow()
def post_workflow(count):
    handles = [letters.enqueue(letter, number) for number in range(count)]
    return [handle.get_result() for handle in handles]
"""


@pytest.fixture
def post(kurt: Kurt, project: Path) -> Kurt:
    """The project with a workflow that puts others on a queue of its own."""
    folder = project / "workflows" / "post"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE)
    return kurt


def test_a_worker_is_started_for_a_queue_that_nobody_serves(post: Kurt) -> None:
    done = post.json("workflows", "run", "post", "--input", "count=3")
    assert done["outputs"] == [1, 2, 3]
    assert [queue["name"] for queue in post.json("queues", "list")] == ["default", "letters"]


def test_after_a_kill_each_run_on_the_queue_has_run_once(post: Kurt, wait_until: Callable[..., Any]) -> None:
    marks = post.project / "marks"
    killed = post.spawn("workflows", "run", "post", "--input", "count=6", "--run-id", "killed")
    wait_until(lambda: marks.exists() and len(marks.read_text().split()) >= 2, 60)
    killed.kill()
    assert post.json("workflows", "resume", "killed")["outputs"] == [1, 2, 3, 4, 5, 6]
    assert sorted(marks.read_text().split()) == list("012345")
