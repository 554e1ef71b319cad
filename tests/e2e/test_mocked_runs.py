"""Runs that only pretend: made-up answers in place of models, values in place of steps, and marks that say so."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kurt.app.placement import placement_from
from kurt.app.runs import submit
from kurt.app.targets import prepare
from kurt.config import load_settings
from kurt.testing import run_yaml
from kurt.testing.model_server import ModelServer
from tests.support import rows
from tests.support.chaos import Chaos
from tests.support.cli import Kurt

MODULE = """
from dbos import DBOS
from pydantic import BaseModel, Field

from kurt.core import EmbeddingStep, LLMStep, generate_embeddings
from kurt.llm.budget import Budget


class Rating(BaseModel):
    score: int = Field(ge=1, le=10)
    code: str = Field(pattern=r"^[A-Z]{3}-[0-9]+$")
    tags: list[str]


def paid(prompt):
    raise RuntimeError("this would have cost money")


asked = LLMStep(name="asked", input_columns=["text"], prompt_template="Rate {text}", output_schema=Rating,
                model="openai/fake", cache=True, budget=Budget(usd=0.000001, scope="workspace"))
own = LLMStep(name="own", input_columns=["text"], prompt_template="Rate {text}", output_schema=Rating, llm_fn=paid,
              output_prefix="own_")
vectors = EmbeddingStep(name="vectors", input_column="text", model="openai/fake", as_bytes=False)


@DBOS.step()
def inside():
    return len(generate_embeddings(["text"], model="openai/fake")[0])


@DBOS.workflow()
def rate_workflow(texts):
    table = vectors.run(own.run(asked.run([{"text": text} for text in texts])))
    inside()
    return [[row["asked_status"], row["score"], row["code"], row["tags"], row["own_score"]] for row in table]
"""

CALLS = '''
from kurt.core import generate_embeddings


def embed(text):
    """In a process of its own, which knows of the run by its environment alone."""
    return len(generate_embeddings([text], model="openai/fake")[0])
'''

RATING = """
name: rating
steps:
  - {name: rate, workflow: rate, inputs: {texts: [one, two]}, output: rows}
  - {name: embed, type: python, call: "calls:embed", args: {text: three}, output: size}
