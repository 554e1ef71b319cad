"""The kinds `llm` and `embed` as users have them: single calls, rows, failures, secrets, retry and fork."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kurt.llm.shapes import shaped
from kurt.testing.faults import not_json, quota_spent, rate_limited, refused, server_error
from kurt.testing.model_server import ModelServer
from kurt.types import Json, JsonObject
from tests.support import rows
from tests.support.cli import Kurt
from tests.support.model_files import KEY, Asking


@pytest.fixture
def asking(kurt: Kurt) -> Iterator[Asking]:
    with ModelServer(latency=0.01, answer=answer) as server:
        yield Asking(kurt, server)


def answer(prompt: str, schema: JsonObject | None) -> Json:
    """What fits the schema; the prompt itself where that is asked for."""
    if prompt.startswith("echo"):
        return prompt
    return "A plain answer." if schema is None else shaped(schema)


SINGLE = """
name: flow
inputs: {page: {type: object, default: {title: The sea, words: 3}}}
steps:
  - name: text
    type: llm
    prompt: "Tell of ${page}"
    system: "Answer ${page.title} in ${page.words} words"
    temperature: 0.2
    max_tokens: 50
    params: {seed: 7}
  - name: shaped
    type: llm
    prompt: "${page}"
    model: openai/other
    schema: {type: object, properties: {title: {type: string}, score: {type: integer}}, required: [title, score]}
  - {name: listed, type: llm, prompt: x, schema: {type: array, items: {type: string}, minItems: 1}}
  - {name: classy, type: llm, prompt: x, schema: "shapes:Summary"}
  - {name: vector, type: embed, text: "a word", dimensions: 4}
  - {name: vectors, type: embed, items: [a, b, a], dimensions: 2}
outputs: {all: "${steps}"}
"""

SHAPES = """
from pydantic import BaseModel, field_validator


class Summary(BaseModel):
    headline: str
    tags: list[str] = []

    @field_validator("headline")
    @classmethod
    def louder(cls, value: str) -> str:
        return value.upper()
"""


def test_one_question_at_a_time(asking: Asking) -> None:
    (asking.project / "shapes.py").write_text(SHAPES)
    found = asking.outputs(SINGLE, "--run-id", "r")["all"]
    assert found["text"] == "A plain answer."
    assert found["shaped"] == {"title": "mock_title", "score": 42}
    assert isinstance(found["listed"], list)
    assert found["classy"]["headline"] == "MOCK_HEADLINE"
    assert len(found["vector"]) == 4
    assert found["vectors"][0] == found["vectors"][2] != found["vectors"][1]
    first, second = asking.server.bodies[:2]
    assert first["messages"] == [
        {"role": "system", "content": "Answer The sea in 3 words"},
        {"role": "user", "content": 'Tell of {"title": "The sea", "words": 3}'},
    ]
    assert (first["model"], first["temperature"], first["seed"]) == ("fake", 0.2, 7)
    assert 50 in (first.get("max_tokens"), first.get("max_completion_tokens"))
    assert second["model"] == "other"
    assert second["messages"][-1]["content"] == '{"title": "The sea", "words": 3}'
    traces = rows.traces(asking.project)
    assert [one["step"] for one in traces] == ["text", "shaped", "listed", "classy", "vector", "vectors"]
    assert {one["run_id"] for one in traces} == {"r"}
    stats = asking.kurt.json("workflows", "stats", "r")["total"]
    assert (stats["tokens_in"], stats["tokens_out"]) == tuple(
        asking.server.counts()[name] for name in ("tokens_in", "tokens_out")
    )


ROWS = """
name: flow
inputs: {pages: {type: list}}
steps:
  - name: ask
    type: llm
    items: "${pages}"
    as: page
    prompt: "Tell of <${page.title}>, number ${index}"
    schema: {type: object, properties: {score: {type: integer}}, required: [score]}
    prefix: ai_
    concurrency: 4
    retry: {max_attempts: 2, delay: 1ms}
    output: rows
  - {name: count, type: script, inputs: {rows: "${rows}"}, code: "result = len(rows)"}
