"""The operations that write DBOS's tables themselves, on Postgres too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e import test_commands_fork as forks
from tests.e2e import test_commands_retry as retries
from tests.support import durability
from tests.support.cli import Kurt
from tests.support.database import postgres_server
from tests.support.language import Language
from tests.support.postgres import Server
from tests.support.waiting import wait_until

__all__ = ["postgres_server"]

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def language(
    postgres_server: Server, _template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Language]:
    name = postgres_server.create()
    folder = tmp_path_factory.mktemp("language")
    root = folder / "project"
    shutil.copytree(_template, root, ignore=shutil.ignore_patterns(".kurt"))
    (root / ".env").write_text(f"DATABASE_URL={postgres_server.url(name)}\n", encoding="utf-8")
    kurt = Kurt(root, home, folder)
    kurt.spawn("worker", "start", "--concurrency", "20")  # on a database that has no tables yet
    language = Language(root, kurt)
    wait_until(lambda: language.here.json("worker", "list"), 30, what="the worker")
    yield language
    kurt.end()
    postgres_server.drop(name)


@pytest.mark.parametrize(
    "check",
    [
        retries.test_in_a_list_the_failed_step_and_what_follows,
        retries.test_inside_items_of_several_steps,
        retries.test_what_depends_on_a_repeated_item_gets_new_values,
        forks.test_from_a_step_of_a_list,
        forks.test_from_a_fan_out_finished_items_are_kept,
        forks.test_children_of_every_kind_are_taken_over,
        forks.test_a_python_workflow,
    ],
)
def test_on_postgres(language: Language, check: Callable[[Language], None]) -> None:
    check(language)


STATES = """
    inputs: {name: string}
    steps:
      - {name: a, type: python, call: "probe:mark", args: ["${name}-a"]}
      - {name: hold, type: python, call: "probe:hold", args: ["${name}-hold"]}
      - {name: message, wait: {message: go}}
      - {name: b, type: python, call: "probe:broken", args: ["${name}"]}
    outputs: {b: "${steps.b}"}
    """

HOLD = """

def hold(name):
    _add(name)
    while not Path(f"released-{name}").exists():
        time.sleep(0.02)
    return name
"""


@pytest.fixture
def states(postgres_server: Server, project: Path, kurt: Kurt) -> Language:
    """A project of this test, with a queue for one run at a time and no worker."""
    kurt.environ["DATABASE_URL"] = postgres_server.url(postgres_server.create())
    (project / ".env").write_text("DATABASE_URL={DATABASE_URL}\n".format(**kurt.environ), encoding="utf-8")
    kurt("db", "upgrade")
    kurt("queues", "create", "slow", "--concurrency", "1")
    language = Language(project, kurt)
    (project / "probe.py").write_text((project / "probe.py").read_text() + HOLD)
    (project / "states.yaml").write_text(dedent(STATES))
    return language


def test_every_state_is_told(states: Language, kurt: Kurt, project: Path) -> None:
    """Two runs go through all states, as `status` and `list --status` tell them."""
    language = states

    def is_told(run: str, state: str) -> None:
        language.until(run, state)
        assert [one["run_id"] for one in language.here.json("workflows", "list", "--status", state)] == [run]

    def start(run: str, *words: str) -> None:
        kurt(
            "workflows",
            "run",
            "states.yaml",
            "--background",
            "--run-id",
            run,
            "--input",
            f"name={run}",
            *words,
        )

    worker = kurt.spawn("worker", "start", "--queues", "slow")
    wait_until(lambda: language.here.json("worker", "list"), 30, what="the worker")
    start("r1", "--queue", "slow")
    wait_until(lambda: language.marks("r1-hold"), 30)
    is_told("r1", "running")
    start("r2", "--queue", "slow")
    is_told("r2", "queued")
    start("r3", "--queue", "slow", "--in", "1h")
    is_told("r3", "scheduled")
    worker.kill()
    durability.end_terms(kurt.environ["DATABASE_URL"], [worker.pid])
    is_told("r1", "interrupted")
    is_told("r2", "queued")
    for run in ("r1", "r2"):
        (project / f"released-{run}-hold").touch()
    kurt.spawn("worker", "start", "--queues", "slow")
    is_told("r1", "waiting")
    kurt("workflows", "send", "r1", "--topic", "go", "--data", "1")
    is_told("r1", "failed")
    language.mend("r1", "r2")
    kurt("workflows", "retry", "r1", "--background")
    is_told("r2", "waiting")
    kurt("workflows", "cancel", "r2")
    is_told("r2", "cancelled")
    is_told("r1", "succeeded")
    counts = {name: language.marks(name) for name in ("r1-a", "r1-hold", "r1", "r2-a", "r2-hold", "r2")}
    assert counts == {"r1-a": 1, "r1-hold": 2, "r1": 2, "r2-a": 1, "r2-hold": 1, "r2": 0}
