"""The streams `progress` and `logs` of declared runs, and reading a log on a machine that does not have it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Kurt

BACK_ENDS = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
FILE = """
name: streams
secrets: [API_KEY]
steps:
  - name: first
    type: run
    command: [sh, -c, 'printf "\\033[31mred\\033[0m \\033[2J%s\\n" "$API_KEY"']
  - name: pages
    foreach: {items: [a, b, c], key: "${item}"}
    steps:
      - {name: one, type: run, command: [sh, -c, "echo page ${item}; sleep 0.3"]}
      - {name: two, type: run, command: [echo, done]}
  - name: flaky
    type: run
    command: [sh, -c, "test -e mended"]
"""


@pytest.fixture
def run_id(url: str | None, kurt: Kurt, project: Path) -> str:
    (project / "streams.yaml").write_text(FILE, encoding="utf-8")
    kurt.environ["API_KEY"] = "hunter2!"
    kurt("workflows", "run", "streams.yaml", "--run-id", "run-1", code=1)
    return "run-1"


def logged(kurt: Kurt, run_id: str) -> list[str]:
    return kurt("workflows", "logs", run_id).lines


def stream(kurt: Kurt, run_id: str, key: str, *options: str) -> dict[str, Any]:
    return kurt.json("workflows", "stream", run_id, key, *options)


@BACK_ENDS
def test_progress_tells_each_change_once_in_pages(run_id: str, kurt: Kurt) -> None:
    page = stream(kurt, run_id, "progress")
    told = [(step["step"], step["status"]) for item in page["items"] for step in item["steps"]]
    assert len(told) == len(set(told))
    assert {("first", "succeeded"), ("pages[b].two", "succeeded"), ("flaky", "failed")} <= set(told)
    assert page["items"][-1]["status"] == "failed"
    assert [item["items"] for item in page["items"] if item["items"]][-1] == [
        {"step": "pages", "done": 3, "failed": 0, "total": 3}
    ]
    times = [item["timestamp"] for item in page["items"]]
    assert all(later - sooner >= 0.2 for sooner, later in itertools.pairwise(times[:-1]))
    pages = [
        stream(kurt, run_id, "progress", "--offset", str(at), "--limit", "1") for at in range(len(times))
    ]
    assert [one["items"][0] for one in pages] == page["items"]
    assert [one["has_more"] for one in pages] == [True] * (len(times) - 1) + [False]


@BACK_ENDS
def test_the_log_is_stored_once_also_over_a_retry_and_without_secrets(
    run_id: str, kurt: Kurt, project: Path
) -> None:
    (project / "mended").touch()
    kurt("workflows", "retry", run_id)
    lines = [line for item in stream(kurt, run_id, "logs")["items"] for line in item["lines"]]
    here = logged(kurt, run_id)
    assert [line.replace("\x1b[31m", "").replace("\x1b[0m", "") for line in lines] == here
    assert any("[pages[b].one] page b" in line for line in here)
    assert any(line.endswith("[first] red ***") for line in here)
    assert "hunter2" not in json.dumps(lines)
    assert not any("\x1b" in line for line in here)


def test_a_fork_has_its_own(run_id: str, kurt: Kurt, project: Path) -> None:
    (project / "mended").touch()
    kurt("workflows", "fork", run_id, "--from", "flaky")
    fork = kurt.json("workflows", "list", "--forked-from", run_id)[0]["run_id"]
    (piece,) = stream(kurt, fork, "logs")["items"]
    assert piece["lines"] == logged(kurt, fork)
    told = [step["step"] for item in stream(kurt, fork, "progress")["items"] for step in item["steps"]]
    assert set(told) == {"flaky"}


@BACK_ENDS
def test_the_log_is_read_from_the_database_where_its_file_is_not(
    run_id: str, url: str | None, kurt: Kurt, project: Path, tmp_path: Path
) -> None:
    here = logged(kurt, run_id)
    if url is None:
        shutil.rmtree(project / ".kurt" / "logs")
        other = project
    else:
        other = tmp_path / "other"
        other.mkdir()
        (other / "kurt.config").touch()
    there = ("--project", str(other))
    assert kurt(*there, "workflows", "logs", run_id).lines == here
    assert kurt(*there, "workflows", "logs", run_id, "--tail", "2").lines == here[-2:]
    some = kurt(*there, "workflows", "logs", run_id, "--step", "pages", "--format", "jsonl").lines
    assert [json.loads(line) for line in some] == [line for line in here if " [pages" in line]


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_logs_of_two_machines_are_one(
    url: str, kurt: Kurt, project: Path, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    (project / "held.yaml").write_text(
        "name: held\nsteps:\n  - {name: hold, type: run, command: [sh, -c, 'echo held; test -e mended']}\n",
        encoding="utf-8",
    )
    other = tmp_path / "other"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns(".kurt"))
    kurt("workflows", "run", "held.yaml", "--run-id", "both", code=1)
    (other / "mended").touch()
    kurt("--project", str(other), "workflows", "retry", "both", cwd=other)
    lines = logged(kurt, "both")
    assert lines == kurt("--project", str(other), "workflows", "logs", "both").lines
    assert [line.split("] ", 1)[1] for line in lines if "held" in line and "starts" not in line] == [
        "held"
    ] * 2
    assert lines[-1].endswith("[-] run succeeded")
    follow = kurt("workflows", "follow", "both")
    assert "succeeded" in follow.stderr + follow.stdout


def test_lines_that_a_killed_process_left_behind_are_stored_by_the_next(
    kurt: Kurt, project: Path, wait_until: Callable[..., Any]
) -> None:
    (project / "killed.yaml").write_text(
        "name: killed\nsteps:\n  - {name: hold, type: run, command: [sh, -c, 'echo line; test -e go || sleep 60']}\n",
        encoding="utf-8",
    )
    log = project / ".kurt" / "logs" / "workflow-killed.log"
    first = kurt.spawn("workflows", "run", "killed.yaml", "--run-id", "killed")
    wait_until(lambda: log.is_file() and "line" in log.read_text(encoding="utf-8"), 30)
    first.kill()
    (project / "go").touch()
    kurt("workflows", "resume", "killed")
    here = logged(kurt, "killed")
    stored = [line for item in stream(kurt, "killed", "logs")["items"] for line in item["lines"]]
    assert stored == here
    assert sum(line.endswith("[hold] line") for line in here) == 2
