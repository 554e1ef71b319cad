"""`kurt db revision --autogenerate`: what a module's models have and the database lacks, and nothing of anybody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

import kurt.db.models
from kurt.config import Settings
from kurt.db import migrate
from kurt.db.drafting import tables_of
from kurt.db.engine import system_engine
from tests.support.database import project_settings
from tests.support.environment import child_environment

MODELS = """
from enum import Enum

from kurt_new.db.models import ConfidenceMixin, EmbeddingMixin, TenantMixin, TimestampMixin
from sqlmodel import Field, SQLModel


class LeadState(str, Enum):
    new = "new"
    won = "won"


class Lead(TimestampMixin, TenantMixin, ConfidenceMixin, EmbeddingMixin, SQLModel, table=True):
    __tablename__ = "leads_items"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    state: LeadState = LeadState.new
    document_id: str | None = Field(default=None, foreign_key="documents.id")
"""

USE = """
import sys
from kurt.db import init_database, managed_session, register_all_models
init_database()
assert "kurt.workflows.leads.models" in register_all_models()
from kurt.workflows.leads.models import Lead
with managed_session() as session:
    session.add(Lead(name="a", embedding=b"1234"))
with managed_session() as session:
    found = session.query(Lead).one()
    print(found.id, found.state.value, found.embedding, found.created_at.tzinfo)
"""


class Project:
    """A project with modules, used through real processes."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings = settings
        url = {} if settings.is_sqlite else {"DATABASE_URL": settings.database_url}
        self._environ = child_environment(home, url)

    def write(self, module: str, models: str) -> None:
        folder = self.settings.workflows_dir / module
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "models.py").write_text(models)

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.settings.root,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kurt(self, *words: str, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "kurt", *words, "--format", "json"],
            cwd=self.settings.root,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout if code == 0 else done.stderr)

    def draft(self, module: str, message: str) -> str:
        return Path(self.kurt("db", "revision", module, "-m", message, "--autogenerate")["file"]).read_text()


@pytest.fixture
def project(backend: str, tmp_path: Path, home: Path, request: pytest.FixtureRequest) -> Project:
    url = request.getfixturevalue("postgres_url") if backend == "postgres" else None
    return Project(project_settings(tmp_path / "p", url), home)


def test_a_draft_is_the_module_s_tables_and_nothing_else(project: Project) -> None:
    project.write("leads", MODELS)
    project.write("deals", MODELS.replace("Lead", "Deal").replace("leads", "deals"))
    text = project.draft("leads", "add leads")
    assert text.count("create_table(") == 1
    assert "'leads_items'" in text or '"leads_items"' in text
    assert "sqlmodel" not in text
    assert "deals" not in text
    assert "DateTime(timezone=True)" in text
    assert project.kurt("db", "upgrade")["changed"] is True
    assert project.python("-c", USE) == "1 new b'1234' UTC\n"
    error = project.kurt("db", "revision", "leads", "-m", "x", "--autogenerate", code=1)["error"]
    assert "nothing to revise" in error["message"]
    assert len(list((project.settings.workflows_dir / "leads/migrations/versions").glob("*.py"))) == 1


def test_a_changed_model_gives_the_difference(project: Project) -> None:
    project.write("leads", MODELS)
    project.draft("leads", "add leads")
    error = project.kurt("db", "revision", "leads", "-m", "more", "--autogenerate", code=1)["error"]
    assert (error["message"], error["hint"]) == (
        "the database lacks revisions of the project that are there already",
        "run `kurt db upgrade`",
    )
    project.kurt("db", "upgrade")
    project.write("leads", MODELS + "    score: float | None = None\n")
    text = project.draft("leads", "add scores")
    assert "score" in text
    assert "create_table" not in text
    assert "drop_table" not in text
    project.kurt("db", "upgrade")
    with_rows = project.python("-c", USE)
    assert with_rows.startswith("1 new")


def test_a_table_whose_model_is_gone_is_dropped(project: Project) -> None:
    project.write("leads", MODELS)
    project.draft("leads", "add leads")
    project.kurt("db", "upgrade")
    project.write("leads", "")
    text = project.draft("leads", "drop leads")
    upgrade = text.partition("def upgrade")[2].partition("def downgrade")[0]
    assert "drop_table('leads_items')" in upgrade.replace('"', "'")
    assert upgrade.count("drop_table") == 1


def test_a_module_whose_name_begins_like_tables_of_others(project: Project) -> None:
    """DBOS has `workflow_status`, Kurt `llm_traces`: no module's draft may drop them."""
    for module in ("workflow", "llm", "kurt", "queues"):
        project.write(module, "")
        project.kurt("db", "revision", module, "-m", "x", "--autogenerate", code=1)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_module_without_models_is_not_found(project: Project) -> None:
    project.write("leads", "")
    (project.settings.workflows_dir / "leads" / "models.py").unlink()
    error = project.kurt("db", "revision", "leads", "-m", "x", "--autogenerate", code=3)["error"]
    assert "no models" in error["message"]


@pytest.fixture
def engine(project: Project) -> Iterator[sa.Engine]:
    made = system_engine(project.settings)
    yield made
    made.dispose()


def test_kurt_s_own_models_are_what_its_revisions_make(project: Project, engine: sa.Engine) -> None:
    migrate.ensure_schema(project.settings)
    found = sa.inspect(engine)
    ours = tables_of(kurt.db.models.__name__)
    assert ours == {
        "documents",
        "content_passages",
        "content_vectors",
        "llm_traces",
        "llm_cache",
        "llm_limits",
        "step_cache",
    }
    computed = {"words"}  # by the database; SQLite has a table for the same purpose
    for name in ours:
        table = SQLModel.metadata.tables[name]
        columns = {
            column["name"]: bool(column["nullable"])
            for column in found.get_columns(name)
            if column["name"] not in computed
        }
        assert columns == {column.name: bool(column.nullable) for column in table.columns}
        indexes = {
            tuple(index["column_names"]): bool(index["unique"])
            for index in found.get_indexes(name)
            if not computed & set(index["column_names"])
        }
        declared = {
            tuple(column.name for column in index.columns): bool(index.unique) for index in table.indexes
        }
        assert indexes == declared, name
