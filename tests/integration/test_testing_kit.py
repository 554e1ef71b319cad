"""The testing kit as a workflow author uses it: its fixtures, answers in place of models, cassettes, crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep, get_live_status, mock_embeddings, mock_llm, run_workflow
from kurt.core.embedding_steps import EmbeddingStep
from kurt.db import managed_session
from kurt.testing import (
    CassetteError,
    ModelServer,
    assert_cli_failure,
    assert_cli_success,
    assert_json_output,
    assert_output_contains,
    cassette,
    create_content_aware_factory,
    create_response_factory,
    invoke_cli,
    mock_embedding_step,
)


class Found(BaseModel):
    sentiment: str = "neutral"
    score: float = 0.0
    count: int = 0
    tags: list[str] = []
    note: str | None = None


def unreachable(prompt: str) -> Found:
    raise AssertionError(f"the model was asked: {prompt}")


step = LLMStep(
    name="find",
    input_columns=["content"],
    prompt_template="Find in {content}",
    output_schema=Found,
    llm_fn=unreachable,
)
ROWS = [{"content": "a good day"}, {"content": "a bad day"}]


@DBOS.step(name="kit.count")
def count(rows: list[dict[str, Any]]) -> int:
    return len(rows)


@DBOS.workflow(name="kit.rows")
def rows_workflow(number: int) -> dict[str, Any]:
    rows = doubled.run([{"content": str(index)} for index in range(number)])
    return {"sum": sum(row["count"] for row in rows), "rows": count(rows)}


def double(prompt: str) -> dict[str, int]:
    return {"count": 2 * int(prompt)}


doubled = LLMStep(
    name="double", input_columns=["content"], prompt_template="{content}", output_schema=Found, llm_fn=double
)


def test_answers_are_made_up_by_type_unless_they_are_given() -> None:
    with mock_llm([step]) as prompts:
        rows = step.run(ROWS)
    assert [row["sentiment"] for row in rows] == ["mock_sentiment"] * 2
    assert (rows[0]["score"], rows[0]["count"], rows[0]["tags"], rows[0]["note"]) == (0.85, 42, [], None)
    assert sorted(prompts) == ["Find in a bad day", "Find in a good day"]
    with mock_llm([step], create_response_factory(Found, {"sentiment": "positive"})):
        assert step.run(ROWS)[1]["sentiment"] == "positive"
    assert step.run(ROWS)[0]["find_error"] == "the model was asked: Find in a good day"


def test_answers_may_depend_on_words_of_the_prompt() -> None:
    factory = create_content_aware_factory(
        Found, {"GOOD": {"sentiment": "positive"}, "bad": {"sentiment": "negative"}}, {"count": 7}
    )
    with mock_llm([step], factory):
        rows = step.run([*ROWS, {"content": "a day"}])
    assert [row["sentiment"] for row in rows] == ["positive", "negative", "mock_sentiment"]
    assert {row["count"] for row in rows} == {7}


def test_a_mocked_step_needs_neither_database_nor_network_nor_dbos(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from pydantic import BaseModel\n"
        "from kurt.core import LLMStep, mock_llm\n"
        "class Out(BaseModel):\n    a: str\n"
        "step = LLMStep(name='s', input_columns=['c'], prompt_template='{c}', output_schema=Out, model='openai/x')\n"
        "with mock_llm([step]):\n    print(step.run([{'c': 1}])[0]['a'])\n"
        "print(sorted({'dbos', 'sqlalchemy', 'aiohttp', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["mock_a", "[]"]
    assert not list(tmp_path.iterdir())


def test_vectors_are_made_from_the_texts_alone() -> None:
    embed = EmbeddingStep(name="embed", input_column="content", as_bytes=False)
    with mock_embeddings(8) as texts:
        first = embed.run(ROWS)
    with mock_embedding_step([embed], 8):
        second = embed.run(ROWS)
    assert texts == [row["content"] for row in ROWS]
    assert first == second
    assert len(first[0]["embedding"]) == 8
    assert first[0]["embedding"] != first[1]["embedding"]


def test_a_cassette_records_once_and_replays_without_the_model(
    tmp_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = tmp_project / "tapes" / "find.json"
    asks = LLMStep(
        name="find",
        input_columns=["content"],
        prompt_template="Find in {content}",
        output_schema=Found,
        model="openai/fake",
    )
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with ModelServer() as server:
        (tmp_project / "kurt.config").write_text(f'LLM.BASE_URL="{server.url}"\n')
        with cassette(tape, [asks]) as recorded:
            first = asks.run(ROWS)
        assert recorded.recording
        assert server.delivered == 2
    (tmp_project / "kurt.config").write_text('LLM.BASE_URL="http://127.0.0.1:9"\n')
    with cassette(tape, [asks]):
        assert asks.run(ROWS) == first
        with pytest.raises(CassetteError, match=r"no answer to this prompt for openai/fake: .*another day"):
            asks.run([{"content": "another day"}])
    tape.write_text("{}")
    with pytest.raises(CassetteError, match="another format"), cassette(tape, [asks]):
        pass


def test_a_cassette_serves_a_function_too(tmp_path: Path) -> None:
    with cassette(tmp_path / "tape.json", doubled):
        first = doubled.run([{"content": "4"}])
    doubled.llm_fn, before = unreachable, doubled.llm_fn
    try:
        with cassette(tmp_path / "tape.json", doubled):
            assert doubled.run([{"content": "4"}]) == first
            with pytest.raises(CassetteError, match="no answer to this prompt"):
                doubled.run([{"content": "5"}])
    finally:
        doubled.llm_fn = before


def test_a_project_has_a_database_and_documents_in_all_states(tmp_project_with_docs: Path) -> None:
    assert Path.cwd() == tmp_project_with_docs
    with managed_session() as session:
        found = dict(session.connection().execute(sa.text("SELECT id, state FROM documents")).all())
    assert sorted(found) == [f"doc-{number}" for number in range(1, 8)]
    assert len(set(found.values())) > 3


def test_a_folder_of_documents(tmp_docs_folder: Path) -> None:
    assert len(list(tmp_docs_folder.rglob("*.md"))) == 4


def test_a_workflow_runs_in_the_test(tmp_kurt_project: Path) -> None:
    assert run_workflow(rows_workflow, 5) == {"sum": 20, "rows": 5}
    queued = run_workflow(rows_workflow, 4, background=True, priority=1)
    assert queued["status"] == "queued"
    assert DBOS.retrieve_workflow(queued["workflow_id"]).get_result() == {"sum": 12, "rows": 4}
    status = get_live_status(queued["workflow_id"])
    assert status["status"] == "succeeded"
    assert status["steps"][0] | {"last_latency_ms": 0, "last_timestamp": 0} == status["steps"][0] | {
        "name": "double",
        "status": "success",
        "current": 4,
        "total": 4,
        "success": 4,
        "error": 0,
        "last_latency_ms": 0,
        "last_timestamp": 0,
    }


@pytest.mark.parametrize("place", ["kit.count", "double[3]"])
def test_a_run_is_killed_after_a_step_and_goes_on(
    tmp_kurt_project: Path, crash_after: Callable[..., Any], place: str
) -> None:
    crashed = crash_after(place, rows_workflow, 6)
    with managed_session() as session:
        query = sa.text("SELECT count(*) FROM operation_outputs WHERE workflow_uuid = :id")
        assert session.connection().execute(query, {"id": crashed.run_id}).scalar_one() >= 1
    assert crashed.resume() == {"sum": 30, "rows": 6}


@click.command()
@click.option("--fail", is_flag=True)
def shown(fail: bool) -> None:
    if fail:
        raise click.ClickException("no")
    click.echo(json.dumps({"cwd": Path.cwd().name}))


def test_commands_run_in_the_test(cli_runner: CliRunner, tmp_project: Path) -> None:
    good = invoke_cli(cli_runner, shown)
    assert_cli_success(good)
    assert_output_contains(good, tmp_project.name)
    assert assert_json_output(good) == {"cwd": tmp_project.name}
    bad = invoke_cli(cli_runner, shown, ["--fail"])
    assert_cli_failure(bad, 1)
    with pytest.raises(AssertionError, match="Error: no"):
        assert_cli_success(bad)
