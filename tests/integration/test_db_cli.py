"""`kurt db`: commands over the schema, in this process and with real databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kurt.cli.main import cli
from kurt.db.state import HEAD, installed_dbos


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kurt.config").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["db", *words])


def run_json(*words: str) -> Any:
    result = run(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_new_project_needs_an_upgrade(root: Path) -> None:
    state = run_json("current")
    assert state == {
        "database": str(root / ".kurt" / "kurt.sqlite"),
        "revision": None,
        "head": HEAD,
        "dbos": None,
        "dbos_needed": installed_dbos(),
        "project": None,
        "current": False,
    }
    assert "needs `kurt db upgrade`" in run("current").stdout
    assert not (root / ".kurt").exists()


def test_an_upgrade_says_whether_it_changed_anything(root: Path) -> None:
    first = run_json("upgrade")
    assert (first["changed"], first["current"], first["revision"]) == (True, True, HEAD)
    assert run_json("upgrade")["changed"] is False
    assert f"is current at {HEAD}" in run("upgrade").stdout
    shown = run("current").stdout
    assert HEAD in shown
    assert "needs" not in shown


def test_path_db_is_honoured(root: Path) -> None:
    (root / "kurt.config").write_text('PATH_DB="data/mine.sqlite"\n')
    assert run_json("upgrade")["database"] == str(root / "data" / "mine.sqlite")
    assert (root / "data" / "mine.sqlite").stat().st_size > 0
    assert not (root / ".kurt" / "kurt.sqlite").exists()


def test_a_revision_of_a_module_is_written_and_applied(root: Path) -> None:
    (root / "workflows" / "leads").mkdir(parents=True)
    (root / "workflows" / "leads" / "__init__.py").touch()
    written = run_json("revision", "leads", "-m", "add the table of leads")
    assert Path(written["file"]).name == f"{written['revision']}_add_the_table_of_leads.py"
    assert run_json("upgrade")["project"] == written["revision"]
    assert f"project {written['revision']}" in run("upgrade").stdout
    assert run("revision", "leads", "-m", "more").stdout.splitlines()[0].endswith("_002_more.py")


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (["revision", "nobody", "-m", "x"], 3, "not_found"),
        (["upgrade", "19700101_001"], 3, "not_found"),
        (["revision", "leads"], 2, "usage"),
    ],
)
def test_mistakes(root: Path, words: list[str], exit_code: int, code: str) -> None:
    result = run(*words, "--format", "json")
    assert result.exit_code == exit_code
    assert json.loads(result.stderr)["error"]["code"] == code
    assert result.stdout == ""


def test_a_damaged_database_is_a_clear_error(root: Path) -> None:
    (root / ".kurt").mkdir()
    (root / ".kurt" / "kurt.sqlite").write_text("no database at all\n" * 500)
    for verb in ("current", "upgrade"):
        result = run(verb)
        assert result.exit_code == 1
        assert "is damaged" in result.stderr
        assert "hint: put a copy in its place" in result.stderr
