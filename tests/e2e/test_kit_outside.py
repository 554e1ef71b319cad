"""The testing kit in a project of its own, as a plugin that pytest finds by its entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import child_environment

STEPS = """
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import EmbeddingStep, LLMStep, transaction
from kurt.db import managed_session
from kurt.db.models import Document


class Mood(BaseModel):
    mood: str
    score: float
    count: int
    tags: list[str]
    note: str | None


mood_step = LLMStep(name="mood", input_columns=["text"], prompt_template="Mood of {text}", output_schema=Mood,
                    model="openai/fake", concurrency=2)
embed_step = EmbeddingStep(name="embed", input_column="text", as_bytes=False)


@DBOS.step()
def read_step(count):
    return [{"text": f"text {number}"} for number in range(count)]


@transaction()
def store(rows):
    with managed_session() as session:
        session.add_all([Document(id=row["text"], uri=row["text"], title=row["mood"]) for row in rows])
    return len(rows)
"""

WORKFLOW = """
from dbos import DBOS

from .steps import mood_step, read_step, store


@DBOS.workflow()
def moods_workflow(count):
    return {"stored": store(mood_step.run(read_step(count)))}
"""

YAML = """
name: total
inputs:
  prices: {type: list, items: number, required: true}
steps:
  - name: add
    type: script
    inputs: {prices: "${prices}"}
    code: result = sum(prices)
    output: total
  - name: shout
    type: loud
    text: "${total}"
    output: loud
outputs:
  total: "${total}"
  loud: "${loud}"
"""

KIND = '''
from typing import Any

from kurt.engine.kinds import Fields, StepContext, StepKind


class LoudFields(Fields):
    text: Any


class Loud(StepKind):
    """Say it loudly."""

    type = "loud"
    Model = LoudFields

    def execute(self, fields: LoudFields, context: StepContext) -> Any:
        return f"{fields.text}!"
'''

TESTS = """
import json
import os
from pathlib import Path

import click
import pytest
from dbos import DBOS
from sqlmodel import select
from workflows.moods.steps import Mood, embed_step, mood_step, read_step
from workflows.moods.workflow import moods_workflow

from kurt.core import (
    create_content_aware_factory, create_embedding_response, create_mock_embedding, create_response_factory,
    get_live_status, generate_embeddings, mock_embedding_step, mock_embeddings, mock_llm, run_workflow,
)
from kurt.db import managed_session
from kurt.db.models import Document
from kurt.errors import InputError
from kurt.testing import (
    CassetteError, ModelServer, assert_cli_failure, assert_cli_success, assert_json_output, assert_output_contains,
    cassette, faults, invoke_cli,
)

OWN = Path(__file__).parents[1]


def documents():
    with managed_session() as session:
        return {document.id: document for document in session.exec(select(Document)).all()}


def test_tmp_project(tmp_project):
    assert Path.cwd() == tmp_project != OWN
    assert (tmp_project / "kurt.config").is_file()
    assert (tmp_project / "workflows").resolve() == OWN / "workflows"
    assert documents() == {}


def test_tmp_database(tmp_database):
    assert tmp_database.is_file()
    assert documents() == {}


def test_tmp_project_with_docs(tmp_project_with_docs):
    found = documents()
    assert sorted(found) == [f"doc-{number}" for number in range(1, 8)]
    assert {document.state for document in found.values()} == {"discovered", "fetched", "error", "indexed", "skipped"}


def test_tmp_docs_folder(tmp_docs_folder):
    assert len(list(tmp_docs_folder.rglob("*.md"))) == 4


def test_dbos_launched(dbos_launched):
    assert DBOS.list_workflows() == []


def test_reset_dbos_state(reset_dbos_state, tmp_path, monkeypatch):
    from dbos import DBOSConfig

    monkeypatch.chdir(tmp_path)
    DBOS(config=DBOSConfig(name="own", system_database_url="sqlite:///own.sqlite", log_level="ERROR"))
    DBOS.launch()  # the fixture ends it


def test_tmp_kurt_project_and_mock_llm(tmp_kurt_project):
    with mock_llm([mood_step], create_response_factory(Mood, {"mood": "calm"})) as prompts:
        assert run_workflow(moods_workflow, 2) == {"stored": 2}
    assert sorted(prompts) == ["Mood of text 0", "Mood of text 1"]
    assert {document.title for document in documents().values()} == {"calm"}


def test_values_by_type():
    with mock_llm([mood_step]):
        (row,) = mood_step.run([{"text": "a"}])
    assert [row[name] for name in ("mood", "score", "count", "tags", "note")] == ["mock_mood", 0.85, 42, [], None]


