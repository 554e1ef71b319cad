"""Executors whose clock is wrong, or is set while a run is interrupted: nothing is lost, repeated or left waiting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned

Spawn = Callable[..., Spawned]
WaitUntil = Callable[..., Any]

DAY = 24 * 3600.0

HELD = """
name: held
steps:
  - {name: one, type: python, call: "effects:work", args: ["${run.id}", one]}
  - {name: pause, type: wait, wait: {for: 0.2s}}
  - name: rows
    foreach: {items: [[a, false], [b, true]], max_concurrent: 2}
    steps:
      - {name: two, type: python, call: "effects:work", args: ["${run.id}", "two.${item[0]}", "${item[1]}"]}
      - {name: three, type: python, call: "effects:work", args: ["${run.id}", "three.${item[0]}"]}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {rows: "${steps.rows}", last: "${steps.last}"}
"""
OUTPUTS = {"rows": ["fx:three.a", "fx:three.b"], "last": "fx:last"}
EFFECTS = ["one", "two.a", "two.b", "three.a", "three.b", "last"]

CLOCK = """
import os
import time

_offset = float(os.environ["CLOCK_OFFSET"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _offset
time.time_ns = lambda: _time_ns() + int(_offset * 1e9)
"""


@pytest.fixture
def clock(project: Path, tmp_path: Path) -> Callable[[float], dict[str, str]]:
    """`clock(3600)`: the environment of a process whose clock is an hour ahead, and those of its children."""
    durability.furnish(project)
    (project / "workflows" / "held.yaml").write_text(HELD)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(CLOCK)
    return lambda offset: {"PYTHONPATH": str(site), "CLOCK_OFFSET": str(offset)}


@pytest.mark.parametrize(
    ("offset", "url"),
    [(DAY, "sqlite"), (-DAY, "sqlite"), pytest.param(DAY, "postgres", marks=pytest.mark.postgres)],
    ids=["ahead", "behind", "ahead-postgres"],
    indirect=["url"],
)
def test_a_run_goes_on_under_another_clock(
    kurt: Kurt,
    spawn_kurt: Spawn,
    project: Path,
    clock: Callable[[float], dict[str, str]],
    wait_until: WaitUntil,
    offset: float,
    url: str | None,
) -> None:
    """As seen from the second worker, the clock was set by a day between the two."""
    account = Account(project, url)
    wrong = clock(offset)
    kurt(
        "workflows",
        "run",
        "workflows/held.yaml",
        "--run-id",
        "queued",
        "--background",
        "--queue",
        "default",
        env=wrong,
    )
    end_detached(kurt, account)
    worker = spawn_kurt("worker", "start", env=wrong)
    wait_until(lambda: durability.live(project, url) == {worker.pid}, 20, what="the worker")
    durability.submit(kurt, "workflows/held.yaml", "--run-id", "interrupted")
    for run in ("queued", "interrupted"):
        wait_until(lambda: durability.begun(project, run)["two.b"], 30, what=f"{run} at work")  # noqa: B023 - used at once
    assert kurt.json("workflows", "status", "interrupted")["status"] == "running"
    account.kill(worker)
    assert kurt.json("workflows", "status", "interrupted")["status"] == "interrupted"
    kurt("workflows", "run", "workflows/held.yaml", "--run-id", "later", "--background")
    for run in ("queued", "interrupted"):
        assert durability.outputs(kurt, run) == OUTPUTS
    account.check(dict.fromkeys(("queued", "interrupted"), EFFECTS))
    listed = {run["run_id"]: run["status"] for run in kurt.json("workflows", "list")}
    assert listed.keys() == {"queued", "interrupted", "later"}


def end_detached(kurt: Kurt, account: Account) -> None:
    """Kill the worker that the command has started for itself; what it had begun is noted."""
    live = durability.live(account.project, account.url)
    for pid in live:
        durability.kill(pid)
    if account.url:
        durability.settle(account.url)
        durability.end_terms(account.url, sorted(live))
    account.note()
