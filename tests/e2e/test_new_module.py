"""A module that `kurt workflows new` writes works at once: its tests, runs of every kind, and after a crash."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.cli import Kurt
from tests.support.environment import child_environment

NAME = "tea_notes"
COMMAND = "tea-notes"
WORKFLOW = f"{NAME}_workflow"
FILES = 20


@pytest.fixture
def module(kurt: Kurt, project: Path) -> Path:
    """The folder of a new module, its tables made, beside a folder with texts."""
    kurt("workflows", "new", NAME)
    kurt("db", "upgrade")
    texts = project / "sources" / "tea"
    texts.mkdir(parents=True)
    for number in range(FILES):
        (texts / f"{number:02d}.md").write_text(f"Tea number {number} is green.")
    return project / "workflows" / NAME


def stored(project: Path, run_id: str) -> list[str]:
    """Paths of the files of which a run has stored rows."""
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        rows = connection.execute(f"SELECT path FROM {NAME}_items WHERE workflow_id = ?", (run_id,))
        return sorted(path for (path,) in rows)


def expected(project: Path) -> list[str]:
    return sorted(f"sources/tea/{path.name}" for path in (project / "sources" / "tea").iterdir())


def run_pytest(project: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::pytest.PytestWarning", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=child_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )


def test_its_tests_pass_as_they_are_written(kurt: Kurt, project: Path, home: Path) -> None:
    kurt("workflows", "new", NAME)
    kurt("workflows", "new", "coffee")  # files of tests have the same names
    done = run_pytest(project, home)
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout


def test_its_tests_fail_when_the_module_is_broken(kurt: Kurt, project: Path, home: Path) -> None:
    kurt("workflows", "new", NAME)
    steps = project / "workflows" / NAME / "steps.py"
    broken = (
        steps.read_text().replace("return len(rows)", "return 0").replace("topic=row", "topic='no' or row")
    )
    steps.write_text(broken)
    done = run_pytest(project, home)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 5 passed" in done.stdout


@pytest.mark.parametrize("name", [NAME, WORKFLOW])
def test_it_runs_by_name_in_the_foreground(kurt: Kurt, project: Path, module: Path, name: str) -> None:
    run = kurt.json("workflows", "run", name, "--input", "folder=sources/tea")
    assert (run["name"], run["status"]) == (NAME, "succeeded")
    outputs = run["outputs"]
    assert outputs == {
        "workflow_id": run["run_id"],
        "status": "success",
        "total": FILES,
        "failed": 0,
        "saved": FILES,
    }
    assert stored(project, run["run_id"]) == expected(project)
    assert [item["name"] for item in kurt.json("workflows", "list", "--name", NAME)] == [NAME]


def test_nothing_begins_before_its_tables_are_there(kurt: Kurt, project: Path) -> None:
    """It would pay for its rows and fail when it stores them."""
    kurt("workflows", "new", NAME)
    for more in ([], ["--background"]):
        refused = kurt("workflows", "run", NAME, *more, code=1).stderr
        assert "the database lacks revisions of the project's modules: 2" in refused
        assert "hint: kurt db upgrade" in refused
    assert kurt.json("workflows", "list") == []
    revisions = project / "workflows" / NAME / "migrations" / "versions"
    (first,) = revisions.glob("*.py")
    kurt("db", "upgrade")
    assert schema(kurt)["state"] == "ok"
    kurt("db", "revision", NAME, "-m", "more")
    (second,) = set(revisions.glob("*.py")) - {first}
    assert schema(kurt)["remedy"] == "kurt db upgrade"
    number = "_".join(second.name.split("_")[:2])
    assert schema(kurt)["detail"] == f"the project's modules have revisions to apply: {number}"


def schema(kurt: Kurt) -> dict[str, Any]:
    """What `kurt doctor` says of the schema."""
    checks: Any = kurt.json("doctor", code=None)
    return next(check for check in checks if check["check"] == "schema")


def test_it_runs_in_the_background(kurt: Kurt, project: Path, module: Path) -> None:
    queued = kurt.json("workflows", "run", NAME, "--input", "folder=sources/tea", "--background")
    run = kurt.json("workflows", "wait", queued["run_id"])
    assert (run["status"], run["outputs"]["saved"]) == ("succeeded", FILES)
    assert stored(project, run["run_id"]) == expected(project)


def test_inputs_are_checked_before_anything_is_done(kurt: Kurt, module: Path) -> None:
    result = kurt("workflows", "run", NAME, "--input", "max_items=0", code=2)
    assert "max_items" in result.stderr
    assert "greater than or equal to 1" in result.stderr
    result = kurt("workflows", "run", NAME, "--input", "foldr=sources", code=2)
    assert "foldr: Extra inputs are not permitted" in result.stderr
    assert "hint: it takes: folder, pattern, max_items, dry_run" in result.stderr
    assert kurt.json("workflows", "list") == []


def test_its_command_runs_it(kurt: Kurt, project: Path, module: Path) -> None:
    (project / "commands").mkdir()
    (project / "commands" / f"{NAME}.py").write_text(f"from workflows.{NAME}.cli import {NAME}_cmd\n")
    result = kurt.json(COMMAND, "--folder", "sources/tea")
    assert result["saved"] == FILES
    queued = kurt.json(COMMAND, "--folder", "sources/tea", "--background", "--priority", "1")
    assert queued["status"] == "queued"
    assert kurt.json("workflows", "wait", queued["workflow_id"])["outputs"]["saved"] == FILES


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
def test_after_a_kill_the_run_goes_on_and_pays_little_twice(
    kurt: Kurt, project: Path, module: Path, wait_until: Callable[..., Any], background: bool
) -> None:
    calls = slow_down(module, project / "calls.log")
    run_id = "killed-run"
    target = ["workflows", "run", NAME, "--input", "folder=sources/tea", "--run-id", run_id]
    if background:
        executor = kurt.spawn("worker", "start")
        kurt(*target, "--background")
    else:
        executor = kurt.spawn(*target)
    wait_until(lambda: len(calls()) >= 6, 60)
    executor.kill()
    before = calls()
    assert stored(project, run_id) == []

    run = kurt.json("workflows", "resume", run_id)
    assert (run["status"], run["outputs"]["total"], run["outputs"]["failed"]) == ("succeeded", FILES, 0)
    assert stored(project, run_id) == expected(project)
    counted = Counter(calls())
    assert len(counted) == FILES
    assert sum(counted.values()) - FILES <= 3  # what was in flight
    assert len(before) < FILES


def slow_down(module: Path, log: Path) -> Callable[[], list[str]]:
    """Let each call take its time and write its text down; gives the calls so far."""
    steps = module / "steps.py"
    text = steps.read_text()
    words = '    words = prompt.split("\\n", 1)[-1]\n'
    assert words in text
    slow = f"{words}    import time\n    with open({str(log)!r}, 'a') as file:\n        file.write(words + '\\n')\n"
    steps.write_text(text.replace(words, f"{slow}    time.sleep(0.2)\n"))
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_a_module_of_an_installed_package_is_found_run_and_checked(
    kurt: Kurt, project: Path, module: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    info = site / "tea_kit-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: tea-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kurt.workflows]\ninstalled_tea = tea_kit\n")
    package = site / "tea_kit"
    shutil.move(module, package)
    for path in package.rglob("*.py"):  # the module's name is that of its entry point
        path.write_text(path.read_text().replace(NAME, "installed_tea").replace("TeaNotes", "InstalledTea"))
    kurt.environ["PYTHONPATH"] = str(site)
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        connection.execute(f"ALTER TABLE {NAME}_items RENAME TO installed_tea_items")

    run = kurt.json("workflows", "run", "installed_tea", "--input", "folder=sources/tea")
    assert (run["name"], run["status"], run["outputs"]["saved"]) == ("installed_tea", "succeeded", FILES)
    queued = kurt.json("workflows", "run", "installed_tea", "--input", "folder=sources/tea", "--background")
    assert kurt.json("workflows", "wait", queued["run_id"])["outputs"]["saved"] == FILES
    assert len(kurt.json("workflows", "list", "--name", "installed_tea")) == 2
    assert kurt.json("workflows", "check", "installed_tea") == []
    refused = kurt("workflows", "new", "installed_tea", code=1)
    assert "an installed package brings a workflow 'installed_tea' already" in refused.stderr


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_it_works_on_postgres_too(kurt: Kurt, project: Path, url: str) -> None:
    kurt("workflows", "new", NAME)
    kurt("db", "upgrade")
    run = kurt.json("workflows", "run", NAME)
    assert (run["status"], run["outputs"]["saved"]) == ("succeeded", 1)
    queued = kurt.json("workflows", "run", NAME, "--background")
    assert kurt.json("workflows", "wait", queued["run_id"])["outputs"]["saved"] == 1
    with psycopg.connect(url) as connection:
        rows = connection.execute(f"SELECT workflow_id, path, status FROM {NAME}_items").fetchall()
    assert {(row[0], row[1], row[2]) for row in rows} == {
        (run_id, "sources/README.md", "DONE") for run_id in (run["run_id"], queued["run_id"])
    }
    assert kurt.json("workflows", "stats", run["run_id"])["total"]["succeeded"] == 1
