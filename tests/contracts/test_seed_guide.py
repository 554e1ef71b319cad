"""The founding guide's own blocks run, with the replacements for what DBOS 3 removed.

They are read from the guide where it lies beside the project. Fragments are completed by what they leave open; blocks
23 and 24 wait for the workflows of content that they run.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import indent
from typing import Any

import pandas as pd  # noqa: TID253 - the guide uses it
import pytest
from dbos import DBOS
from sqlmodel import Field, SQLModel, select

from kurt.app.module_check.check import Target, check_target
from kurt.core import (
    EmbeddingStep,
    LLMTracer,
    bytes_to_embedding,
    embedding_to_bytes,
    generate_embeddings,
    transaction,
)
from kurt.db import ensure_tables, managed_session
from kurt.errors import UsageError
from tests.support.cli import Kurt
from tests.support.environment import child_environment
from tests.support.guide import block, blocks, completed, execute, run_code, without_fixture

MODULE = Path("workflows/my_feature")

PERSIST = """\
    from kurt_new.db import managed_session
    from .models import ExtractedItem

    with managed_session() as session:
        for row in items_json:
            session.add(
                ExtractedItem(
                    workflow_id=workflow_id, source_url="u", item_name=row["item"], item_type="x", confidence=0.5
                )
            )
    inserted_count = len(items_json)
"""

REVISION = """\
import sqlalchemy as sa
from alembic import op

revision = "20260101_001"
down_revision = None


"""

OTHER_COLUMNS = """\
        sa.Column("item_type", sa.String(), nullable=False),
        sa.Column("metadata_json", sa.String()),
        sa.Column("document_id", sa.String(), index=True),
        sa.Column("confidence", sa.Float(), nullable=False),
"""

END_TO_END = """\
from pathlib import Path

from dbos import DBOS
from kurt_new.db import ensure_tables, managed_session
from sqlmodel import select
from workflows.my_feature import run_my_feature
from workflows.my_feature.models import ExtractedItem


@DBOS.workflow()
def my_workflow(config):
    return {"status": "success", "source": config["source"]}


def run_my_workflow(config):
    return DBOS.start_workflow(my_workflow, config).get_result()


def test_the_module_in_this_project(tmp_kurt_project):
    ensure_tables([ExtractedItem])
    assert run_my_feature({"source_url": "u", "max_items": 3})["persisted"] == 3
    with managed_session() as session:
        assert len(session.exec(select(ExtractedItem)).all()) == 3


