"""A project outside of this work tree, with Kurt installed from its wheel: a new module lives its whole life."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import child_environment
from tests.support.processes import end_executors

ROOT = Path(__file__).parents[2]
FILES = 12


@dataclass(frozen=True, slots=True)
class Installed:
    """Kurt as a user has it, and a folder for a project.

    Attributes:
        python: the interpreter of its environment.
        home: the user's home.
        project: the folder.
    """

    python: Path
    home: Path
    project: Path

    def run(self, *argv: str, code: int = 0) -> str:
        """What a program of the environment prints; it must end with this exit status."""
        done = subprocess.run(
            [self.python, *argv],
            cwd=self.project,
            env=child_environment(self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == code, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def kurt(self, *argv: str) -> str:
        return self.run("-m", "kurt", *argv)

    def json(self, *argv: str) -> Any:
        return json.loads(self.kurt(*argv, "--format", "json"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with Kurt's wheel, and with what it needs from the environment of the tests."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (`make test` installs it)")
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(site)
    # A path that is added so brings packages only: the work tree, which a .pth there names, stays out.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def installed(environment: Path, home: Path, tmp_path: Path) -> Any:
    project = tmp_path / "elsewhere"
    project.mkdir()
    yield Installed(environment, home, project)
    end_executors(project)


@pytest.mark.timeout(240)
def test_a_new_module_lives_its_whole_life(installed: Installed, wait_until: Callable[..., Any]) -> None:
    where = installed.run("-c", "import kurt; print(kurt.__file__)")
    assert not Path(where).is_relative_to(ROOT)
    installed.kurt("init")
    texts = installed.project / "sources" / "tea"
    texts.mkdir(parents=True)
    for number in range(FILES):
        (texts / f"{number:02d}.md").write_text(f"Tea number {number} is green.")

    installed.kurt("workflows", "new", "tea_notes")
    assert installed.json("workflows", "check", "tea_notes") == []
    assert "6 passed" in installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider")
    installed.kurt("db", "upgrade")

    run = installed.json("workflows", "run", "tea_notes", "--input", "folder=sources/tea")
    assert (run["status"], run["outputs"]["saved"]) == ("succeeded", FILES)
    queued = installed.json("workflows", "run", "tea_notes", "--input", "folder=sources/tea", "--background")
    waited = installed.json("workflows", "wait", queued["run_id"])
    assert (waited["status"], waited["outputs"]["saved"]) == ("succeeded", FILES)

    installed.kurt("worker", "stop", "--all")  # else it may go on with the killed run before `resume` does
    killed_in_the_middle(installed, wait_until)
    resumed = installed.json("workflows", "resume", "killed")
    assert (resumed["status"], resumed["outputs"]["saved"]) == ("succeeded", FILES)

    listed = {
        item["run_id"]: item["status"] for item in installed.json("workflows", "list", "--name", "tea_notes")
    }
    assert listed == {run["run_id"]: "succeeded", queued["run_id"]: "succeeded", "killed": "succeeded"}
    stats = installed.json("workflows", "stats", run["run_id"])
    assert [(group["step"], group["calls"]) for group in stats["groups"]] == [("tea_notes_describe", FILES)]
    total = installed.json("workflows", "stats")["total"]
    # What the kill met in flight was cut, or had its answer and no checkpoint yet: it is asked again.
    assert 3 * FILES <= total["succeeded"] <= total["calls"] <= 3 * FILES + 3


def killed_in_the_middle(installed: Installed, wait_until: Callable[..., Any]) -> None:
    """A run in the foreground whose process is killed when some of its rows are done."""
    steps = installed.project / "workflows" / "tea_notes" / "steps.py"
    log = installed.project / "calls"
    line = '    words = prompt.split("\\n", 1)[-1]\n'
    text = steps.read_text()
    assert line in text
    slow = f"    import time\n    time.sleep(0.2)\n    open({str(log)!r}, 'a').write('.')\n"
    steps.write_text(text.replace(line, line + slow))
    argv = [
        "-m",
        "kurt",
        "workflows",
        "run",
        "tea_notes",
        "--input",
        "folder=sources/tea",
        "--run-id",
        "killed",
    ]
    process = subprocess.Popen(
        [installed.python, *argv],
        cwd=installed.project,
        env=child_environment(installed.home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: log.exists() and log.stat().st_size >= 4, 60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    steps.write_text(text)
