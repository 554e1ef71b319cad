"""Rows of a step that are at work when their run is cancelled, or their executor is asked to end."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt
from tests.support.model_files import KEY, Asking
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

COUNT, AT_ONCE = 40, 4
FILE = f"""
name: flow
steps:
  - {{name: ask, type: llm, items: {list(range(COUNT))}, prompt: "<${{item}}>", concurrency: {AT_ONCE}}}
outputs: {{rows: "${{steps.ask}}"}}
"""


@pytest.fixture
def asking(kurt: Kurt) -> Iterator[Asking]:
    with ModelServer(latency=0.2, keep_bodies=False) as server:
        asking = Asking(kurt, server)
        asking.write(FILE)
        (asking.project / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
        yield asking


def assert_all_are_answered(asking: Asking, run: dict[str, object], repeated: int) -> None:
    outputs = run["outputs"]
    assert isinstance(outputs, dict)
    assert [(row["item"], row["status"]) for row in outputs["rows"]] == [
        (number, "success") for number in range(COUNT)
    ]
    asked = Counter(one.prompt for one in asking.server.arrivals)
    assert len(asked) == COUNT
    assert asked.total() - COUNT <= repeated


def test_a_cancelled_run_goes_on_where_it_was(asking: Asking, spawn_kurt: Callable[..., Spawned]) -> None:
    spawned = spawn_kurt("workflows", "run", "flow.yaml", "--run-id", "r")
    wait_until(lambda: len(asking.server.arrivals) > AT_ONCE, 30)
    spawned.signal(signal.SIGINT)
    assert spawned.wait() == 130, spawned.stderr
    begun = len(asking.server.arrivals)
    assert begun < COUNT
    assert asking.status("r")["status"] == "cancelled"
    assert_all_are_answered(asking, asking.kurt.json("workflows", "resume", "r"), AT_ONCE)


def test_an_executor_that_ends_lets_rows_at_work_finish(
    asking: Asking, spawn_kurt: Callable[..., Spawned]
) -> None:
    worker = spawn_kurt("worker", "start")
    asking.kurt("workflows", "run", "flow.yaml", "--background", "--run-id", "r")
    wait_until(lambda: len(asking.server.arrivals) > AT_ONCE, 30)
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert len(asking.server.arrivals) < COUNT
    spawn_kurt("worker", "start")
    done = asking.kurt.json("workflows", "wait", "r", "--timeout", "60s", limit=90)
    assert_all_are_answered(asking, done, 0)
