"""kill -9 of executors in the middle of a thousand calls of a model: nothing is lost, and the books agree with the server's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability, models, rows
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.models import ServerProcess
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

ROWS, CONCURRENCY, LATENCY = 1000, 50, 0.1
PRICE_IN, PRICE_OUT = 1, 2
"""Dollars per million tokens."""


@pytest.fixture
def server(home: Path) -> Iterator[ServerProcess]:
    with ServerProcess(home, LATENCY) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Books:
    """What the server and the traces say of one run.

    Attributes:
        calls: what arrived at the server.
        traces: the rows of `llm_traces`.
    """

    calls: list[dict[str, Any]]
    traces: list[dict[str, Any]]

    def asked(self) -> Counter[int]:
        """How often the server was asked for each row."""
        return Counter(_row(call) for call in self.calls)

    def delivered(self) -> Counter[int]:
        """How many answers the server handed over for each row."""
        return Counter(_row(call) for call in self.calls if call["delivered"])

    def of_state(self, state: str) -> Counter[int]:
        """How many attempts at each row are in a state."""
        return Counter(one["row"] for one in self.traces if one["state"] == state)


def _row(call: dict[str, Any]) -> int:
    return int(call["prompt"].partition("<")[2].removesuffix(">"))


def assert_nothing_is_lost_or_paid_twice(books: Books) -> None:
    asked, delivered = books.asked(), books.delivered()
    good, cut = books.of_state("succeeded"), books.of_state("cut")
    assert set(asked) == set(range(ROWS))
    assert asked.total() - ROWS <= CONCURRENCY
    assert set(good) == set(range(ROWS))
    assert good.total() + cut.total() == len(books.traces)
    assert cut.total() <= CONCURRENCY
    for row in range(ROWS):
        # An answer that reached the process in the moment of its death, and could not be noted, is among what was cut.
        assert 0 <= delivered[row] - good[row] <= cut[row]
        # A call may have been announced and not sent.
        assert 0 <= good[row] + cut[row] - asked[row] <= cut[row]


def assert_sums_are_those_of_the_answers(books: Books, stats: dict[str, Any]) -> None:
    good = books.of_state("succeeded")
    tokens = {
        _row(call): (call["tokens_in"], call["tokens_out"]) for call in books.calls if call["delivered"]
    }
    tokens_in = sum(tokens[row][0] * count for row, count in good.items())
    tokens_out = sum(tokens[row][1] * count for row, count in good.items())
    assert (stats["tokens_in"], stats["tokens_out"]) == (tokens_in, tokens_out)
    assert stats["cost"] == pytest.approx((tokens_in * PRICE_IN + tokens_out * PRICE_OUT) / 1_000_000)
    assert (stats["succeeded"], stats["cut"]) == (good.total(), books.of_state("cut").total())
    assert (stats["failed"], stats["at_work"]) == (0, 0)


def go_on(kurt: Kurt, spawn_kurt: Callable[..., Spawned], run_id: str, chaos: Chaos) -> dict[str, Any]:
    """Let a killed run go on, by hand or by a worker that finds it; how it ended."""
    if chaos.random.random() < 0.5:
        return kurt.json("workflows", "resume", run_id)
    worker = spawn_kurt("worker", "start")
    finished = kurt.json("workflows", "wait", run_id, "--timeout", "60s", limit=90)
    worker.kill()
    return finished


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_thousand_rows_survive_a_kill_at_any_moment(
    kurt: Kurt,
    spawn_kurt: Callable[..., Spawned],
    project: Path,
    server: ServerProcess,
    chaos: Chaos,
    url: str | None,
) -> None:
    models.furnish(kurt, server.url, concurrency=CONCURRENCY, prices=f"{PRICE_IN}/{PRICE_OUT}")
    seen = 0
    for number in range(1 if url and chaos.rounds < FULL_SERIES else chaos.rounds):
        run_id = f"killed-{number}"
        workflow = chaos.random.choice(["asking", "asking_async"])
        moment = seen + chaos.random.randrange(1, ROWS - CONCURRENCY)
        victim = spawn_kurt("workflows", "run", workflow, "--input", f"count={ROWS}", "--run-id", run_id)
        wait_until(lambda: server.counts()["arrived"] >= moment, 60, pause=0.005)  # noqa: B023 - used at once
        victim.kill()
        if url is not None:
            durability.settle(url)
            durability.end_terms(url, [victim.pid])
        finished = go_on(kurt, spawn_kurt, run_id, chaos)
        assert finished["outputs"] == {"states": {}, "errors": {}, "rows": ROWS}
        log = server.log()
        traces = [one for one in rows.traces(project, url) if one["run_id"] == run_id]
        books, begun, seen = Books(log[seen:], traces), seen, len(log)
        assert_nothing_is_lost_or_paid_twice(books)
        assert_sums_are_those_of_the_answers(books, kurt.json("workflows", "stats", run_id)["total"])
        print(  # noqa: T201 - what a series came to is to be read
            f"seed {chaos.seed}, kill {number} at call {moment - begun}: {len(books.calls) - ROWS} calls repeated,"
            f" {books.of_state('cut').total()} cut, {workflow}"
        )
