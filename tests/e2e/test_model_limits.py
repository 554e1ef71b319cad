"""Rate limits of steps hold in the server's log, on Postgres for all processes together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest

from kurt.llm.limits import LATEST, SPAN, TRANSIT
from kurt.testing.model_server import ModelServer
from tests.support import models
from tests.support.chaos import FULL_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.processes import Spawned

QUICK = 1200
"""Calls a minute in the short test, which looks at windows of a few seconds."""

MINUTE, WHOLE = 60.0, 600
"""Seconds of a whole window, and calls in it, in the long one."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(latency=0.05, keep_bodies=False) as server:
        yield server


def run_limited(
    kurt: Kurt,
    spawn_kurt: Callable[..., Spawned],
    server: ModelServer,
    *,
    processes: int,
    rpm: int,
    count: int,
) -> None:
    """Send rows through a limited step in so many processes at once."""
    models.furnish(kurt, server.url, concurrency=20)
    words = ["workflows", "run", "asking", "--input", f"count={count}", "--input", f"rpm={rpm}"]
    running = [spawn_kurt(*words) for _ in range(processes)]
    assert [process.wait(180) for process in running] == [0] * processes, running[0].stderr
    assert len(server.arrivals) == processes * count


@pytest.mark.parametrize(
    ("url", "processes"),
    [("sqlite", 1), pytest.param("postgres", 2, marks=pytest.mark.postgres)],
    indirect=["url"],
)
@pytest.mark.usefixtures("url")
def test_no_window_of_the_log_holds_more_than_it_may(
    kurt: Kurt, spawn_kurt: Callable[..., Spawned], server: ModelServer, processes: int
) -> None:
    run_limited(kurt, spawn_kurt, server, processes=processes, rpm=QUICK, count=120 // processes)
    for window in (0.5, 1.0, 2.0, 3.0, 5.0):
        assert server.busiest(window) <= math.floor((window + LATEST + TRANSIT) / (SPAN / QUICK)) + 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("url", "processes"),
    [("sqlite", 1), pytest.param("postgres", 2, marks=pytest.mark.postgres)],
    indirect=["url"],
)
@pytest.mark.usefixtures("url")
def test_a_whole_minute_never_holds_more_calls_than_the_limit(
    kurt: Kurt, spawn_kurt: Callable[..., Spawned], server: ModelServer, processes: int, chaos: Chaos
) -> None:
    if chaos.rounds < FULL_SERIES:
        pytest.skip("takes a minute and a half; --chaos runs it")
    run_limited(kurt, spawn_kurt, server, processes=processes, rpm=WHOLE, count=840 // processes)
    assert WHOLE * 0.9 <= server.busiest(MINUTE) <= WHOLE
