"""What a person sees on a terminal while a run works, here or elsewhere."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.environment import child_environment
from tests.support.language import Language, language
from tests.support.terminal import run_in_terminal
from tests.support.waiting import wait_until

__all__ = ["language"]

FLOW = """
    name: shown
    steps:
      - {name: find, type: run, command: "echo looking; sleep 0.4"}
      - name: pages
        foreach: {items: [1, 2, 3, 4], max_concurrent: 2, on_item_error: collect}
        steps: [{name: read, type: run, command: [sh, -c, "sleep 0.3; test $0 != 3", "${item}"]}]
      - {name: none, type: script, code: x = 1, when: 1 > 2}
      - {name: last, type: run, command: "sleep 0.3; exit 3"}
    """


def on_terminal(language: Language, home: Path, *argv: str, **env: str) -> tuple[list[str], str, int]:
    environment = child_environment(home, {"TERM": "xterm-256color", "NO_COLOR": "1", **env})
    command = [sys.executable, "-m", "kurt", *argv]
    lines, text, code = run_in_terminal(command, cwd=language.root, env=environment, width=100, height=30)
    return [line for line in lines if line], text, code


def test_a_run_is_drawn_as_it_goes(language: Language, home: Path) -> None:
    name = language.write(FLOW)
    lines, text, code = on_terminal(language, home, "workflows", "run", name)
    assert code == 1
    (run,) = language.client.list(name="shown", limit=1)
    assert lines[0].startswith("shown  failed  ")
    assert lines[0].endswith(run.id)
    assert [line.split()[:3] for line in lines[1:6]] == [
        ["✓", "find", "succeeded"],
        ["✓", "pages", "succeeded"],
        ["✗", "[2].read", "failed"],
        ["↷", "none", "skipped"],
        ["✗", "last", "failed"],
    ]
    assert "━━━━━━━━━━━━━━━━━━━━━━━━  4/4, 1 failed" in lines[2]
    assert "the program ended with exit code 3" in lines[5]
    assert lines[6].startswith(f"run {run.id} failed")
    assert lines[7].startswith("log: ")
    closing = " ".join(lines[7:])
    assert f"workflow-{run.id}.log" in "".join(lines[7:])
    assert f"error: the run {run.id} failed: " in closing
    assert lines[-1] == f"hint: kurt workflows retry {run.id}"
    frames = text.split("shown  running")
    assert len(frames) > 4, "the picture is drawn again and again"
    assert "○ last" in frames[1], "what is still to come is shown"
    assert "● find   running" in text
    assert "2/4" in text, "bars move"
    assert "│ [find] looking" in text, "the end of the log is shown"
    assert "│" not in "".join(lines), "and is gone at the end"


def test_a_run_elsewhere_is_drawn_too(language: Language, home: Path) -> None:
    run_id = language.start(FLOW, delay="1s")
    lines, text, code = on_terminal(language, home, "workflows", "follow", run_id)
    assert code == 1
    assert "shown  scheduled" in text
    assert "shown  running" in text
    assert lines[0].startswith("shown  failed  ")
    assert any(line.split()[:3] == ["✗", "last", "failed"] for line in lines)
    assert any(line.startswith("✓ pages") and "━  4/4, 1 failed" in line for line in lines)
    assert "2/4" in text, "bars move"
    assert f"run:          {run_id}" in lines
    assert lines[-1] == f"hint: kurt workflows retry {run_id}"
    told = language.kurt("workflows", "follow", run_id, code=1).stderr.splitlines()
    (pages,) = [line for line in told if line.startswith("step pages succeeded in ")]
    assert pages.endswith(", 4 of 4 items done, 1 failed")
    assert told[-3:-2] == [f"run {run_id} failed"], "behind its steps"


def test_ctrl_c_leaves_a_followed_run_alone(language: Language) -> None:
    run_id = language.start("steps: [{name: hold, wait: {message: go}}]")
    language.until(run_id, "waiting")
    follower = language.kurt.spawn("workflows", "follow", run_id)
    wait_until(lambda: "waiting" in follower.stderr, 20, what="the follower")
    follower.signal(signal.SIGINT)
    assert follower.wait(20) == 130
    assert follower.stderr.splitlines()[-2:] == [
        f"error: no longer following the run {run_id}, which goes on",
        f"hint: kurt workflows follow {run_id}, or to end it: kurt workflows cancel {run_id}",
    ]
    assert language.client.get(run_id).status == "waiting"
    language.client.cancel(run_id)


def interrupt(language: Language, name: str, *, times: int = 1) -> threading.Thread:
    """Press Ctrl-C as soon as a step of this workflow has made a file of its name, and again once the run is cancelled."""

    def work() -> None:
        wait_until((language.root / name).exists, 30, what="the slow step")
        (run,) = language.client.list(name=name)
        assert run.executor_id
        for press in range(times):
            if press:
                wait_until(
                    lambda: language.client.get(run.id).status == "cancelled", 20, what="the cancelled run"
                )
            os.kill(int(run.executor_id.split("-")[-2]), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_ctrl_c_cancels_a_run_of_this_terminal(language: Language, home: Path) -> None:
    name = language.write("""
        name: stopped
        steps:
          - {name: slow, type: run, command: 'touch stopped; sleep 300'}
          - {name: last, type: run, command: [echo]}
        """)
    thread = interrupt(language, "stopped")
    lines, text, code = on_terminal(language, home, "workflows", "run", name)
    thread.join()
    assert code == 130
    (run,) = language.client.list(name="stopped")
    assert run.status == "cancelled"
    assert "stopped  cancelling" in text
    assert "│ Ctrl-C once more leaves at once" in text
    assert lines[0].startswith("stopped  cancelled  ")
    assert [line.split()[:3] for line in lines[1:3]] == [["■", "slow", "cancelled"], ["○", "last", "not"]]
    assert lines[-2:] == [
        "error: interrupted: the run is cancelled; its finished steps are stored and will not run again",
        f"hint: kurt workflows resume {run.id}",
    ]


def test_ctrl_c_twice_leaves_at_once_and_the_terminal_as_it_was(language: Language, home: Path) -> None:
    (language.root / "stubborn.py").write_text(
        "import pathlib, time\n\ndef work():\n    pathlib.Path('left').touch()\n    time.sleep(60)\n"
    )
    name = language.write(
        "name: left\nsteps: [{name: slow, type: python, call: 'stubborn:work', isolate: false}]\n"
    )
    thread = interrupt(language, "left", times=2)
    begun = time.monotonic()
    lines, text, code = on_terminal(language, home, "workflows", "run", name)
    thread.join()
    assert code == 130
    assert time.monotonic() - begun < 50, "the step did not have to end"
    (run,) = language.client.list(name="left")
    assert run.status == "cancelled"
    assert lines[-1] == f"left at once; to go on: kurt workflows resume {run.id}"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.parametrize("options", [["--quiet"], ["--format", "json"]])
def test_nothing_is_drawn_for_those_who_do_not_want_it(
    language: Language, home: Path, options: list[str]
) -> None:
    name = language.write("name: silent\nsteps: [{type: script, code: result = 1}]\noutputs: {x: hello}\n")
    lines, text, code = on_terminal(language, home, "workflows", "run", name, *options)
    assert code == 0
    assert "\x1b" not in text
    if options == ["--quiet"]:
        assert lines == ["x: hello"]
    else:
        assert json.loads(text)["outputs"] == {"x": "hello"}