outputs: {rows: "${rows}", count: "${steps.count}"}
"""
PAGES = [{"title": title} for title in "abcdefgh"]


def test_rows_that_fail_are_recorded_and_asked_for_again_alone(asking: Asking) -> None:
    asking.server.script("<c>", always=refused())
    asking.server.script("<e>", server_error(), server_error())
    asking.server.script("<g>", not_json(), not_json(), not_json(), not_json())
    asking.write(ROWS)
    run = asking.run("--run-id", "r", "--format", "json", inputs={"pages": PAGES}).json()
    found = {row["item"]["title"]: row for row in run["outputs"]["rows"]}
    assert list(found) == list("abcdefgh")
    assert found["a"] == {"item": {"title": "a"}, "ai_score": 42, "status": "success", "error": None}
    failed = {title for title, row in found.items() if row["status"] == "error"}
    assert failed == {"c", "e", "g"}
    assert all(found[title]["ai_score"] is None and found[title]["error"] for title in failed)
    assert run["summary"] == {"rows": 8, "rows_failed": 3}
    shown = asking.steps("r")
    assert set(shown) == {"ask", "count"}
    assert shown["ask"]["status"] == "succeeded"
    assert shown["ask"]["value"] == {"rows": 8, "failed": 3, "calls": 13}
    assert shown["ask"]["error"]["message"].startswith("3 of 8 rows failed, the first: ")
    assert "ask[4]] failed: ServerError" in asking.kurt("workflows", "logs", "r").stdout

    asking.server.reset()
    again = asking.kurt.json("workflows", "retry", "r", "--failed-rows")
    assert {one.prompt.partition("<")[2][0] for one in asking.server.arrivals} == {"c", "e", "g"}
    assert len(asking.server.arrivals) == 3
    assert [row["status"] for row in again["outputs"]["rows"]] == ["success"] * 8
    assert again["summary"] == {}

    asking.server.reset()
    asking.kurt("workflows", "fork", "r", "--from", "ask[1]")
    assert [one.prompt for one in asking.server.arrivals] == ["Tell of <b>, number 1"]


FAILING = """
name: flow
steps:
  - name: ask
    type: llm
    items: [a, b, c]
    prompt: "<${item}>"
    on_row_error: fail
    concurrency: 1
    on_error: {fallback: {name: instead, type: llm, prompt: "instead of ${error.type} in row ${error.row}"}}
  - {name: refused, type: llm, prompt: "<single>", on_error: skip}
  - name: tried
    type: llm
    prompt: "<limited>"
    retry: {max_attempts: 3, delay: 1ms, when: "error.type == 'RateLimited' and error.status == 429"}
  - {name: spent, type: llm, prompt: "<spent>", retry: {max_attempts: 9, delay: 1ms}}
outputs: {}
"""


def test_failures_are_those_of_the_language(asking: Asking) -> None:
    asking.server.script("<b>", always=refused())
    asking.server.script("<single>", always=refused())
    asking.server.script("<limited>", rate_limited(0.0), rate_limited(0.0))
    asking.server.script("<spent>", always=quota_spent())
    asking.write(FAILING)
    failed = asking.run("--run-id", "r", code=1)
    assert "step 'spent' failed" in failed.stderr
    prompts = [one.prompt for one in asking.server.arrivals]
    assert prompts == ["<a>", "<b>", "instead of Refused in row 1", "<single>", *["<limited>"] * 3, "<spent>"]
    steps = asking.steps("r")
    assert steps["ask"]["error"]["row"] == 1
    assert steps["refused"]["error"]["type"] == "Refused"
    assert steps["tried"]["attempt"] == 3
    assert steps["spent"]["error"]["type"] == "QuotaSpent"


NESTED = """
name: flow
inputs: {groups: {type: object}}
secrets: [WORD]
steps:
  - name: all
    parallel:
      - name: groups
        foreach: {items: "${groups}", as: group, key: "${group.key}"}
        steps:
          - {name: ask, type: llm, items: "${group.value}", prompt: "<${item}> of ${group.key} ${env.WORD}"}
      - name: other
        switch:
          on: "'a'"
          cases:
            a: [{name: one, type: llm, prompt: "echo ${env.WORD}"}]
