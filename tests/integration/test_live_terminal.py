"""The live view on a real terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.environment import child_environment
from tests.support.terminal import run_in_terminal

SCRIPT = """
import sys
from kurt.cli.live import live_view, closing_lines
from kurt.cli.output import echo_progress
from kurt.cli.session import Session, opened

with opened(Session()), live_view("pages") as view:
    view.on_run({"run_id": "01k", "status": "running"}, steps=["fetch", "pages", "report"])
    view.on_step("fetch", "running")
    view.on_log("first line of the log")
    view.refresh()
    sys.stdout.write("a line on stdout\\n")
    view.on_step("fetch", "succeeded", seconds=1.0)
    for done in range(6):
        view.on_items("pages", done=done, failed=0, total=5)
        view.refresh()
    view.on_step("pages", "succeeded", seconds=2.0)
    view.on_step("report", "running")
    view.on_step("report", "failed", seconds=0.25, error={"message": "no good"})
    view.on_run({"status": "failed", "started_at": 100.0, "completed_at": 103.5})
for line in closing_lines({"run_id": "01k", "status": "failed", "seconds": 3.5}):
    echo_progress(line)
"""

FINAL = [
    "pages  failed  3.5s  01k",
    "✓ fetch   succeeded  1s",
    "✓ pages   succeeded  ━━━━━━━━━━━━━━━━━━━━━━━━  5/5  2s",
    "✗ report  failed     250ms  no good",
    "run 01k failed after 3.5s",
    "what happened: kurt workflows logs 01k",
    "once it is mended: kurt workflows retry 01k",
]


@pytest.mark.parametrize("colour", [True, False])
def test_the_picture_stays_in_one_place_and_the_last_one_is_left(
    tmp_path: Path, home: Path, colour: bool
) -> None:
    env = child_environment(home, {"TERM": "xterm-256color", **({} if colour else {"NO_COLOR": "1"})})
    lines, text, code = run_in_terminal([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=env)
    assert code == 0, text
    assert [line for line in lines if line] == ["a line on stdout", *FINAL]
    assert "│ first line of the log" in text
    assert "● fetch   running" in text.replace("\x1b[36m", "").replace("\x1b[0m", "")
    assert "2/5" in text
    assert ("\x1b[32m" in text) is colour


def test_a_dumb_terminal_gets_lines(tmp_path: Path, home: Path) -> None:
    env = child_environment(home, {"TERM": "dumb"})
    lines, text, code = run_in_terminal([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=env)
    assert code == 0, text
    assert "\x1b" not in text
    assert lines[:3] == ["run 01k running", "step fetch started", "a line on stdout"]
    assert "step pages succeeded in 2s, 5 of 5 items done" in lines
    assert "step report failed in 250ms: no good" in lines


def test_a_small_terminal_never_overflows(tmp_path: Path, home: Path) -> None:
    script = SCRIPT.replace('steps=["fetch", "pages", "report"]', 'steps=[f"step-{n}" for n in range(40)]')
    env = child_environment(home, {"TERM": "xterm"})
    lines, text, code = run_in_terminal(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, width=30, height=12
    )
    assert code == 0, text
    shown = [line for line in lines if line]
    assert len(shown) <= 12 + 4  # with the lines that are said around the picture
    assert any(line.startswith("✗ report") for line in shown)


@pytest.mark.parametrize("command", ["true", "false"])
def test_foreach_shows_how_many_items_are_done(tmp_path: Path, home: Path, command: str) -> None:
    argv = [sys.executable, "-m", "kurt", "workflows", "foreach", "--data", "[1, 2]", "--command", command]
    env = child_environment(home, {"TERM": "xterm"})
    lines, _, code = run_in_terminal([*argv, "--on-error", "fail"], cwd=tmp_path, env=env)
    if command == "true":
        assert (code, lines[0].startswith("foreach  succeeded")) == (0, True)
        assert lines[1].startswith("✓ items  succeeded  ━━━━━━━━━━━━━━━━━━━━━━━━  2/2")
    else:
        assert (code, lines[0].startswith("foreach  failed")) == (1, True)
        assert "1/2, 1 failed" in lines[1]
        assert any(line.startswith("error: item 0 failed") for line in lines)
