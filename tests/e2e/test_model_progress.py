"""What a person sees of rows that ask a model: done, failed, per second, tokens, cost so far, what is left of the budget."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kurt.testing import faults
from kurt.testing.model_server import ModelServer
from tests.support import models
from tests.support.cli import Kurt
from tests.support.environment import child_environment
from tests.support.processes import Spawned
from tests.support.terminal import run_in_terminal
from tests.support.waiting import wait_until

COUNT = 60
FACTS = r"[\d.]+/s, \d+ tokens, \$[\d.]+, \$[\d.]+ of the budget left"
RUN = ["workflows", "run", "asking", "--input", f"count={COUNT}", "--input", "usd=100", "--run-id", "shown"]


@pytest.fixture
def server(kurt: Kurt) -> Iterator[ModelServer]:
    with ModelServer(latency=0.15, keep_bodies=False) as server:
        server.script("<3>", always=faults.refused())
        models.furnish(kurt, server.url, concurrency=5, prices="10000/10000")
        yield server


@pytest.mark.usefixtures("server")
def test_lines_tell_of_the_rows_where_there_is_no_terminal(kurt: Kurt) -> None:
    lines = kurt(*RUN).stderr.splitlines()
    assert "step ask started" in lines
    (ended,) = [line for line in lines if line.startswith("step ask failed")]
    assert re.fullmatch(
        rf"step ask failed in \S+, {COUNT} of {COUNT} items done, 1 failed, {FACTS}: 1 of {COUNT} failed",
        ended,
    )
    spent, left = (float(amount) for amount in re.findall(r"\$([\d.]+)", ended))
    assert spent + left == pytest.approx(100)
    total = kurt.json("workflows", "stats", "shown")["total"]
    assert total["cost"] == pytest.approx(spent, abs=0.01)
    assert f" {total['tokens_in'] + total['tokens_out']} tokens" in ended


@pytest.mark.usefixtures("server")
def test_a_terminal_shows_a_bar_and_the_figures_below(kurt: Kurt, project: Path, home: Path) -> None:
    environ = child_environment(home, {"TERM": "xterm-256color", "NO_COLOR": "1", **kurt.environ})
    command = [sys.executable, "-m", "kurt", *RUN]
    lines, text, code = run_in_terminal(command, cwd=project, env=environ, width=100, height=30)
    assert code == 0, text
    shown = [line for line in lines if line]
    assert re.match(rf"✗ ask +failed +━+  {COUNT}/{COUNT}, 1 failed  \S+  1 of {COUNT} failed", shown[1])
    assert re.fullmatch(rf" +{FACTS}", shown[2])
    moving = {int(done) for done in re.findall(rf"(\d+)/{COUNT}", text)}
    assert len(moving) > 3, "the bar moves"
    assert len(set(re.findall(FACTS, text))) > 3, "and so do the figures"


@pytest.mark.usefixtures("server")
def test_who_follows_a_run_elsewhere_sees_the_same(kurt: Kurt, spawn_kurt: Callable[..., Spawned]) -> None:
    runner = spawn_kurt(*RUN)
    wait_until(lambda: "step ask started" in runner.stderr, 30)
    followed = kurt("workflows", "follow", "shown").stderr.splitlines()
    assert runner.wait() == 0
    (ended,) = [line for line in followed if line.startswith("step ask failed")]
    assert re.search(rf"{COUNT} of {COUNT} items done, 1 failed, {FACTS}", ended)
