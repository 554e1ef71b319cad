"""What a stranger runs first: `make demo` leaves a project with a report over real pages, and the texts to search."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import child_environment

ROOT = Path(__file__).parents[2]


def demo(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "demo", Path(sys.executable).with_name("kurt"), folder],
        env=child_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_demo_leaves_a_report_and_a_run(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "demo"
    done = demo(folder, home)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (folder / "report.md").read_text(encoding="utf-8")
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples" / "corpus" / "sqlite").glob("*.html")]
    assert all(str(page) in report for page in pages)
    assert f"| pages | {len(pages)} |" in report
    for heading in ("Near-duplicates", "Stale pages", "Links that lead nowhere"):
        assert f"## {heading}" in report
    assert "2017-02-02" in report  # what a page says of its age
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    assert "Running in the background" in done.stdout.partition("kurt content search")[2]
    assert f"the report in {folder / 'report.html'}" in done.stdout
    assert done.stdout.count("quickstart  succeeded") == 2


def test_the_demo_can_be_repeated(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        done = demo(folder, home)
        assert done.returncode == 0, done.stdout + done.stderr
    listing = subprocess.run(
        [sys.executable, "-m", "kurt", "workflows", "list", "--format", "json"],
        cwd=folder,
        env=child_environment(home),
        capture_output=True,
        check=True,
    )
    assert [run["status"] for run in json.loads(listing.stdout)] == ["succeeded"] * 4


@pytest.mark.parametrize(
    ("available", "message"),
    [([], "no Python 3.11 or newer was found"), (["python3"], "has no 'venv' module")],
)
def test_a_machine_without_a_fitting_python_is_told_what_to_install(
    tmp_path: Path, available: list[str], message: str
) -> None:
    """A `python3` that answers to the question of its version but has no `venv`, as on Debian."""
    for name in available:
        (tmp_path / name).write_text("#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts" / "find-python"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "hint: " in done.stderr
