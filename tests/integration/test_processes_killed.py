"""After kill -9 of an executor none of its child processes lives on."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Spawned, children, descendants, is_alive
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
EXECUTOR = """
import asyncio, importlib, json, sys
from pathlib import Path
from tests.support.steps import Bench

async def main():
    bench = Bench(Path(sys.argv[1]))
    work = []
    for target, spec in json.loads(sys.argv[2]):
        module, name = target.split(":")
        work.append(bench.do(getattr(importlib.import_module(module), name), spec))
    await asyncio.gather(*work)

asyncio.run(main())
"""
SLEEP = "import time; Path = __import__('pathlib').Path; Path('{mark}').touch(); time.sleep(300)"
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("kurt.engine.steps.run:RunKind", {"command": "touch run; sleep 300"}),
    "run, ignoring signals": (
        "kurt.engine.steps.run:RunKind",
        {"command": "trap '' TERM HUP INT; touch 'run, ignoring signals'; while :; do sleep 1; done"},
    ),
    "run, with grandchildren": (
        "kurt.engine.steps.run:RunKind",
        {"command": "(sh -c 'sleep 300; :' & sleep 300) & sleep 301 & touch 'run, with grandchildren'; wait"},
    ),
    "script": ("kurt.engine.steps.script:ScriptKind", {"code": SLEEP.format(mark="script")}),
    "script that never yields": (
        "kurt.engine.steps.script:ScriptKind",
        {"code": "open('script that never yields', 'w').close()\n[0 for _ in iter(int, 1)]"},
    ),
    "script, with grandchildren": (
        "kurt.engine.steps.script:ScriptKind",
        {
            "code": "import subprocess, time\n"
            "subprocess.Popen(['sh', '-c', 'sleep 300 & sleep 300'])\n"
            "open('script, with grandchildren', 'w').close()\ntime.sleep(300)"
        },
    ),
    "python": ("kurt.engine.steps.python:PythonKind", {"call": "slow:nap", "args": ["python"]}),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Spawned]]:
    """Starts a process that executes these steps, and waits until all are at work."""
    started: list[Spawned] = []
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\n\ndef nap(mark):\n    Path(mark).touch()\n    time.sleep(300)\n"
    )

    def begin(*names: str) -> Spawned:
        steps = json.dumps([STEPS[name] for name in names])
        argv = [sys.executable, "-c", EXECUTOR, str(tmp_path), steps]
        process = Spawned(argv, REPOSITORY, dict(os.environ), tmp_path / "executor")
        started.append(process)
        wait_until(lambda: all((tmp_path / name).exists() for name in names) or not process.running)
        assert process.running, process.stderr
        return process

    yield begin
    for process in started:
        process.end()


@pytest.mark.parametrize("name", STEPS)
def test_nothing_outlives_a_killed_executor(start: Callable[..., Spawned], name: str) -> None:
    executor = start(name)
    below = descendants(executor.pid)
    assert len(below) >= 2
    executor.kill()
    wait_until(lambda: not [pid for pid in below if is_alive(pid)], 5)


def test_nothing_outlives_a_killed_executor_that_does_many_things(start: Callable[..., Spawned]) -> None:
    executor = start(*STEPS)
    below = descendants(executor.pid)
    assert len(below) >= 2 * len(STEPS)
    executor.kill()
    wait_until(lambda: not [pid for pid in below if is_alive(pid)], 5)


def test_nothing_outlives_an_executor_whose_whole_session_is_killed(start: Callable[..., Spawned]) -> None:
    executor = start(*STEPS)
    below = descendants(executor.pid)
    os.killpg(executor.pid, signal.SIGKILL)
    executor.wait()
    wait_until(lambda: not [pid for pid in below if is_alive(pid)], 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_an_executor_that_is_asked_to_end(
    start: Callable[..., Spawned], number: int
) -> None:
    executor = start(*STEPS)
    below = descendants(executor.pid)
    executor.signal(number)
    executor.wait()
    wait_until(lambda: not [pid for pid in below if is_alive(pid)], 5)


def test_a_killed_guardian_takes_its_children_along(start: Callable[..., Spawned]) -> None:
    executor = start("run, ignoring signals", "script that never yields")
    below = descendants(executor.pid)
    for guardian in children(executor.pid):
        os.kill(guardian, signal.SIGKILL)
    assert executor.wait() == 1
    assert "the guardian of child processes has died" in executor.stderr
    wait_until(lambda: not [pid for pid in below if is_alive(pid)], 5)
