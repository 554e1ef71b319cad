"""Steps of type `dspy` in runs of the real engine, against the fake model server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.dspy_answers import written
from kurt.testing.faults import not_json, rate_limited, server_error
from kurt.testing.model_server import ModelServer
from kurt.types import Json, JsonObject
from tests.support.environment import child_environment
from tests.support.language import Language, working
from tests.support.models import configure

SIGNATURES = '''
"""Signatures of the project."""

from typing import Literal

import dspy
from pydantic import BaseModel


class Cluster(BaseModel):
    name: str
    questions: list[str]


class AnalyzeQuestions(dspy.Signature):
    """Group the questions."""

    questions: list[dict] = dspy.InputField()
    limit: int = dspy.InputField(default=3)
    clusters: list[Cluster] = dspy.OutputField(desc="groups that belong together")
    mood: Literal["calm", "angry"] = dspy.OutputField()
'''

TOOLS = '''
"""Functions that an agent may use."""

import os
from pathlib import Path


def search(query: str, limit: int = 2) -> list[str]:
    """Find pages about something."""
    print(f"looking for {query}")
    with Path("searched").open("a") as file:
        file.write(f"{query}\\n")
    return [f"{query} {number}" for number in range(limit)]


def broken(word: str) -> str:
    """Always fails."""
    raise LookupError(f"no {word}")


def where() -> list[str]:
    """Which process this is."""
    return [os.environ["COLOUR"], str(os.getpid())]
'''

PRICES = (1, 2)
"""Dollars per million tokens."""


def answer(prompt: str, schema: JsonObject | None) -> Json:
    """What the model says: an agent acts by the question, everybody else gets what fits."""
    found = re.search(r"item (\d+)", prompt)
    if "next_tool_name" in prompt:
        fields = _act(prompt)
    elif found is not None:
        fields = {"reasoning": "so", "answer": f"<{found[1]}>"}
    else:
        return None  # as the server itself would
    return {name: fields[name] for name in schema["properties"]} if schema else written(fields)


def _act(prompt: str) -> JsonObject:
    turns = prompt.count("[[ ## observation_")
    plan = re.findall(r"use (\w+) (\{.*?\})", prompt)
    name, args = plan[turns] if turns < len(plan) else ("finish", '{"answer": "not asked for"}')
    return {"next_thought": f"turn {turns}", "next_tool_name": name, "next_tool_args": json.loads(args)}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(answer=answer) as made:
        yield made


@pytest.fixture(scope="module")
def shared(
    _template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory, server: ModelServer
) -> Iterator[Language]:
    with working(_template, home, tmp_path_factory.mktemp("dspy")) as language:
        prices = f'LLM.PRICES="openai/fake={PRICES[0]}/{PRICES[1]}"'
        configure(language.kurt, f'LLM.BASE_URL="{server.url}"\nLLM.MODEL="openai/fake"\n{prices}')
        (language.root / ".env").write_text("OPENAI_API_KEY=a-key\nTOKEN=very-secret-word\n")
        (language.root / "signatures.py").write_text(SIGNATURES)
        (language.root / "agents.py").write_text(TOOLS)
        yield language


@pytest.fixture
def language(shared: Language, server: ModelServer) -> Language:
    server.reset()
    return shared


def one(language: Language, step: str, inputs: dict[str, Any] | None = None) -> Any:
    """The value of the only step of a run."""
    text = f"name: one\ninputs: {{given: {{type: any}}}}\nsteps:\n  - {{name: s, type: dspy, {step}}}\noutputs: {{value: '${{steps.s}}'}}\n"
    return language.outputs(text, {"given": None, **(inputs or {})})["value"]


def failure(language: Language, step: str, inputs: dict[str, Any] | None = None) -> JsonObject:
    """The error of the only step of a run, which must fail."""
    text = f"name: one\ninputs: {{given: {{type: any}}}}\nsteps:\n  - {{name: s, type: dspy, {step}}}\n"
    run = language.run(text, {"given": None, **(inputs or {})})
    assert run.status == "failed"
    error = language.steps(run)["s"].error
    assert error is not None
    return error


def test_a_signature_in_one_line(language: Language, server: ModelServer) -> None:
    value = one(
        language,
        'signature: "question, context: list[str] -> reply: str, score: float, sure: bool, tags: list[str]",'
        'inputs: {question: "${given}", context: [a, b]}',
        {"given": "Why ${x}?"},
    )
    assert value == {"reply": "mock_reply", "score": 0.85, "sure": True, "tags": []}
    (body,) = server.bodies
    assert "Why ${x}?" in body["messages"][1]["content"]
    assert body["model"] == "fake"


def test_a_class_of_the_project_and_one_elsewhere(language: Language) -> None:
    expected = {"clusters": [], "mood": "calm"}
    assert one(language, 'signature: AnalyzeQuestions, inputs: {questions: [{q: "Why?"}]}') == expected
    assert one(language, 'signature: "signatures:AnalyzeQuestions", inputs: {questions: []}') == expected


def test_a_mapping_with_types_of_the_project(language: Language, server: ModelServer) -> None:
    value = one(
        language,
        """signature: {
          inputs: {text: null, tone: {type: 'Literal["warm", "dry"]', description: how it sounds}},
          outputs: {cluster: Cluster, level: {type: 'Literal["low", "high"]', description: the urgency}},
          prompt: "Sort it, ${given}."},
          inputs: {text: abc, tone: warm}""",
        {"given": "quickly"},
    )
    assert value == {"cluster": {"name": "mock_name", "questions": []}, "level": "low"}
    instructions = server.bodies[0]["messages"][0]["content"]
    assert "Sort it, quickly." in instructions
    assert "the urgency" in instructions
    assert "how it sounds" in instructions


def test_it_may_reason_first(language: Language) -> None:
    value = one(
        language, 'signature: "question -> answer", inputs: {question: item 4}, module: chain_of_thought'
    )
    assert value == {"reasoning": "so", "answer": "<4>"}


def test_an_agent_uses_the_functions_of_the_project(language: Language, server: ModelServer) -> None:
    plan = 'use search {"query": "whales"} use broken {"word": "luck"} use search {"limit": "many", "query": "x"} use where {}'
    run = language.run(
        """
        name: agent
        inputs: {plan: {type: string}}
        steps:
          - name: s
            type: dspy
            module: react
            tools: ["agents:search", "agents:broken", "agents:where"]
            signature: "question -> summary"
            inputs: {question: "${plan}"}
            env: {COLOUR: blue}
        """,
        {"plan": plan},
    )
    assert run.status == "succeeded", run.error
    value: Any = language.steps(run)["s"].value
    assert value["summary"] == "mock_summary"
    acts = [(step["tool"], step["observation"]) for step in value["trajectory"]]
    assert acts[0] == ("search", ["whales 0", "whales 1"])
    assert acts[1] == ("broken", "broken failed: LookupError: no luck")
    assert acts[2][1].startswith("search failed: ToolArguments: the argument 'limit' does not fit")
    assert acts[3][1][0] == "blue"
    assert acts[4] == ("finish", "Completed.")
    assert len(server.arrivals) == 6
    assert "Find pages about something" in server.bodies[0]["messages"][0]["content"]
    log = language.log(run)
    assert "looking for whales" in log
    assert "search(query='whales')" in log
    assert "broken failed: LookupError: no luck" in log


def test_an_agent_stops_after_so_many_turns(language: Language, server: ModelServer) -> None:
    plan = " ".join('use search {"query": "again"}' for _ in range(9))
    value = one(
        language,
        'signature: "question -> summary", module: react, tools: ["agents:search"], max_iterations: 2,'
        'inputs: {question: "${given}"}',
        {"given": plan},
    )
    assert len(value["trajectory"]) == 2
    assert len(server.arrivals) == 3


SAVE = """
import dspy
program = dspy.{made}
predictor = program.predict if hasattr(program, "predict") else program
predictor.signature = predictor.signature.with_instructions("Answer as a sailor.")
predictor.demos = [dspy.Example(question="Land?", answer="Ahoy!")]
program.set_lm(dspy.LM("openai/other-model", api_base="http://127.0.0.1:9/v1", api_key="k"))
program.save("{file}")
"""


@pytest.mark.parametrize(
    ("made", "module"),
    [
        ('Predict("question -> answer")', "predict"),
        ('ChainOfThought("question -> answer")', "chain_of_thought"),
    ],
)
def test_a_saved_program(language: Language, server: ModelServer, home: Path, made: str, module: str) -> None:
    file = f"{module}.json"
    code = SAVE.format(made=made, file=file)
    subprocess.run(
        [sys.executable, "-c", code], cwd=language.root, env=child_environment(home), check=True, timeout=60
    )
    assert "api_base" in (language.root / file).read_text()
    value = one(
        language,
        f'signature: "question -> answer", module: {module}, program: {file}, inputs: {{question: item 1}}',
    )
    assert value["answer"] == "mock_answer"
    messages = server.bodies[0]["messages"]
    assert "Answer as a sailor." in messages[0]["content"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "Ahoy!" in messages[2]["content"]
    assert server.bodies[0]["model"] == "fake"  # neither the model nor the address of the file is used
    wrong = failure(
        language,
        f'signature: "question, context -> answer", module: {module}, program: {file},'
        " inputs: {question: a, context: b}",
    )
    assert wrong["type"] == "ProgramMismatch"
    assert "was saved for another signature" in wrong["message"]


def test_an_answer_that_breaks_the_format(language: Language, server: ModelServer) -> None:
    server.script("odd question", not_json())
    run = language.run(
        'steps: [{name: s, type: dspy, signature: "question -> reply", inputs: {question: odd question}}]'
    )
    assert language.steps(run)["s"].value == {"reply": "mock_reply"}
    assert len(server.arrivals) == 2
    assert "an answer broke the format, so the model was asked 2 times" in language.log(run)
    assert_books_agree(language, run.id, server)

    server.reset()
    server.script("odd question", always=not_json('{"other": 1}'))
    error = failure(
        language, 'signature: "question -> reply", adapter: json, inputs: {question: odd question}'
    )
    assert error["type"] in {"InvalidAnswer", "BreaksSchema"}
    assert "reply" in error["message"]


def assert_books_agree(language: Language, run_id: str, server: ModelServer) -> None:
    """What Kurt counts for a run is what the server stated."""
    counts = server.counts()
    total = language.kurt.json("workflows", "stats", run_id)["total"]
    assert (total["tokens_in"], total["tokens_out"]) == (counts["tokens_in"], counts["tokens_out"])
    paid = (counts["tokens_in"] * PRICES[0] + counts["tokens_out"] * PRICES[1]) / 1_000_000
    assert total["cost"] == pytest.approx(paid)


def test_the_cost_of_everything_is_the_servers_count(language: Language, server: ModelServer) -> None:
    server.script("item 7", not_json())
    run = language.run(
        """
        name: books
        steps:
          - name: items
            foreach: {items: [5, 6, 7, 8], as: n, key: "${n}", max_concurrent: 4}
            steps:
              - {name: ask, type: dspy, signature: "question -> answer", inputs: {question: "item ${n}"}}
          - name: agent
            type: dspy
            signature: "question -> summary"
            module: react
            tools: ["agents:search"]
            inputs: {question: 'use search {"query": "a"}'}
        """
    )
    assert run.status == "succeeded", run.error
    assert len(server.arrivals) == 4 + 1 + 3
    assert_books_agree(language, run.id, server)


def test_fifty_at_once_each_get_their_own_answer(language: Language) -> None:
    value = language.outputs(
        """
        name: fifty
        steps:
          - name: all
            foreach: {items: "${numbers}", as: n, key: "${n}", max_concurrent: 50}
            steps:
              - name: ask
                type: dspy
                signature: "question -> answer"
                module: chain_of_thought
                inputs: {question: "item ${n}"}
            collect: "${steps.ask.answer}"
        inputs: {numbers: {type: list}}
        outputs: {all: "${steps.all}"}
        """,
        {"numbers": list(range(50))},
        limit=120,
    )
    assert value == {"all": [f"<{number}>" for number in range(50)]}


def test_failures_of_the_model_are_those_of_the_step(language: Language, server: ModelServer) -> None:
    server.script("busy", rate_limited(0.01), rate_limited(0.01))
    value = one(
        language,
        'signature: "question -> answer", inputs: {question: "busy item 1"}, '
        "retry: {max_attempts: 3, delay: 0.01s, when: error.type == 'RateLimited' and error.status == 429}",
    )
    assert value == {"answer": "<1>"}
    assert len(server.arrivals) == 3
    server.reset()
    server.script("down", always=server_error())
    error = failure(
        language,
        'signature: "question -> answer", module: react, tools: ["agents:search"], retry: {max_attempts: 1},'
        'inputs: {question: "down"}',
    )
    assert (error["type"], error["status"]) == ("ServerError", 500)
    assert len(server.arrivals) == 1


def test_a_budget_stops_an_agent_between_its_calls(language: Language, server: ModelServer) -> None:
    error = failure(
        language,
        'signature: "question -> summary", module: react, tools: ["agents:search"], budget: {tokens: 1},'
        """inputs: {question: 'use search {"query": "a"} use search {"query": "b"}'}""",
    )
    assert error["type"] == "BudgetSpent"
    assert len(server.arrivals) == 1


def test_values_that_do_not_fit_are_told_before_anything_is_asked(
    language: Language, server: ModelServer
) -> None:
    error = failure(
        language, 'signature: AnalyzeQuestions, inputs: {questions: "${given}"}', {"given": "no list"}
    )
    assert error["type"] == "FieldError"
    assert "`inputs.questions` does not fit the signature" in error["message"]
    error = failure(language, 'signature: "a -> b", inputs: "${given}"', {"given": {"c": 1}})
    assert error["message"] == "the signature has no input 'c'"
    assert server.arrivals == []


def test_a_live_worker_runs_the_signatures_that_are_on_disk(language: Language, server: ModelServer) -> None:
    (language.root / "helper.py").write_text('WORD = "first"\n')
    (language.root / "later.py").write_text(
        "import dspy\nfrom helper import WORD\n\n"
        "class Later(dspy.Signature):\n    __doc__ = f'Say the {WORD} word.'\n"
        "    question = dspy.InputField()\n    answer = dspy.OutputField()\n"
    )
    step = 'signature: "later:Later", inputs: {question: item 1}'
    one(language, step)
    (language.root / "helper.py").write_text('WORD = "last"\n')
    one(language, step)
    told = [body["messages"][0]["content"] for body in server.bodies]
    assert "Say the first word." in told[0]
    assert "Say the last word." in told[1]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("raise ValueError('not today')", "ValueError", "cannot be imported: ValueError: not today"),
        ("import no_such_thing", "ModuleNotFoundError", "No module named 'no_such_thing'"),
    ],
)
def test_signatures_that_cannot_be_imported(language: Language, code: str, kind: str, message: str) -> None:
    name = f"bad_{kind.lower()}"
    (language.root / f"{name}.py").write_text(
        f"import dspy\nclass Sign(dspy.Signature):\n    a = dspy.InputField()\n    b = dspy.OutputField()\n{code}\n"
    )
    error = failure(language, f'signature: "{name}:Sign", inputs: {{a: 1}}')
    assert error["type"] == kind
    assert message in error["message"]


def test_secrets_are_masked_in_what_is_traced_and_stored(language: Language, server: ModelServer) -> None:
    run = language.run(
        """
        name: hidden
        secrets: [TOKEN]
        steps:
          - {name: s, type: dspy, signature: "question -> answer", inputs: {question: "item 1 ${env.TOKEN}"}}
        """
    )
    assert run.status == "succeeded"
    assert "very-secret-word" in server.bodies[0]["messages"][1]["content"]
    database = (language.root / ".kurt" / "kurt.sqlite").read_bytes()
    log = (language.root / ".kurt" / "kurt.sqlite-wal").read_bytes()
    assert b"very-secret-word" not in database + log


def test_models_are_pretended_where_a_run_says_so(language: Language, server: ModelServer) -> None:
    file = language.write(
        """
        name: pretended
        steps:
          - {name: a, type: dspy, signature: AnalyzeQuestions, inputs: {questions: []}}
          - {name: b, type: dspy, signature: "q -> answer: int", module: chain_of_thought, inputs: {q: "?"}}
          - {name: c, type: dspy, signature: "q -> r: dict[str, int]", module: react, tools: ["agents:search"], inputs: {q: "?"}}
        outputs: {a: "${steps.a.mood}", b: "${steps.b}", c: "${steps.c}"}
        """
    )
    done = language.kurt.json("workflows", "run", file, "--mock-llm")
    assert done["outputs"]["a"] == "calm"
    assert isinstance(done["outputs"]["b"]["answer"], int)
    assert done["outputs"]["b"]["reasoning"]
    assert done["outputs"]["c"]["trajectory"] == []
    assert server.arrivals == []


def test_a_cached_step_asks_again_when_its_files_have_changed(
    language: Language, server: ModelServer
) -> None:
    (language.root / "cached.py").write_text(
        "import dspy\n\nclass Cached(dspy.Signature):\n    question = dspy.InputField()\n    answer = dspy.OutputField()\n"
    )
    step = 'signature: "cached:Cached", cache: true, inputs: {question: item 12}'
    assert one(language, step) == one(language, step) == {"answer": "<12>"}
    assert len(server.arrivals) == 1
    with (language.root / "cached.py").open("a") as file:
        file.write("\n# changed\n")
    assert one(language, step) == {"answer": "<12>"}
    assert len(server.arrivals) == 2


def test_a_dry_run_says_what_would_be_asked(language: Language, server: ModelServer) -> None:
    file = language.write(
        'steps: [{name: s, type: dspy, signature: "question -> answer", model: openai/other, inputs: {question: x}}]'
    )
    plan = language.kurt.json("workflows", "run", file, "--dry-run")
    (step,) = plan["plan"]["steps"]
    assert step["type"] == "dspy"
    assert step["fields"] == {
        "signature": "question -> answer",
        "model": "openai/other",
        "inputs": {"question": "x"},
    }
    assert server.arrivals == []


def test_help_and_a_run_without_such_steps_never_load_dspy(language: Language) -> None:
    file = language.write("steps: [{name: s, type: emit, event: e, value: 1}]")
    for argv in (["--help"], ["workflows", "validate", file], ["workflows", "run", file]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "kurt", *argv],
            cwd=language.root,
            env=child_environment(language.root, {}),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert re.findall(r"\| +(dspy|click)$", done.stderr, re.MULTILINE) == ["click"], argv