outputs: {all: "${steps.all}"}
"""


def test_rows_inside_of_blocks_and_secrets_in_prompts(asking: Asking) -> None:
    (asking.project / ".env").write_text("WORD=s3cr3t-word\n")
    found = asking.outputs(NESTED, "--run-id", "r", inputs={"groups": {"x": [1, 2], "y": [3]}})["all"]
    assert [[row["item"] for row in group] for group in found["groups"]] == [[1, 2], [3]]
    assert found["other"] == "echo ***"
    assert sorted(one.prompt for one in asking.server.arrivals)[:3] == [
        "<1> of x s3cr3t-word",
        "<2> of x s3cr3t-word",
        "<3> of y s3cr3t-word",
    ]
    traces = rows.traces(asking.project)
    assert sorted(one["step"] for one in traces) == ["all.groups.ask"] * 3 + ["all.other.one"]
    for file in [*(asking.project / ".kurt").rglob("*")]:
        if file.is_file():
            content = file.read_bytes()
            assert b"s3cr3t-word" not in content, file
            assert KEY.encode() not in content, file
    assert "s3cr3t-word" not in asking.kurt("workflows", "logs", "r").stdout


def test_models_that_are_mocked_cost_nothing_and_are_not_kept(asking: Asking) -> None:
    text = ROWS.replace("    prefix: ai_\n", "    prefix: ai_\n    cache: true\n")
    found = asking.outputs(text, "--mock-llm", inputs={"pages": PAGES})
    assert {row["status"] for row in found["rows"]} == {"success"}
    assert not asking.server.arrivals
    assert asking.stored("SELECT count(*) FROM step_cache") == [(0,)]
    asking.outputs(text, inputs={"pages": PAGES})
    assert len(asking.server.arrivals) == len(PAGES)


def test_what_is_missing_is_said_with_its_remedy(asking: Asking) -> None:
    asking.write('steps: [{name: ask, type: llm, items: [1], prompt: "x", model: openai/fake}]')
    del asking.kurt.environ["OPENAI_API_KEY"]
    config = asking.project / "kurt.config"
    config.write_text(
        config.read_text().replace("LLM.BASE_URL", "SOME.BASE_URL").replace("LLM.MODEL", "SOME.MODEL")
    )
    failed = asking.run(code=4)
    assert "there is no key for openai: OPENAI_API_KEY is not set" in failed.stderr
    assert "put OPENAI_API_KEY=... into .env" in failed.stderr
    asking.write('steps: [{name: ask, type: llm, prompt: "x"}]')
    failed = asking.run(code=1)
    assert "no model is set" in failed.stderr
    assert "LLM.MODEL" in failed.stderr
    asking.write('steps: [{name: ask, type: llm, prompt: "x", model: fake}]')
    failed = asking.run(code=1)
    assert "nobody knows the provider of the model 'fake'" in failed.stderr
    assert "write provider/model" in failed.stderr
    asking.write('steps: [{name: ask, type: llm, prompt: "x", schema: "shapes:Nothing"}]')
    assert "there is no module 'shapes'" in asking.run(code=2).stderr
    asking.write(
        'inputs: {rows: {type: any}}\nsteps: [{name: ask, type: llm, items: "${rows}", prompt: "x"}]'
    )
    assert "`items` is not a list but str" in asking.run(inputs={"rows": "abc"}, code=1).stderr