"""

FETCH = '''\
import click
import pytest
from click.testing import CliRunner
from dbos import DBOS
from kurt_new.cli.command import command
from kurt_new.cli.options import add_background_options
from kurt_new.core import run_workflow
from kurt_new.testing import assert_cli_success, assert_output_contains, invoke_cli


@DBOS.workflow()
def fetch_workflow(config):
    return {"workflow_id": DBOS.workflow_id, "dry_run": config["dry_run"]}


@command("fetch")
@click.option("--ids")
@add_background_options()
def fetch_cmd(ids, background, priority, dry_run):
    """Pretend to fetch."""
    return run_workflow(fetch_workflow, {"ids": ids, "dry_run": dry_run}, background=background, priority=priority)


'''


def test_every_block_is_looked_at() -> None:
    here = Path(__file__)
    source = "".join(path.read_text(encoding="utf-8") for path in (here, here.with_name("test_guide_map.py")))
    used = {
        int(number)
        for call in re.findall(r"(?:block|execute)\(([\d, ]+)", source)
        for number in call.split(",")
        if number.strip()
    }
    assert used == set(range(len(blocks())))


# A step, a workflow around it, and what is seen of it


def test_a_step_with_hooks_runs_in_a_workflow_and_is_traced(tmp_kurt_project: Path) -> None:
    names = execute(0, 1, 2)
    texts = json.dumps([{"content": "one"}, {"content": "two"}])
    handle = DBOS.start_workflow(names["my_pipeline"], texts)
    assert handle.get_result() == {"rows": 2}

    seen = execute(3, names={"workflow_id": handle.workflow_id, "last_offset": None})
    assert seen["status"]["status"] == "succeeded"
    assert seen["status"]["progress"] == {"current": 2, "total": 2}
    assert seen["last_offset"] == len(seen["page"]["items"])

    stats = LLMTracer().stats(handle.workflow_id)
    assert (stats["total_calls"], stats["total_tokens_in"], stats["total_tokens_out"]) == (2, 240, 68)
    assert stats["total_cost"] == pytest.approx(0.0046)
    calls = LLMTracer().query(handle.workflow_id, "extract")
    assert {(call["provider"], call["request_model"]) for call in calls} == {("openai", "gpt-4")}


def test_answers_stand_in_for_the_model_without_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = execute(0, 1, 4, names={"df": pd.DataFrame({"content": ["one", "two"]})})
    assert list(names["df"]["sentiment"]) == ["positive", "positive"]
    assert list(names["df"]["extract_status"]) == ["success", "success"]
    assert not list(tmp_path.iterdir())


# A module


def test_new_writes_the_files_of_the_tree(kurt: Kurt, project: Path) -> None:
    kurt("workflows", "new", "my_feature")
    required = [
        line.split("──")[1].split("#")[0].strip().replace("<name>", "my_feature")
        for line in block(5).splitlines()
        if "──" in line and "if needed" not in line
    ]
    written = {path.name for path in (project / MODULE).rglob("*")}
    assert len(required) > 8
    assert {name.rstrip("/") for name in required} <= written


@pytest.fixture
def module(project: Path, kurt: Kurt) -> Path:
    """The guide's module in a project, as its blocks say."""
    commands = block(6).replace("src/kurt_new/", "")
    subprocess.run(["sh", "-e", "-c", commands], cwd=project, check=True)
    folder = project / MODULE
    for name, code in (
        ("config", block(7)),
        ("models", block(8)),
        ("steps", completed(block(10), "    return inserted_count", PERSIST)),
        ("workflow", block(11)),
        ("__init__", block(12)),
    ):
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    revision = completed(block(14), "        sa.Column('user_id'", OTHER_COLUMNS)
    (versions / "20260101_001_add_my_feature_tables.py").write_text(REVISION + revision, encoding="utf-8")
    return folder


def run(project: Path, home: Path, *argv: str) -> str:
    """What a program prints that runs in the project; it must end well."""
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=project,
        env=child_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_module_is_migrated_run_and_seen(kurt: Kurt, project: Path, module: Path) -> None:
    kurt("db", "upgrade")
    inputs = ["--input", "source_url=https://example.com", "--input", "max_items=3"]
    done = kurt.json("workflows", "run", "my_feature", *inputs)
    assert done["outputs"] == {"workflow_id": done["run_id"], "total_processed": 3, "persisted": 3}
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        rows = connection.execute("SELECT workflow_id, item_name, user_id FROM my_feature_items").fetchall()
    assert rows == [(done["run_id"], f"item_{number}", None) for number in range(3)]
    assert kurt.json("workflows", "events", done["run_id"])["status"] == "completed"
    assert len(kurt.json("workflows", "stream", done["run_id"], "progress")) >= 3
    queued = kurt.json("workflows", "run", "my_feature", *inputs, "--background")
    assert kurt.json("workflows", "wait", queued["run_id"])["outputs"]["persisted"] == 3
    refused = kurt("workflows", "run", "my_feature", "--input", "max_items=3", code=2)
    assert "source_url" in refused.stderr


def test_a_revision_is_made_by_a_command(kurt: Kurt, project: Path, module: Path) -> None:
    message = re.search(r'alembic revision -m "(\w+)"', block(13))
    assert message is not None
    kurt("db", "upgrade")
    kurt("db", "revision", "my_feature", "-m", f"{message[1]} again")
    assert len(list((module / "migrations" / "versions").glob("*.py"))) == 2


