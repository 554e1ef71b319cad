"""`kurt workflows new`: which files it writes, what it refuses, and that nothing is ever overwritten."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.command import Command

MODULE = {
    "__init__.py",
    "cli.py",
    "config.py",
    "models.py",
    "steps.py",
    "utils.py",
    "workflow.py",
    "tests/test_e2e.py",
    "tests/test_tea_notes.py",
}


@pytest.fixture
def run(project: Path) -> Command:
    return Command(project)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".kurt" not in path.parts and "__pycache__" not in path.parts
    }


def test_a_module_has_the_shape_of_the_guide_and_no_findings(run: Command, project: Path) -> None:
    before = contents(project)
    result = run("workflows", "new", "tea_notes")
    added = contents(project).keys() - before.keys()
    home = "workflows/tea_notes/"
    migrations = [path for path in added if path.startswith(f"{home}migrations/versions/")]
    assert added == {*(home + path for path in MODULE), *migrations, "pytest.ini"}
    assert [path.endswith("_001_tea_notes_tables.py") for path in migrations] == [True]
    assert sorted(result.stdout.split()[1::2]) == sorted(added)
    assert result.stderr == "hint: kurt db upgrade && pytest workflows/tea_notes\n"
    assert run.json("workflows", "check", "tea_notes") == []


def test_every_file_is_python_that_fits_the_line(run: Command, project: Path) -> None:
    run("workflows", "new", "a_name_that_is_as_long_as_it_may_be_a123")
    for path in (project / "workflows").rglob("*.py"):
        text = path.read_text()
        ast.parse(text)
        assert "$" not in text


def test_the_result_in_json_and_a_dry_run_that_writes_nothing(run: Command, project: Path) -> None:
    before = contents(project)
    planned = run.json("workflows", "new", "tea_notes", "--dry-run")
    assert contents(project) == before
    assert {"path": "workflows/tea_notes/workflow.py", "action": "create"} in planned
    assert run.json("workflows", "new", "tea_notes") == planned


def test_the_second_module_continues_the_history_of_the_first(run: Command, project: Path) -> None:
    run("workflows", "new", "one")
    run("workflows", "new", "two")
    (first,) = (project / "workflows" / "one" / "migrations" / "versions").glob("*.py")
    (second,) = (project / "workflows" / "two" / "migrations" / "versions").glob("*.py")
    revision = first.name.removesuffix("_one_tables.py")
    assert f'down_revision = "{revision}"' in second.read_text()
    assert "down_revision = None" in first.read_text()
    run("db", "upgrade")
    assert run.json("db", "current")["project"] == second.name.removesuffix("_two_tables.py")


def test_own_settings_of_pytest_are_kept(run: Command, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    run("workflows", "new", "tea_notes")
    assert not (project / "pytest.ini").exists()


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("TeaNotes", "is no name for a Python module", "kurt workflows new tea_notes"),
        ("tea-notes", "is no name for a Python module", "kurt workflows new tea_notes"),
        ("2tea", "is no name for a Python module", "kurt workflows new tea"),
        ("", "is no name for a Python module", "kurt workflows new my_feature"),
        ("../tea", "is a path, not a name", "kurt workflows new tea"),
        ("class", "has a meaning in Python already", "kurt workflows new class_flow"),
        ("json", "has a meaning in Python already", "kurt workflows new json_flow"),
        ("a" * 41, "the name has 41 letters, more than 40", "choose a short noun"),
        ("../tea.yaml", "is no name of a workflow file", "kurt workflows new tea.yaml"),
        (".yaml", "is no name of a workflow file", "kurt workflows new my_feature.yaml"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    run: Command, project: Path, name: str, message: str, hint: str
) -> None:
    before = contents(project)
    result = run("workflows", "new", name, code=2)
    assert message in result.stderr
    assert f"hint: {hint}" in result.stderr
    assert contents(project) == before


@pytest.mark.parametrize("name", ["tea", "tea.yaml", "tea.yml", "quickstart"])
@pytest.mark.parametrize("there", ["workflows/tea/notes.txt", "workflows/tea.yaml", "workflows/tea.yml"])
def test_what_is_there_is_never_touched(run: Command, project: Path, name: str, there: str) -> None:
    path = project / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = contents(project)
    result = run("workflows", "new", name, code=1)
    assert "there is a workflow" in result.stderr
    assert "nothing was written" in result.stderr
    assert contents(project) == before


def test_a_workflow_file_is_valid_as_it_is_written(run: Command, project: Path) -> None:
    result = run("workflows", "new", "daily-report.yaml")
    assert result.stderr == "hint: kurt workflows run workflows/daily-report.yaml\n"
    text = (project / "workflows" / "daily-report.yaml").read_text()
    schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (project / "workflows" / schema).is_file()
    assert run.json("workflows", "validate", "daily-report") == []


def test_the_tests_of_a_new_workflow_file_pass(run: Command, project: Path) -> None:
    written = run.json("workflows", "new", "daily-report.yaml")
    assert [file["path"] for file in written] == [
        "workflows/daily-report.yaml",
        "workflows/daily-report.test.yaml",
    ]
    text = (project / "workflows" / "daily-report.test.yaml").read_text()
    schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (project / "workflows" / schema).is_file()
    report = run.json("workflows", "test", "daily-report")
    assert (report["passed"], report["failed"]) == (4, 0)
    assert report["steps_not_run"] == {"workflows/daily-report.test.yaml": []}
