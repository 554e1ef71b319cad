"""`kurt workflows check`: targets, formats and exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command

BAD = """\
import random
from dbos import DBOS

@DBOS.workflow()
def bad_workflow(config):
    return random.random()
"""


@pytest.fixture
def run(project: Path) -> Command:
    home = project / "workflows" / "bad"
    home.mkdir()
    (home / "workflow.py").write_text(BAD)
    (home / "late.py").write_text(
        "import time\nfrom dbos import DBOS\n@DBOS.workflow()\ndef w(c):\n    time.time()\n"
    )
    return Command(project)


@pytest.mark.parametrize("target", ["bad", "workflows/bad"])
def test_errors_end_with_exit_status_2(run: Command, target: str) -> None:
    result = run("workflows", "check", target, code=2)
    assert (
        "workflows/bad/workflow.py:6:12: error: the workflow 'bad_workflow' draws a random value"
        in result.stdout
    )
    assert "[random_in_workflow]\n  remedy: put it into a function with @DBOS.step()" in result.stdout
    assert result.stderr == "error: workflows/bad has 3 errors\n"


def test_json_is_the_list_of_findings(run: Command) -> None:
    result = run("workflows", "check", "workflows/bad/workflow.py", "--format", "json", code=2)
    assert result.json() == [
        {
            "code": "random_in_workflow",
            "severity": "error",
            "message": "the workflow 'bad_workflow' draws a random value (random.random); a replay gets another answer",
            "remedy": "put it into a function with @DBOS.step() and call that: its result is stored",
            "file": "workflows/bad/workflow.py",
            "line": 6,
            "column": 12,
        }
    ]
    assert result.error()["code"] == "module"


def test_warnings_alone_are_a_success(run: Command) -> None:
    result = run("workflows", "check", "workflows/bad/late.py")
    assert "warning: the workflow 'w' asks the clock" in result.stdout
    assert result.stderr == "workflows/bad/late.py has no errors, 1 warning\n"


def test_the_module_is_not_imported(run: Command, project: Path) -> None:
    (project / "workflows" / "bad" / "steps.py").write_text("raise SystemExit('imported')\n")
    run("workflows", "check", "bad", code=2)


@pytest.mark.parametrize("module", ["map", "fetch"])
def test_the_modules_that_come_with_kurt_are_clean(run: Command, module: str) -> None:
    assert json.loads(run("workflows", "check", module, "--format", "json").stdout) == []


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("absent", 3, "there is no workflow module 'absent'"),
        ("workflows/quickstart.yaml", 2, "is a workflow file"),
        ("kurt.config", 2, "is no Python file"),
        ("sources", 2, "there is no Python file in 'sources'"),
    ],
)
def test_what_is_no_module_is_refused(run: Command, target: str, code: int, message: str) -> None:
    result = run("workflows", "check", target, code=code)
    assert message in result.stderr
    assert "hint: " in result.stderr
