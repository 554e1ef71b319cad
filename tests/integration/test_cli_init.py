"""`kurt init`: writes what is missing, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kurt.app.init import initialise
from kurt.errors import StorageError
from tests.support.cli import Kurt

FILES = [
    "kurt.config",
    ".env.example",
    ".kurt/",
    "content/",
    "content/README.md",
    "sources/",
    "sources/README.md",
    "workflows/",
    "workflows/quickstart.yaml",
    "kurt-workflow.schema.json",
    "kurt-test.schema.json",
    ".gitignore",
    ".kurt/kurt.sqlite",
]


@pytest.fixture
def bare(tmp_path: Path, home: Path) -> Kurt:
    root = tmp_path / "project"
    root.mkdir()
    return Kurt(root, home, tmp_path)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".kurt" not in path.parts
    }


def test_a_dry_run_lists_and_writes_nothing(bare: Kurt) -> None:
    planned = bare.json("init", "--dry-run")
    assert planned == [{"path": path, "action": "create"} for path in FILES]
    assert list(bare.project.iterdir()) == []
    assert bare.json("init") == planned


def test_everything_is_there_afterwards(bare: Kurt) -> None:
    result = bare("init")
    assert result.stderr == "hint: kurt workflows run workflows/quickstart.yaml\n"
    assert all((bare.project / path).exists() for path in FILES)
    assert (bare.project / ".gitignore").read_text() == ".env\n.kurt/\n"
    assert bare.json("config", "get", "PATH_DB")["origin"].startswith("kurt.config:")
    schema = json.loads((bare.project / "kurt-workflow.schema.json").read_text())
    assert "steps" in schema["properties"]
    modeline = (bare.project / "workflows" / "quickstart.yaml").read_text().splitlines()[0]
    assert modeline == "# yaml-language-server: $schema=../kurt-workflow.schema.json"
    with closing(sqlite3.connect(bare.project / ".kurt" / "kurt.sqlite")) as connection, connection:
        assert connection.execute("SELECT count(*) FROM workflow_status").fetchone() == (0,)
    connection.close()


def test_a_second_time_changes_nothing(bare: Kurt) -> None:
    bare("init")
    before = contents(bare.project)
    again = bare("init", "--format", "jsonl")
    assert {json.loads(line)["action"] for line in again.lines} == {"keep"}
    assert bare("init").stderr == ""
    assert contents(bare.project) == before


def test_what_the_user_has_is_never_changed(bare: Kurt) -> None:
    (bare.project / "workflows").mkdir()
    mine = {"kurt.config": "USER_ID=me\n", "workflows/quickstart.yaml": "name: mine\n", ".env.example": ""}
    for path, text in mine.items():
        (bare.project / path).write_text(text)
    actions = {change["path"]: change["action"] for change in bare.json("init")}
    assert {path: actions[path] for path in mine} == dict.fromkeys(mine, "keep")
    assert {path: (bare.project / path).read_text() for path in mine} == mine


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        ("*.pyc", "*.pyc\n.env\n.kurt/\n", "extend"),
        ("/.env\n", "/.env\n.kurt/\n", "extend"),
        (".kurt\n.env\n", ".kurt\n.env\n", "keep"),
        ("", ".env\n.kurt/\n", "create"),
    ],
)
def test_gitignore_gets_what_it_lacks(bare: Kurt, before: str, after: str, action: str) -> None:
    (bare.project / ".gitignore").write_text(before)
    actions = {change["path"]: change["action"] for change in bare.json("init", "--dry-run")}
    assert actions[".gitignore"] == action
    assert (bare.project / ".gitignore").read_text() == before
    bare("init")
    assert (bare.project / ".gitignore").read_text() == after


def test_another_folder_is_made(bare: Kurt) -> None:
    result = bare("init", "new/one")
    assert (bare.project / "new" / "one" / "kurt.config").is_file()
    assert "hint: cd new/one && kurt workflows run" in result.stderr
    assert not (bare.project / "kurt.config").exists()


def test_project_names_the_folder_too(bare: Kurt, tmp_path: Path) -> None:
    bare("--project", bare.project, "init", cwd=tmp_path)
    assert (bare.project / "kurt.config").is_file()


def test_a_project_inside_a_project_gets_a_warning(bare: Kurt) -> None:
    bare("init")
    assert "lies inside the project" in bare("init", "below", "--dry-run").stderr
    assert not (bare.project / "below").exists()


def test_the_database_of_the_settings_is_the_one_that_is_made(bare: Kurt) -> None:
    (bare.project / "kurt.config").write_text("PATH_DB=data.sqlite\n")
    assert bare.json("init", "--dry-run")[-1] == {"path": "data.sqlite", "action": "create"}
    assert bare.json("init")[-1] == {"path": "data.sqlite", "action": "create"}
    assert (bare.project / "data.sqlite").is_file()
    assert bare.json("init")[-1] == {"path": "data.sqlite", "action": "keep"}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written: Not a directory") as caught:
        initialise(tmp_path / "file" / "project", environ={"HOME": str(tmp_path)})
    assert "kurt init DIR" in (caught.value.hint or "")


def test_the_quickstart_of_a_new_project_reports_on_its_folder(bare: Kurt) -> None:
    bare("init")
    (bare.project / "content" / "page.html").write_text(
        "<html><title>A page</title><body><main><p>" + "Some words. " * 60 + "</p></main></body></html>"
    )
    outputs = bare.json("workflows", "run", "workflows/quickstart.yaml")["outputs"]
    assert (outputs["pages"], outputs["report"], outputs["markdown"]) == (2, "report.html", "report.md")
    assert "[A page](<file:content/page.html>)" in (bare.project / "report.md").read_text()
    assert (
        "no folder 'nothing'"
        in bare("workflows", "run", "workflows/quickstart.yaml", "--input", "source=nothing", code=1).stderr
    )