outputs: {rows: "${rows}", size: "${size}"}
"""

ROW = ["success", 10, "AAA-0", ["mock_tags_1", "mock_tags_2"], 10]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def asking(kurt: Kurt, project: Path, server: ModelServer) -> Kurt:
    """A project in which models are asked by a workflow in Python and by a function; its key is a real one."""
    folder = project / "workflows" / "rate"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE)
    (project / "calls.py").write_text(CALLS)
    (project / "workflows" / "rating.yaml").write_text(RATING)
    kurt.environ |= {
        "OPENAI_API_KEY": "real",
        "KURT_LLM__BASE_URL": server.url,
        "KURT_EMBEDDING__BASE_URL": server.url,
    }
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in kurt.environ.items()))
    return kurt


def count(project: Path, table: str) -> int:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def cached_answers(project: Path) -> int:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'llm_%'").fetchall()
    (table,) = [name for (name,) in names if "cache" in name or "answers" in name]
    return count(project, table)


@pytest.mark.parametrize("options", [(), ("--background",)], ids=["here", "background"])
def test_no_model_is_asked_and_the_run_says_so(
    asking: Kurt, project: Path, server: ModelServer, options: tuple[str, ...]
) -> None:
    started = asking("workflows", "run", "rating", "--mock-llm", "--run-id", "pretended", *options)
    done = asking.json("workflows", "wait", "pretended")
    assert (done["status"], done["mocked"]) == ("succeeded", ["models"])
    assert done["outputs"] == {"rows": [ROW, ROW], "size": 512}
    assert not server.arrivals
    if not options:
        assert "mocked: models; their results are made up" in started.stderr
        assert "run pretended succeeded (mocked models)" in started.stderr
    assert "mocked: models; their results are made up" in asking("workflows", "logs", "pretended").stdout
    assert "succeeded (mocked models)" in asking("workflows", "list").stdout
    assert "succeeded (mocked models)" in asking("workflows", "status", "pretended").stdout
    (child,) = [
        run for run in asking.json("workflows", "list", "--parent", "pretended") if run["name"] == "rate"
    ]
    assert child["mocked"] == ["models"]
    traces = rows.traces(project)
    assert {row["provider"] for row in traces} == {"mock"}
    assert {row["request_model"] for row in traces} == {"mock/openai/fake", "mock/model"}
    assert {(row["tokens_in"], row["tokens_out"], row["cost"]) for row in traces} == {(0, 0, 0.0)}
    assert cached_answers(project) == 0


def test_a_real_run_afterwards_knows_nothing_of_the_pretended_one(
    asking: Kurt, project: Path, server: ModelServer
) -> None:
    asking("workflows", "run", "rate", "--input", "texts=[one]", "--mock-llm", "--run-id", "pretended")
    assert not server.arrivals
    assert "mocked: models; their results are made up" in asking("workflows", "logs", "pretended").stdout
    (project / "workflows" / "rate" / "workflow.py").write_text(
        MODULE.replace("raise RuntimeError", "return Rating(score=1, code='ABC-1', tags=[]) #").replace(
            ', budget=Budget(usd=0.000001, scope="workspace")', ""
        )
    )
    done = asking.json("workflows", "run", "rate", "--input", "texts=[one]")
    assert done["mocked"] == []
    assert len(server.arrivals) > 0, "an answer that was made up must not be found in the cache"
    assert cached_answers(project) == 1


def test_whoever_sets_the_variable_pretends_too(asking: Kurt, server: ModelServer) -> None:
    done = asking.json("workflows", "run", "rating", env={"KURT_MOCK_LLM": "1"})
    assert done["mocked"] == ["models"]
    assert not server.arrivals


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_on_postgres_no_model_is_asked_either(asking: Kurt, url: str, server: ModelServer) -> None:
    settings = asking.project / ".env"
    settings.write_text(f"{settings.read_text()}DATABASE_URL={url}\n")
    asking("workflows", "run", "rating", "--mock-llm", "--background", "--run-id", "pretended")
    done = asking.json("workflows", "wait", "pretended")
    assert (done["status"], done["mocked"]) == ("succeeded", ["models"])
    assert done["outputs"] == {"rows": [ROW, ROW], "size": 512}
    assert not server.arrivals
    (run,) = asking.json("workflows", "list")
    assert run["mocked"] == ["models"]


def test_a_worker_that_was_started_with_the_variable_asks_for_real_runs(
    asking: Kurt, server: ModelServer
) -> None:
    asking.spawn("worker", "start", env={"KURT_MOCK_LLM": "1"})
    run = """
name: real
steps: [{name: embed, type: python, call: "calls:embed", args: {text: three}, output: size}]
outputs: {size: "${size}"}
"""
    (asking.project / "real.yaml").write_text(run)
    asking("workflows", "run", "real.yaml", "--background", "--run-id", "real")
    done = asking.json("workflows", "wait", "real")
    assert (done["status"], done["mocked"]) == ("succeeded", [])
    assert len(server.arrivals) == 1


SLOW = """
name: slow
steps:
  - {name: fetch, type: run, command: "exit 9", output: page}
  - {name: first, type: run, command: "touch began; while [ ! -e go ]; do sleep 0.05; done"}
  - name: each
    foreach: {items: "${page.parts}", as: part, key: "${part}"}
    steps:
      - {name: read, type: run, command: "exit 9", output: text}
      - {name: more, type: script, inputs: {text: "${text}"}, code: "result = text * 2", output: both}
    collect: "${both}"
    output: texts
  - {name: called, workflow: ./inner.yaml, output: inner}
