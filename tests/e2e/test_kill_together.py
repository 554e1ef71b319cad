"""Two foreground runs, two workers and a reader on one database: no error, nothing repeated, right results."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.config import load_settings
from kurt.runtime.runs import open_reader
from tests.support import all_kinds, durability
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.durability import Mark, Server
from tests.support.processes import Spawned

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

FOREGROUND = {"front-a": "everything", "front-b": "graph"}
BACKGROUND = {"back-a": "everything", "back-b": "graph", "back-c": "graph", "back-d": "everything"}
RUNS = {**FOREGROUND, **BACKGROUND}
EFFECTS = {"everything": all_kinds.EVERYTHING_EFFECTS, "graph": all_kinds.graph_effects("top")}


@pytest.fixture
def server(project: Path, chaos: Chaos) -> Iterator[Server]:
    durability.furnish(project, seed=chaos.random.random(), unit=0.1)
    (project / "workflows" / "everything.yaml").write_text(all_kinds.EVERYTHING)
    (project / "workflows" / "graph.yaml").write_text(all_kinds.GRAPH)
    with durability.serving(project) as server:
        yield server


class Reader:
    """Lists all runs every 100 ms, as `kurt workflows list` does.

    Attributes:
        seen: the states of each run, in the order in which they were seen.
        errors: what went wrong.
        longest: seconds that the slowest listing took.
    """

    def __init__(self, project: Path, url: str | None) -> None:
        self.seen: dict[str, list[str]] = {}
        self.errors: list[Exception] = []
        self.longest = 0.0
        self._settings = load_settings(project, environ={"DATABASE_URL": url} if url else {})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.wait(0.1):
            started = time.monotonic()
            try:
                with open_reader(self._settings) as reader:
                    for run in reader.list():
                        self._note(run.id, run.status)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test fails with it
                self.errors.append(error)
            self.longest = max(self.longest, time.monotonic() - started)

    def _note(self, run: str, status: str) -> None:
        states = self.seen.setdefault(run, [])
        if not states or states[-1] != status:
            states.append(status)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.fixture
def reader(project: Path, url: str | None) -> Iterator[Reader]:
    reader = Reader(project, url)
    yield reader
    reader.stop()


def words(server: Server, run: str) -> list[str]:
    inputs = ["--input", f"server={server.url}"] if RUNS[run] == "everything" else []
    return ["workflows", "run", f"workflows/{RUNS[run]}.yaml", "--run-id", run, *inputs]


def start_all(
    kurt: Kurt, spawn_kurt: Spawn, server: Server, url: str | None, wait_until: WaitUntil
) -> tuple[list[Spawned], ...]:
    """Two workers with two runs each, and two foreground runs."""
    workers = [spawn_kurt("worker", "start"), spawn_kurt("worker", "start")]
    wait_until(lambda: len(durability.live(kurt.project, url)) == 2, 20, what="two workers")
    for run in BACKGROUND:
        kurt(*words(server, run), "--background")
    return workers, [spawn_kurt(*words(server, run), "--format", "json") for run in FOREGROUND]


def check_results(kurt: Kurt) -> None:
    """All runs of one file gave the same."""
    results: dict[str, Any] = {}
    for run, name in RUNS.items():
        outputs = durability.outputs(kurt, run)
        assert results.setdefault(name, outputs) == outputs
    assert results["everything"]["steps"]["several"] == [["fx:several.a.x", "fx:several.a.y"]] + [
        [f"fx:several.{row}.x", f"fx:several.{row}.y"] for row in "bcdef"
    ]
    assert results["graph"]["steps"]["d"] == [f"fx:top.d.{item}.two" for item in "xyz"]


def begins(project: Path) -> dict[tuple[str, str], list[Mark]]:
    """The beginnings of each effect of each run."""
    found: dict[tuple[str, str], list[Mark]] = {}
    for mark in durability.marks(project):
        if mark.what == "begin":
            found.setdefault(mark.key, []).append(mark)
    return found


WANTED = {(run, effect) for run, name in RUNS.items() for effect in EFFECTS[name]}


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_everybody_works_on_one_database(
    kurt: Kurt,
    spawn_kurt: Spawn,
    project: Path,
    server: Server,
    reader: Reader,
    wait_until: WaitUntil,
    url: str | None,
) -> None:
    workers, fronts = start_all(kurt, spawn_kurt, server, url, wait_until)
    for front in fronts:
        assert front.wait(60) == 0, front.stderr
        assert not front.stderr
    check_results(kurt)
    reader.stop()
    assert {key: len(marks) for key, marks in begins(project).items()} == dict.fromkeys(WANTED, 1)
    assert not reader.errors
    assert reader.longest < 2
    assert set(reader.seen) == set(RUNS)
    told = Counter(state for states in reader.seen.values() for state in states)
    assert told.keys() <= {"queued", "running", "waiting", "succeeded"}, reader.seen
    assert told["succeeded"] == len(RUNS)
    for worker in workers:
        assert worker.running
        assert "WARNING" not in worker.stderr
        assert "ERROR" not in worker.stderr
    fronts_alone = {front.pid for front in fronts}
    assert (
        fronts_alone
        < set(durability.executors_of(project, url).values())
        <= fronts_alone | {worker.pid for worker in workers}
    )


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_two_workers_go_on_with_the_runs_of_a_third(
    kurt: Kurt,
    spawn_kurt: Spawn,
    project: Path,
    server: Server,
    wait_until: WaitUntil,
    chaos: Chaos,
    url: str | None,
) -> None:
    survivors = [spawn_kurt("worker", "start"), spawn_kurt("worker", "start")]
    for turn in range(1 if url and chaos.rounds < FULL_SERIES else chaos.rounds):
        victim = spawn_kurt("worker", "start")
        wait_until(lambda: victim.pid in durability.live(project, url), 20)  # noqa: B023 - used at once
        runs = {f"{run}-{turn}": name for run, name in RUNS.items()}
        for run, name in runs.items():
            extra = ["--input", f"server={server.url}"] if name == "everything" else []
            kurt("workflows", "run", f"workflows/{name}.yaml", "--run-id", run, "--background", *extra)
        time.sleep(chaos.moment(3))
        family = durability.frozen(victim.pid)
        finished = durability.finished(project, url)
        killed = time.time()
        victim.kill()
        if url:
            durability.end_terms(url, [victim.pid])
        for run in runs:
            durability.outputs(kurt, run)
        found = {key: marks for key, marks in begins(project).items() if key[0] in runs}
        assert found.keys() == {(run, effect) for run, name in runs.items() for effect in EFFECTS[name]}
        for key, marks in found.items():
            assert len(marks) <= 2, marks
            assert len(marks) == 1 or marks[0].pid in {*family, 0}, marks
            assert key not in finished or marks[-1].at < killed, marks
    assert all(worker.running for worker in survivors)