def test_the_module_is_exported_and_checked(kurt: Kurt, project: Path, module: Path, home: Path) -> None:
    code = f"scope = {{'__package__': 'kurt_new.workflows', '__name__': 'kurt_new.workflows'}}\nexec({block(15)!r}, scope)\n"
    code += "print(scope['MyFeatureConfig'](source_url='u').max_items)\n"
    start = "from kurt.app.registry import WorkflowRegistry\nfrom kurt.config import load_settings\nWorkflowRegistry(load_settings())\n"
    assert run(project, home, "-c", start + code) == "100\n"
    (module / "tests").mkdir()
    (module / "tests" / "test_e2e.py").write_text(END_TO_END + block(17))
    (module / "tests" / "test_my_feature.py").touch()
    codes = {(item["code"], item["severity"]) for item in kurt.json("workflows", "check", "my_feature")}
    assert codes == {("time_in_workflow", "warning"), ("missing_run", "warning")}


@pytest.mark.parametrize("own_fixture", [False, True], ids=["of the kit", "of the guide"])
def test_the_whole_is_tested_in_a_project_of_the_test(
    project: Path, module: Path, home: Path, own_fixture: bool
) -> None:
    tests = project / "tests"
    tests.mkdir()
    (tests / "test_e2e.py").write_text(END_TO_END + block(17))
    if own_fixture:
        (tests / "conftest.py").write_text(without_fixture(block(22), "reset_dbos_state"))
    assert "2 passed" in run(project, home, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


TABLES = """\
from typing import Optional

from sqlmodel import Field, SQLModel


class ExtractEntity(SQLModel, table=True):
    __tablename__ = "extract_entities"

    id: Optional[int] = Field(default=None, primary_key=True)


class Reference(SQLModel, table=True):
    __tablename__ = "extract_references"

    id: Optional[int] = Field(default=None, primary_key=True)
"""

REFER = """\
from kurt_new.db import ensure_tables, managed_session, register_all_models
from kurt_new.db.models import Document

print(register_all_models()[1:])
ensure_tables()
from workflows.enrichment.models import EnrichedEntity
from workflows.extract.models import ExtractEntity, Reference

with managed_session() as session:
    session.add(Document(id="doc-1", uri="u"))
    session.add(ExtractEntity(id=1))
    session.flush()
    session.add(EnrichedEntity(source_entity_id=1, document_id="doc-1", enriched_data="{}"))
    session.add(Reference(document_id="doc-1", source_entity_id=1))
"""


def test_tables_of_modules_refer_to_each_other_and_to_documents(project: Path, home: Path) -> None:
    for name, code in (
        ("extract", f"{TABLES}{indent(block(9), '    ')}"),
        ("enrichment", f"from typing import Optional\n\nfrom sqlmodel import Field, SQLModel\n\n{block(16)}"),
    ):
        folder = project / "workflows" / name
        folder.mkdir(parents=True)
        (folder / "models.py").write_text(code)
    assert "kurt.workflows.enrichment.models" in run(project, home, "-c", REFER)
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        for table in ("enrichment_entities", "extract_references"):
            keys = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
            assert {(key[2], key[4]) for key in keys} == {("documents", "id"), ("extract_entities", "id")}


# What may be called where


class GuideRow(SQLModel, table=True):
    __tablename__ = "guide_rows"  # pyright: ignore[reportAssignmentType] - as SQLModel wants it

    id: int | None = Field(default=None, primary_key=True)
    text: str


def test_rows_are_not_sent_to_a_model_from_a_step(tmp_kurt_project: Path) -> None:
    made = block(18).replace("EmbeddingStep(...)", 'EmbeddingStep(name="embed", input_column="text")')
    names: dict[str, Any] = {"DBOS": DBOS, "EmbeddingStep": EmbeddingStep, "df": [{"text": "a"}]}
    run_code(made, names, "block 18")

    @DBOS.workflow(name="guide.wrong")
    def wrong() -> None:
        names["my_step"]({})

    with pytest.raises(
        UsageError, match=r"EmbeddingStep\.run must be called from a workflow, not from a step"
    ) as refused:
        wrong()
    assert "generate_embeddings(texts)" in str(refused.value.hint)


def test_vectors_are_made_in_a_step_directly(tmp_kurt_project: Path) -> None:
    names = {
        "DBOS": DBOS,
        "generate_embeddings": generate_embeddings,
        "embedding_to_bytes": embedding_to_bytes,
        "fetch_step": DBOS.step(name="guide.fetch")(
            lambda docs, _config: {"rows": [{"content": one} for one in docs]}
        ),
    }
    found = execute(19, names=names)["my_workflow"](["tea", "snow"], {})
    assert [len(bytes_to_embedding(row["embedding"])) for row in found["rows"]] == [512, 512]


def test_a_transaction_in_a_step_is_a_part_of_it_and_check_warns(
    tmp_kurt_project: Path, tmp_path: Path
) -> None:
    head = "from dbos import DBOS\nfrom kurt.core import transaction\n\n@transaction()\ndef persist_data(rows):\n    return rows\n\n"
    code = f"{head}def process(data):\n    return data['x']\n\n{block(20)}"
    file = tmp_path / "wrong.py"
    file.write_text(code)
    findings = check_target(Target("wrong", file, Path("wrong.py")))
    assert [(item.code, item.severity) for item in findings] == [("transaction_in_step", "warning")]
    names: dict[str, Any] = {}
    run_code(code, names, "block 20")
    assert names["my_workflow"]({"x": 7}) == 7


def test_a_transaction_is_called_by_the_workflow(tmp_kurt_project: Path) -> None:
    ensure_tables([GuideRow])
    names = {
        "DBOS": DBOS,
        "Model": GuideRow,
        "managed_session": managed_session,
        "process": lambda config: config["texts"],
        "serialize": lambda texts: [{"text": text} for text in texts],
        "transaction": transaction,
    }
    workflow = execute(21, names=names)["my_workflow"]
    assert workflow({"texts": ["a", "b"]})["inserted"] == 2
    assert "inserted" not in workflow({"texts": ["c"], "dry_run": True})
    with managed_session() as session:
        assert [row.text for row in session.exec(select(GuideRow)).all()] == ["a", "b"]


# Commands


def test_a_dropped_option_is_found_and_passed_on(tmp_path: Path) -> None:
    head = "from kurt.cli.options import add_background_options\n\ndocs, config = [], {}\n\ndef run_fetch(*a, **k):\n    return k\n\n"
    code = head + block(25).replace(", ...)", ", **more)")
    file = tmp_path / "cli.py"
    file.write_text(code)
    findings = check_target(Target("fetch", file, Path("cli.py")))
    assert [item.code for item in findings] == ["option_dropped", "option_dropped"]
    names = {
        "run_fetch": lambda *_, **given: given,
        "docs": [],
        "config": {},
        "background": True,
        "priority": 3,
    }
    assert execute(26, names=names)["result"] == {"background": True, "priority": 3}


def test_the_fixtures_are_there(request: pytest.FixtureRequest) -> None:
    named = re.findall(r"^def (\w+)\(", block(27), re.MULTILINE)
    assert len(named) == 4
    for name in [*named, "cli_runner", "tmp_kurt_project", "tmp_docs_folder", "reset_dbos_state"]:
        assert request.session._fixturemanager.getfixturedefs(name, request.node), name


def test_commands_are_tested_on_real_dbos(project: Path, home: Path) -> None:
    tests = project / "tests"
    tests.mkdir()
    (tests / "test_cli.py").write_text(
        f"{FETCH}{block(28)}\n\nclass TestPatterns:\n{indent(block(29), '    ')}"
    )
    assert "6 passed" in run(project, home, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