def test_values_by_content():
    factory = create_content_aware_factory(Mood, {"storm": {"mood": "wild"}}, {"mood": "calm"})
    with mock_llm([mood_step], factory):
        rows = mood_step.run([{"text": "a Storm"}, {"text": "sun"}])
    assert [row["mood"] for row in rows] == ["wild", "calm"]


def test_vectors():
    with mock_embeddings(8) as texts:
        assert len(generate_embeddings(["a"])[0]) == 8
    assert texts == ["a"]
    with mock_embedding_step([embed_step], 4):
        (row,) = embed_step.run([{"text": "a"}])
    assert create_embedding_response(["a"], 4) == [create_mock_embedding("a", 4)]
    assert row["embedding"] == pytest.approx(create_mock_embedding("a", 4))


def test_a_server_and_a_cassette(tmp_project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    tape = tmp_project / "tape.json"
    with ModelServer(latency=0.01) as server:
        (tmp_project / "kurt.config").write_text(f'LLM.BASE_URL="{server.url}"\\n')
        server.script("tea", faults.rate_limited(0.05), faults.server_error())
        with cassette(tape, [mood_step]):
            first = mood_step.run([{"text": "tea"}])
        assert first[0]["mood_status"] == "success"
        assert len(server.arrivals) == 3
    with cassette(tape, [mood_step]):
        assert mood_step.run([{"text": "tea"}]) == first
        with pytest.raises(CassetteError, match="no answer to this prompt for openai/fake: .*Mood of coffee"):
            mood_step.run([{"text": "coffee"}])


@pytest.mark.parametrize("step", ["read_step", "mood[1]", "store"])
def test_crash_after(tmp_kurt_project, crash_after, step, monkeypatch):
    with ModelServer() as server:
        (tmp_kurt_project / "kurt.config").open("a").write(f'LLM.BASE_URL="{server.url}"\\n')
        (tmp_kurt_project / ".env").write_text("OPENAI_API_KEY=a-key\\n")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        monkeypatch.setenv("KURT_LLM__BASE_URL", server.url)
        crashed = crash_after(step, moods_workflow, 4)
        from kurt.core import destroy_dbos, init_dbos

        destroy_dbos()
        init_dbos()  # with the address of the server
        assert crashed.resume() == {"stored": 4}
        assert 4 <= len(server.arrivals) <= 6
    assert get_live_status(crashed.run_id)["status"] == "succeeded"
    assert len(documents()) == 4


def test_run_yaml(run_yaml):
    done = run_yaml("workflows/total.yaml", {"prices": [1.5, 2]})
    assert (done.status, done.outputs) == ("succeeded", {"total": 3.5, "loud": "3.5!"})
    assert done.steps == {"add": 3.5, "shout": "3.5!"}
    assert done.states == {"add": "succeeded", "shout": "succeeded"}


def test_run_yaml_of_a_text_beside_dbos(run_yaml, tmp_kurt_project):
    done = run_yaml("name: bad\\nsteps:\\n  - {name: boom, type: script, code: 'raise ValueError(7)'}\\n")
    assert (done.status, done.states) == ("failed", {"boom": "failed"})
    assert "7" in done.error["message"]
    with pytest.raises(InputError):
        run_yaml("workflows/total.yaml", {"prices": "none"})


@click.command()
@click.option("--fail", is_flag=True)
def shown(fail):
    if fail:
        raise click.ClickException("no")
    click.echo(json.dumps({"cwd": Path.cwd().name}))


def test_commands(cli_runner, tmp_project):
    good = invoke_cli(cli_runner, shown)
    assert_cli_success(good)
    assert_output_contains(good, tmp_project.name)
    assert assert_json_output(good) == {"cwd": tmp_project.name}
    bad = invoke_cli(cli_runner, shown, ["--fail"])
    assert_cli_failure(bad)
    assert_cli_failure(bad, 1)
    for check in (lambda: assert_cli_success(bad), lambda: assert_cli_failure(good), lambda: assert_json_output(bad)):
        with pytest.raises(AssertionError):
            check()


def test_the_projects_own_database_is_untouched():
    assert not (OWN / ".kurt" / "kurt.sqlite").exists()
"""

FILES = {
    "kurt.config": "",
    "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\n",
    "workflows/moods/__init__.py": "",
    "workflows/moods/steps.py": STEPS,
    "workflows/moods/workflow.py": WORKFLOW,
    "workflows/total.yaml": YAML,
    "steps/loud.py": KIND,
    "tests/test_kit.py": TESTS,
}


@pytest.mark.timeout(240)
def test_every_fixture_and_helper_in_a_project_of_its_own(tmp_path: Path, home: Path) -> None:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers"],
        cwd=tmp_path,
        env=child_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "18 passed" in done.stdout
