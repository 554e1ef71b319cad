"""The schema: one linear history that goes up and down with data in it, on both back ends, whoever starts first."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy import exc

from kurt.config import Settings
from kurt.db import migrate
from kurt.db.engine import system_engine
from kurt.db.migrate import current, downgrade, ensure_schema, upgrade
from kurt.db.state import HEAD, installed_dbos
from kurt.db.upgrades import MIGRATIONS, kurt_config
from kurt.errors import NotFoundError, StorageError
from tests.support.database import project_settings

ROOT = Path(__file__).parents[2]


def revisions() -> list[str]:
    """All revisions of Kurt's history, oldest first."""
    scripts = ScriptDirectory.from_config(kurt_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


@pytest.fixture
def fresh(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A project whose database is empty, or does not exist yet."""
    url = request.getfixturevalue("postgres_url") if backend == "postgres" else None
    return project_settings(tmp_path / "p", url)


@pytest.fixture
def engine(fresh: Settings) -> Iterator[sa.Engine]:
    made = system_engine(fresh)
    yield made
    made.dispose()


def rows(engine: sa.Engine, statement: str) -> list[Any]:
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


class TestHistory:
    def test_it_is_one_line_and_its_head_is_what_this_build_needs(self) -> None:
        scripts = ScriptDirectory.from_config(kurt_config())
        assert scripts.get_heads() == [HEAD]
        assert len(scripts.get_bases()) == 1

    def test_revisions_are_named_by_day_and_number(self) -> None:
        for file in (MIGRATIONS / "versions").glob("*.py"):
            assert re.fullmatch(r"\d{8}_\d{3}_[a-z0-9_]+\.py", file.name)
        assert revisions() == sorted(revisions())
        assert len(revisions()) == len(list((MIGRATIONS / "versions").glob("*.py")))


def test_the_first_start_makes_everything(fresh: Settings, engine: sa.Engine) -> None:
    assert not current(fresh).is_current
    assert ensure_schema(fresh) is True
    assert ensure_schema(fresh) is False
    assert tables(engine) >= {*OURS, "kurt_alembic_version"}
    state = current(fresh)
    assert (state.revision, state.dbos, state.project) == (HEAD, installed_dbos(), None)
    assert state.to_json() == {
        "revision": HEAD,
        "head": HEAD,
        "dbos": installed_dbos(),
        "dbos_needed": installed_dbos(),
        "project": None,
        "current": True,
    }


@pytest.mark.parametrize("backend", ["sqlite"])
def test_looking_makes_no_file(fresh: Settings) -> None:
    assert current(fresh).revision is None
    assert not fresh.state_dir.exists()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_existing_file_is_migrated_too(fresh: Settings) -> None:
    fresh.state_dir.mkdir()
    fresh.sqlite_path.touch()
    assert not current(fresh).is_current
    assert ensure_schema(fresh) is True
    assert current(fresh).is_current


DATA = {
    "20261121_001": "INSERT INTO kurt_executors VALUES"
    " ('run-h-1-aa', 'run', 'h', 1, '{\"queues\": []}', '2026-01-01 00:00:00', '2026-01-01 00:00:30')",
    "20261121_002": "INSERT INTO llm_traces (run_id, step, row, attempt, state, cost, started_at)"
    " VALUES ('r', 'extract', 3, 1, 'succeeded', 0.25, '2026-01-01 00:00:00')",
    "20261121_003": "INSERT INTO documents (id, uri, created_at, updated_at)"
    " VALUES ('doc-1', 'https://example.com/', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    "20261121_004": "INSERT INTO llm_limits VALUES ('rate', '{}', '2026-01-01 00:00:00')",
    "20261121_005": "INSERT INTO content_passages (document_id, position, text) VALUES ('doc-1', 0, 'words')",
    "20261121_006": "INSERT INTO map_documents"
    " (id, document_id, workflow_id, uri, source, discovery_method, status, created_at, updated_at)"
    " VALUES ('doc-1', 'doc-1', 'r', 'https://example.com/', 'https://example.com/', 'sitemap', 'DISCOVERED',"
    " '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    "20261121_007": "INSERT INTO fetch_documents"
    " (id, document_id, workflow_id, engine, status, extractions, created_at, updated_at)"
    " VALUES ('doc-1', 'doc-1', 'r', 'http', 'FETCHED', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    "20261121_008": "INSERT INTO kurt_schedules (name, id, workflow, declared, cron, timezone, catch_up, overlap,"
    " inputs, due_at, created_at, updated_at) VALUES ('daily', 's1', 'workflows/daily.yaml', true, '0 7 * * *', 'UTC',"
    " false, 'skip', '{}', 1795000000000, 1794900000000, 1794900000000)",
    "20261121_009": "INSERT INTO step_cache (key, workflow, step, run_id, value, created_at)"
    " VALUES ('k', 'pages', 'ask', 'r', '1', '2026-01-01 00:00:00')",
}
"""A row for each revision, written when the database has just that revision."""

OURS = {
    *("kurt_executors", "kurt_meta", "llm_traces", "llm_cache", "llm_limits", "documents"),
    *("content_passages", "content_vectors", "map_documents", "map_sources", "fetch_documents"),
    "step_cache",
    *("kurt_schedules", "kurt_schedule_ticks", "kurt_run_slots"),
}
"""All of Kurt's own tables."""


def test_there_is_data_for_each_revision() -> None:
    assert list(DATA) == revisions()


@pytest.mark.parametrize("start", list(DATA))
def test_a_database_of_each_revision_is_upgraded_with_its_data(
    fresh: Settings, engine: sa.Engine, start: str
) -> None:
    for revision in revisions():
        upgrade(fresh, revision)
        rows(engine, DATA[revision])
        if revision == start:
            break
    ensure_schema(fresh)
    assert current(fresh).is_current
    assert rows(engine, "SELECT executor_id FROM kurt_executors") == [("run-h-1-aa",)]
    written = list(DATA)[: list(DATA).index(start) + 1]
    kept = {
        "20261121_002": "llm_traces",
        "20261121_003": "documents",
        "20261121_005": "content_passages",
    }
    for revision, table in kept.items():
        assert rows(engine, f"SELECT count(*) FROM {table}") == [(int(revision in written),)]


def test_each_revision_can_be_taken_back_and_applied_again(fresh: Settings, engine: sa.Engine) -> None:
    ensure_schema(fresh)
    rows(engine, "INSERT INTO kurt_meta VALUES ('k', 'v')")
    for revision in [*revisions()[-2::-1], "base"]:
        state = downgrade(fresh, revision)
        assert state.revision == (None if revision == "base" else revision)
        assert not state.is_current
    assert not OURS & tables(engine)
    assert ensure_schema(fresh) is True
    assert tables(engine) >= OURS
    assert current(fresh).is_current


def test_the_work_of_dbos_survives_the_way_back(fresh: Settings, engine: sa.Engine) -> None:
    ensure_schema(fresh)
    table = "workflow_status" if fresh.is_sqlite else "dbos.workflow_status"
    insert = "(workflow_uuid, status, name, created_at, updated_at, priority) VALUES ('r', 'SUCCESS', 'n', 1, 1, 0)"
    rows(engine, f"INSERT INTO {table} {insert}")
    downgrade(fresh, "base")
    ensure_schema(fresh)
    assert rows(engine, f"SELECT workflow_uuid FROM {table}") == [("r",)]


def test_the_old_name_of_the_table_of_workflows_is_a_view(fresh: Settings, engine: sa.Engine) -> None:
    ensure_schema(fresh)
    table = "workflow_status" if fresh.is_sqlite else "dbos.workflow_status"
    insert = "(workflow_uuid, status, name, created_at, updated_at, priority) VALUES ('r', 'SUCCESS', 'n', 1, 1, 0)"
    rows(engine, f"INSERT INTO {table} {insert}")
    assert rows(engine, "SELECT workflow_uuid, status, name FROM dbos_workflow_status") == [
        ("r", "SUCCESS", "n")
    ]
    with pytest.raises(exc.SQLAlchemyError):
        rows(engine, "UPDATE dbos_workflow_status SET status = 'ERROR'")


def test_another_release_of_dbos_migrates_again(
    fresh: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DBOS may rebuild the table under our view, which SQLite refuses while the view is there."""
    ensure_schema(fresh)
    rows(engine, "UPDATE kurt_meta SET value = '3.3.0' WHERE key = 'dbos'")
    assert not current(fresh).is_current
    rebuilt: list[bool] = []

    def rebuild(with_engine: sa.Engine, url: str) -> None:
        assert url == fresh.database_url
        schema = "" if fresh.is_sqlite else "dbos."
        rows(with_engine, f"CREATE TABLE {schema}fresh AS SELECT * FROM {schema}workflow_status")
        rows(with_engine, f"ALTER TABLE {schema}workflow_status RENAME TO older")
        rows(with_engine, f"ALTER TABLE {schema}fresh RENAME TO workflow_status")
        rebuilt.append(True)

    monkeypatch.setattr("kurt.db.upgrades.migrate_dbos", rebuild)
    assert ensure_schema(fresh) is True
    assert rebuilt == [True]
    assert current(fresh).is_current
    assert rows(engine, "SELECT count(*) FROM dbos_workflow_status") == [(0,)]


def test_a_database_without_the_tables_of_dbos_gets_them(fresh: Settings, engine: sa.Engine) -> None:
    """Restored from a copy of Kurt's tables only, say."""
    ensure_schema(fresh)
    rows(engine, "DROP VIEW dbos_workflow_status")
    if fresh.is_sqlite:
        for (name,) in rows(engine, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            if name not in OURS and not name.startswith(("kurt_", "sqlite_")):
                rows(engine, f"DROP TABLE {name}")
    else:
        rows(engine, "DROP SCHEMA dbos CASCADE")
    assert ensure_schema(fresh) is True
    assert rows(engine, "SELECT count(*) FROM dbos_workflow_status") == [(0,)]


def test_the_database_of_a_newer_release_is_left_alone(fresh: Settings, engine: sa.Engine) -> None:
    ensure_schema(fresh)
    rows(engine, "UPDATE kurt_alembic_version SET version_num = '20991231_001'")
    for act in (ensure_schema, upgrade, lambda settings: downgrade(settings, "base")):
        with pytest.raises(StorageError, match="a newer Kurt wrote this database") as caught:
            act(fresh)
        assert caught.value.hint is not None
        assert "pip install --upgrade kurt" in caught.value.hint
    assert rows(engine, "SELECT count(*) FROM kurt_executors") == [(0,)]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_unknown_revision_is_not_found(fresh: Settings) -> None:
    for act in (upgrade, downgrade):
        with pytest.raises(NotFoundError, match="no such revision"):
            act(fresh, "20200101_001")


FIRST_START = """
import sys
from pathlib import Path
from kurt.config import load_settings
from kurt.db.migrate import ensure_schema
settings = load_settings(Path(sys.argv[1]), environ={"DATABASE_URL": sys.argv[2]})
sys.stdin.readline()
print(ensure_schema(settings), flush=True)
"""


def test_eight_processes_may_start_first(fresh: Settings) -> None:
    url = "" if fresh.is_sqlite else fresh.database_url
    command = [sys.executable, "-W", "error", "-c", FIRST_START, str(fresh.root), url]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) for _ in range(8)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=100) for process in started]
    assert [error for _, error in ended] == [""] * 8
    assert sorted(output.strip() for output, _ in ended) == ["False"] * 7 + ["True"]
    assert current(fresh).is_current


def test_a_process_that_dies_in_the_middle_leaves_work_that_another_finishes(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("kurt.db.upgrades._finish", die)
        with pytest.raises(Killed):
            ensure_schema(fresh)
    assert not current(fresh).is_current
    assert ensure_schema(fresh) is True
    assert current(fresh).is_current


class TestProject:
    """Revisions of a project's own workflow modules: their own history, applied after Kurt's."""

    @pytest.fixture
    def module(self, fresh: Settings) -> Path:
        folder = fresh.workflows_dir / "leads"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        return folder

    def test_a_module_has_its_own_tables(self, fresh: Settings, engine: sa.Engine, module: Path) -> None:
        file = migrate.revision(fresh, "leads", 'add the\n"table" of leads')
        assert file.parent == module / "migrations" / "versions"
        assert re.fullmatch(r"\d{8}_001_add_the_table_of_leads\.py", file.name)
        text = file.read_text()
        create = 'op.create_table("leads", sa.Column("id", sa.Integer, primary_key=True))'
        file.write_text(text.replace("pass", create, 1))
        second = migrate.revision(fresh, "leads", "fill it")
        assert re.fullmatch(r"\d{8}_002_fill_it\.py", second.name)
        second.write_text(second.read_text().replace("pass", 'op.execute("INSERT INTO leads VALUES (7)")', 1))
        ensure_schema(fresh)
        assert current(fresh).project is None
        state = upgrade(fresh)
        assert state.project == second.name[:12]
        assert rows(engine, "SELECT id FROM leads") == [(7,)]
        assert upgrade(fresh) == state
        assert state.is_current

    def test_modules_share_one_line(self, fresh: Settings, module: Path) -> None:
        first = migrate.revision(fresh, "leads", "one")
        (module.parent / "deals").mkdir()
        (module.parent / "deals" / "__init__.py").touch()
        second = migrate.revision(fresh, "deals", "two")
        assert f'down_revision = "{first.name[:12]}"' in second.read_text()
        assert upgrade(fresh).project == second.name[:12]

    def test_two_lines_are_refused(self, fresh: Settings, module: Path) -> None:
        first = migrate.revision(fresh, "leads", "one")
        other = first.with_name("20200101_001_other.py")
        other.write_text(first.read_text().replace(first.name[:12], "20200101_001"))
        with pytest.raises(StorageError, match="cannot be applied") as caught:
            upgrade(fresh)
        assert caught.value.hint is not None
        assert "one line" in caught.value.hint

    @pytest.mark.parametrize("backend", ["sqlite"])
    def test_a_module_must_exist(self, fresh: Settings) -> None:
        with pytest.raises(NotFoundError, match="no workflow module 'nobody'"):
            migrate.revision(fresh, "nobody", "x")