outputs: {texts: "${texts}", inner: "${inner.value}"}
"""

INNER = """
name: inner
steps: [{name: deep, type: run, command: "exit 9", output: value}]
outputs: {value: "${value}"}
"""

SLOW_MOCK: dict[str, Any] = {
    "llm": True,
    "steps": {
        "fetch": [{"value": {"parts": ["a", "b"]}}],
        "each.read": [{"value": "x"}],
        "each[b].read": [{"value": "y"}],
        "called.deep": [{"value": 7}],
    },
}


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_pretending(
    kurt: Kurt, project: Path, wait_until: Callable[..., object], chaos: Chaos
) -> None:
    (project / "slow.yaml").write_text(SLOW)
    (project / "inner.yaml").write_text(INNER)
    settings = load_settings(project)
    for number in range(chaos.rounds):
        for name in ("began", "go"):
            (project / name).unlink(missing_ok=True)
        run_id = f"killed-{number}"
        prepared = prepare(settings, str(project / "slow.yaml"), mock=SLOW_MOCK)
        worker = kurt.spawn("worker", "start")
        submit(settings, prepared, placement_from(settings, prepared, {}), run_id=run_id)
        wait_until((project / "began").exists, 30)
        worker.kill()
        (project / "go").touch()
        other = kurt.spawn("worker", "start")
        done = kurt.json("workflows", "wait", run_id)
        assert (done["status"], done["mocked"]) == ("succeeded", ["models", "steps"])
        assert done["outputs"] == {"texts": ["xx", "yy"], "inner": 7}
        steps = {step["path"]: step["mocked"] for step in kurt.json("workflows", "steps", run_id)}
        assert steps["fetch"], "what it pretended before"
        assert not steps["first"]
        assert steps["each[b].read"], "what it pretends afterwards, in an item"
        other.kill()


def test_steps_that_are_mocked_are_marked(kurt: Kurt, project: Path) -> None:
    (project / "slow.yaml").write_text(SLOW)
    (project / "inner.yaml").write_text(INNER)
    (project / "go").touch()
    settings = load_settings(project)
    prepared = prepare(settings, str(project / "slow.yaml"), mock=SLOW_MOCK)
    submit(settings, prepared, placement_from(settings, prepared, {}), run_id="marked")
    kurt("workflows", "wait", "marked")
    shown = kurt("workflows", "steps", "marked").stdout
    assert any(
        line.split()[:3] == ["fetch", "run", "succeeded"] and "(mocked)" in line
        for line in shown.splitlines()
    )
    log = kurt("workflows", "logs", "marked").stdout
    assert "mocked: models and steps; their results are made up" in log
    assert "[fetch] succeeded (mocked)" in log


def test_mocked_attempts_are_retried_and_repeated_as_real_ones(kurt: Kurt, project: Path) -> None:
    (project / "flaky.yaml").write_text(
        dedent("""
        steps:
          - {name: flaky, type: http, url: "https://example.com/${inputs.n}", retry: {max_attempts: 3, delay: 10ms}}
        inputs: {n: 1}
        outputs: {value: "${steps.flaky}"}
        """)
    )
    settings = load_settings(project)
    failing = [{"error": {"message": "503", "type": "HttpError", "status": 503}}] * 2
    for run_id, outcomes, status in (
        ("heals", [*failing, {"value": "ok"}], "succeeded"),
        ("stays", failing, "failed"),
    ):
        prepared = prepare(settings, str(project / "flaky.yaml"), mock={"steps": {"flaky": outcomes}})
        submit(settings, prepared, placement_from(settings, prepared, {}), run_id=run_id)
        done = kurt("workflows", "wait", run_id, "--format", "json", code=None).json()
        assert done["status"] == status
        (step,) = kurt.json("workflows", "steps", run_id)
        assert step["attempt"] == 3
    assert step["error"]["status"] == 503
    again = kurt("workflows", "retry", "stays", "--format", "json", code=1)
    assert json.loads(again.stdout)["mocked"] == ["steps"]
    forked = kurt.json("workflows", "fork", "heals", "--from", "flaky")
    assert (forked["mocked"], forked["outputs"]) == (["steps"], {"value": "ok"})


def test_run_yaml_takes_mocks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    text = """
name: pair
inputs: {n: 1}
steps:
  - {name: page, type: http, url: "https://example.com/${n}", retry: {max_attempts: 2, delay: 1h}}
  - {name: pause, wait: {for: 3h}}
outputs: {title: "${steps.page.title}"}
"""
    mocks = {"steps": {"page": {"attempts": [{"error": "busy"}, {"value": {"title": "A"}}]}}}
    done = run_yaml(text, {"n": 5}, mocks=mocks)
    assert (done.status, done.outputs) == ("succeeded", {"title": "A"})
    assert done.given == {"page": {"url": "https://example.com/5"}}
    assert done.mocked == ("models", "steps")
