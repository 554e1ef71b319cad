"""`kurt config`: what is set, where, and what is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Kurt

SECRET = "t0k3n-98765"


@pytest.fixture
def bare(tmp_path: Path, home: Path) -> Kurt:
    root = tmp_path / "project"
    root.mkdir()
    (root / "kurt.config").write_text(
        'PATH_SOURCES="content"\nEXTRACT.LLM_MODEL=big\nEXTRACT.CLAIMS.LLM_MODEL=small\n'
    )
    (root / ".env").write_text(
        f"KURT_CMS__TOKEN={SECRET}\nDATABASE_URL=postgresql://me:{SECRET}@localhost/db\nKURT_WORKER__GRACE=3s\n"
    )
    return Kurt(root, home, tmp_path)


def test_show_lists_every_setting_once(bare: Kurt) -> None:
    rows = {row["key"]: row["value"] for row in bare.json("config", "show")}
    assert rows["PATH_SOURCES"] == "content"
    assert rows["WORKER.GRACE"] == 3
    assert rows["WORKFLOW.TIMEOUT"] is None
    assert rows["EXTRACT.LLM_MODEL"] == "big"
    assert len(rows) == len(bare.json("config", "show"))


def test_origin_says_where_each_value_comes_from(bare: Kurt) -> None:
    rows = bare.json("config", "show", "--origin", env={"KURT_USER_ID": "me"})
    origins = {row["key"]: row["origin"] for row in rows}
    assert origins["PATH_SOURCES"] == "kurt.config:1"
    assert origins["WORKER.GRACE"] == ".env:3"
    assert origins["USER_ID"] == "environment (KURT_USER_ID)"
    assert origins["PATH_DB"] == "default"
    assert "origin" not in bare.json("config", "show")[0]
    assert "ORIGIN" in bare("config", "show", "--origin").stdout
    assert "ORIGIN" not in bare("config", "show").stdout


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_secrets_are_hidden(bare: Kurt, form: str) -> None:
    shown = bare("config", "show", "--origin", "--format", form).stdout
    assert SECRET not in shown
    assert "CMS.TOKEN" in shown
    assert "postgresql://me:***@localhost/db" in shown
    assert SECRET not in bare("config", "get", "CMS.TOKEN", "--format", form).stdout
    assert SECRET not in bare("config", "get", "DATABASE_URL", "--format", form).stdout


def test_get_prints_the_bare_value(bare: Kurt) -> None:
    assert bare("config", "get", "path_sources").stdout == "content\n"
    assert bare("config", "get", "WORKFLOW.TIMEOUT").stdout == ""
    assert bare.json("config", "get", "PATH_SOURCES") == {
        "key": "PATH_SOURCES",
        "value": "content",
        "origin": "kurt.config:1",
    }


def test_get_follows_the_ladder(bare: Kurt) -> None:
    assert bare("config", "get", "LLM_MODEL", "--module", "extract").stdout == "big\n"
    found = bare.json("config", "get", "LLM_MODEL", "--module", "extract", "--step", "claims")
    assert (found["key"], found["value"]) == ("EXTRACT.CLAIMS.LLM_MODEL", "small")
    assert "--module" in bare("config", "get", "LLM_MODEL", "--step", "claims", code=2).stderr


def test_an_unknown_setting_is_not_found(bare: Kurt) -> None:
    assert bare("config", "get", "WORKER.GRACES", code=3).stderr.endswith(
        "hint: did you mean WORKER.GRACE?\n"
    )
    assert "KURT_ZZZ" in bare("config", "get", "ZZZ", code=3).stderr


def test_path_shows_the_files(bare: Kurt, home: Path) -> None:
    assert bare.json("config", "path") == [
        {"file": "dotenv", "path": str(bare.project / ".env"), "exists": True},
        {"file": "project", "path": str(bare.project / "kurt.config"), "exists": True},
        {"file": "user", "path": str(home / ".config/kurt/kurt.config"), "exists": False},
    ]


def test_a_secret_in_the_project_file_stops_every_command_that_needs_it(bare: Kurt) -> None:
    (bare.project / "kurt.config").write_text(f"\nOPENAI_API_KEY={SECRET}\n")
    error = bare("config", "show", "--format", "json", code=2).error()
    assert error["code"] == "config"
    assert error["message"].startswith("kurt.config:2: OPENAI_API_KEY looks like a secret")
    assert ".env" in error["hint"]
    assert SECRET not in str(error)


def test_an_unknown_key_gives_a_warning(bare: Kurt) -> None:
    (bare.project / "kurt.config").write_text("PATH_SORCES=x\n")
    result = bare("config", "get", "PATH_DB")
    assert (
        result.stderr
        == "warning: kurt.config:1: nobody knows the setting PATH_SORCES; did you mean PATH_SOURCES?\n"
    )
    bare.json("config", "get", "PATH_DB")  # which writes nothing to stderr
