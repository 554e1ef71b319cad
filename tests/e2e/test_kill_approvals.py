"""kill -9 of executors at random moments of a run that asks people: every answer counts, and counts once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kurt.app.client import Client
from kurt.config import load_settings
from tests.support import durability
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

PEOPLE = """
name: people
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
  - {name: ask, approval: {message: "Go on?", fields: {n: {type: int, required: true}}}}
  - name: both
    parallel:
      - {name: work, type: python, call: "effects:work", args: ["${run.id}", work]}
      - {name: left, approval: "Left?"}
      - {name: word, wait: {message: word}}
  - name: items
    foreach: {items: [x, y, z], max_concurrent: 2, key: "${item}"}
    steps:
      - {name: before, type: python, call: "effects:work", args: ["${run.id}", "before.${item}"]}
      - {name: ok, approval: {message: "Item ${item}?", on_reject: continue}}
      - {name: then, type: python, call: "effects:work", args: ["${run.id}", "then.${item}"]}
    collect: "${steps.ok.approved}"
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {n: "${steps.ask.n}", by: "${steps.both.left.by}", word: "${steps.both.word}", items: "${steps.items}"}
"""
EFFECTS = ["one", "work", "last", *(f"{part}.{item}" for part in ("before", "then") for item in "xyz")]
OUTPUTS = {"n": 7, "by": "ana", "word": "went", "items": [True, False, True]}
KILLS = 4


class People:
    """Who answers: everything that a run asks, each once."""

    def __init__(self, project: Path, url: str | None) -> None:
        environ = {"DATABASE_URL": url} if url else {}
        self.client = Client(settings=load_settings(project, environ=environ))
        self.given: set[tuple[str, str]] = set()

    def answer(self, run_id: str) -> None:
        """Answer what the run asks now, unless that was done before."""
        for wait in self.client.get(run_id).waits:
            path = str(wait["path"])
            if (run_id, path) in self.given:
                continue
            if wait["kind"] == "message":
                self.client.send(run_id, "went", topic="word", idempotency_key=run_id)
            elif path == "items[y].ok":
                self.client.reject(run_id, step=path)
            else:
                fields = {"n": 7} if path == "ask" else None
                self.client.approve(run_id, step=path, fields=fields, by="ana")
            self.given.add((run_id, path))


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_worker_is_killed_while_people_are_asked(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, chaos: Chaos, url: str | None
) -> None:
    durability.furnish(project, seed=chaos.random.random(), unit=0.1)
    (project / "workflows" / "people.yaml").write_text(PEOPLE)
    account, people = Account(project, url), People(project, url)
    for turn in range(1 if url and chaos.rounds < FULL_SERIES else chaos.rounds):
        run = f"r{turn}"
        worker = spawn_kurt("worker", "start")
        wait_until(lambda: durability.live(project, url) == {worker.pid}, 30)  # noqa: B023 - used at once
        kurt("workflows", "run", "workflows/people.yaml", "--run-id", run, "--background")
        for _ in range(KILLS):
            end = time.monotonic() + chaos.moment(3)
            while time.monotonic() < end:
                people.answer(run)
                time.sleep(chaos.moment(0.3))
            account.kill(worker)
            worker = spawn_kurt("worker", "start")
            wait_until(lambda: durability.live(project, url) == {worker.pid}, 30)  # noqa: B023 - as above
        wait_until(lambda: _is_over(people, run), 60, what=f"the end of {run}")  # noqa: B023 - as above
        assert durability.outputs(kurt, run) == OUTPUTS
        account.check({run: EFFECTS})
        assert len([one for one in people.given if one[0] == run]) == 6
        account.kill(worker)


def _is_over(people: People, run: str) -> bool:
    people.answer(run)
    return people.client.get(run).is_over
