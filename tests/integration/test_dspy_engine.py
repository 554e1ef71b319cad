"""DSPy on Kurt's client: what it asks reaches the model once, as Kurt counts it, and nothing else leaves the process."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kurt.errors import ConfigError
from kurt.llm.adapters.dspy import DspyEngine, load_dspy, settings_for
from kurt.llm.client import ModelClient
from kurt.llm.errors import RefusedError, ServerError
from kurt.llm.types import Request, Response, Usage
from kurt.testing.dspy_answers import written
from kurt.testing.faults import not_json, refused, server_error
from kurt.testing.model_server import ModelServer
from kurt.types import Json, JsonObject
from tests.support.asking import OPENAI
from tests.support.asking import settings_for as kurt_settings
from tests.support.environment import child_environment

DSPY: Any = load_dspy()


def echo(prompt: str, schema: JsonObject | None) -> Json:
    """The number in the question, in whatever form is asked for."""
    found = re.search(r"number (\d+)", prompt)
    answer = {"answer": f"<{found[1]}>" if found else "none"}
    return answer if schema else written(answer)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answer=echo) as made:
        yield made


def engine_for(server: ModelServer, **params: Any) -> DspyEngine:
    return DspyEngine(ModelClient(kurt_settings(server)), model=OPENAI, params=params)


async def ask(engine: DspyEngine, question: str, *, adapter: str = "chat", made: Any = None) -> JsonObject:
    module = made or DSPY.Predict("question -> answer")
    with DSPY.context(**settings_for(DSPY, engine, adapter=adapter)):
        prediction = await module.acall(question=question)
    return dict(prediction.items())


async def test_an_answer_and_what_goes_with_the_call(server: ModelServer) -> None:
    engine = engine_for(server, temperature=0.5, max_tokens=77, top_k=3)
    assert await ask(engine, "number 7") == {"answer": "<7>"}
    (body,) = server.bodies
    assert (body["temperature"], body["max_completion_tokens"], body["top_k"]) == (0.5, 77, 3)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert engine.calls == server.delivered == 1


@pytest.mark.parametrize("adapter", ["json", "xml"])
async def test_other_adapters(adapter: str) -> None:
    def answer(prompt: str, schema: JsonObject | None) -> Json:
        return {"answer": "yes"} if schema else "<answer>yes</answer>"

    with ModelServer(answer=answer) as server:
        assert await ask(engine_for(server), "?", adapter=adapter) == {"answer": "yes"}
        assert ("response_format" in server.bodies[0]) == (adapter == "json")


async def test_an_answer_that_breaks_the_format_costs_a_call_that_is_counted(server: ModelServer) -> None:
    server.script("number 3", not_json())
    engine = engine_for(server)
    assert await ask(engine, "number 3") == {"answer": "<3>"}
    assert engine.calls == len(server.arrivals) == 2
    assert server.bodies[1]["response_format"]["type"] == "json_schema"


async def test_no_answer_is_remembered_and_none_is_another_endpoints(server: ModelServer, home: Path) -> None:
    def other(prompt: str, schema: JsonObject | None) -> Json:
        return written({"answer": "of the other"})

    with ModelServer(answer=other) as second:
        for _ in range(2):
            assert await ask(engine_for(server), "number 1") == {"answer": "<1>"}
            assert await ask(engine_for(second), "number 1") == {"answer": "of the other"}
        assert len(server.arrivals) == len(second.arrivals) == 2
    assert await asyncio.to_thread(lambda: list(home.rglob(".dspy*"))) == []


async def test_right_answers_in_fifty_threads(server: ModelServer) -> None:
    engine = engine_for(server)
    settings = settings_for(DSPY, engine)
    module = DSPY.ChainOfThought("question -> answer")
    module.predict.signature = module.predict.signature.delete("reasoning")
    ready = threading.Barrier(50)

    def work(number: int) -> list[str]:
        ready.wait(30)
        with DSPY.context(**settings):
            return [module(question=f"number {number * 100 + turn}").answer for turn in range(4)]

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(50) as pool:
        done = await asyncio.gather(*(loop.run_in_executor(pool, work, number) for number in range(50)))
    assert done == [[f"<{number * 100 + turn}>" for turn in range(4)] for number in range(50)]
    assert engine.calls == len(server.arrivals) == 200


async def test_right_answers_in_two_hundred_tasks(server: ModelServer) -> None:
    engines = [engine_for(server) for _ in range(200)]
    done = await asyncio.gather(*(ask(engine, f"number {number}") for number, engine in enumerate(engines)))
    assert done == [{"answer": f"<{number}>"} for number in range(200)]
    assert len(server.arrivals) == 200
    assert len(DSPY.settings.trace) == 0  # nothing of what was asked stays in the process


async def test_a_failure_is_the_first_one_and_the_last_call(server: ModelServer) -> None:
    server.script("number 5", always=server_error())
    engine = engine_for(server)
    agent = DSPY.ReAct("question -> answer", tools=[lambda: "nothing"])
    with pytest.raises(DSPY.LMError):
        await ask(engine, "number 5", made=agent)
    assert isinstance(engine.failure, ServerError)
    assert len(server.arrivals) == 1
    with pytest.raises(DSPY.LMError):
        await ask(engine, "number 6")
    assert len(server.arrivals) == 1


async def test_a_prompt_that_is_too_long_is_told_to_dspy(server: ModelServer) -> None:
    server.script("number 8", refused(message="This model's maximum context length is 8192 tokens"))
    engine = engine_for(server)
    with pytest.raises(DSPY.ContextWindowExceededError):
        await ask(engine, "number 8")
    assert engine.failure is None
    server.script("number 9", refused(message="no such parameter"))
    with pytest.raises(DSPY.LMError):
        await ask(engine, "number 9")
    assert isinstance(engine.failure, RefusedError)


class Silent:
    """A completer whose answer is empty."""

    async def complete(self, request: Request) -> Response:
        return Response("", Usage(None, None), "", "openai", finish_reason="content_filter")


async def test_an_empty_answer_is_no_answer() -> None:
    with pytest.raises(DSPY.AdapterParseError):
        await ask(DspyEngine(Silent()), "?")


async def test_only_text_reaches_a_model(server: ModelServer) -> None:
    engine = engine_for(server)
    module = DSPY.Predict(DSPY.Signature("picture: dspy.Image -> answer", custom_types={"dspy": DSPY}))
    with DSPY.context(**settings_for(DSPY, engine)), pytest.raises(DSPY.LMError):
        await module.acall(picture=DSPY.Image("data:image/png;base64,aGVsbG8="))
    assert isinstance(engine.failure, ConfigError)
    assert server.arrivals == []


def test_what_dspy_logs_goes_where_all_records_go(caplog: pytest.LogCaptureFixture) -> None:
    load_dspy()
    with caplog.at_level(logging.INFO):
        logging.getLogger("dspy.predict").warning("a word of DSPy")
    assert "a word of DSPy" in caplog.text
    assert logging.getLogger("dspy").handlers == []


ADDRESSES = """
import asyncio, json, sys

seen = set()

def hook(event, args):
    if event == "socket.getaddrinfo":
        seen.add(str(args[0]))
    elif event == "socket.connect" and isinstance(args[1], tuple):
        seen.add(str(args[1][0]))

sys.addaudithook(hook)
from kurt.config import load_settings
from kurt.llm.adapters.dspy import DspyEngine, load_dspy, settings_for
from kurt.llm.client import ModelClient

async def main(url):
    dspy = load_dspy()
    settings = load_settings(environ={"KURT_LLM__BASE_URL": url, "LLM_API_KEY": "k"})
    engine = DspyEngine(ModelClient(settings), model="openai/gpt-4.1-mini")
    with dspy.context(**settings_for(dspy, engine)):
        await dspy.Predict("question -> answer").acall(question="number 1")
        await asyncio.to_thread(lambda: dspy.Predict("question -> answer")(question="number 2"))

asyncio.run(main(sys.argv[1]))
print(json.dumps([sorted(seen), [name for name in ("litellm", "openai", "numpy") if name in sys.modules]]))
"""


def test_nothing_but_the_model_is_asked_on_the_network(server: ModelServer, home: Path) -> None:
    seen, loaded = json.loads(run(ADDRESSES, server.url, home=home).stdout)
    assert seen == ["127.0.0.1"]
    assert loaded == []
    assert len(server.arrivals) == 2


MISSING = """
import sys

sys.modules[sys.argv[1]] = None  # as if it were not installed
from kurt.errors import StepError
from kurt.llm.adapters.dspy import load_dspy
try:
    load_dspy()
except StepError as error:
    print(error.type, "|", error.message, "|", error.hint)
"""


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("dspy", "DSPy is not installed"),
        ("regex", "DSPy cannot be loaded: import of regex halted; None in sys.modules"),
    ],
)
def test_without_dspy_the_command_that_installs_it_is_told(absent: str, message: str, home: Path) -> None:
    kind, said, hint = run(MISSING, absent, home=home).stdout.strip().split(" | ")
    assert (kind, said) == ("MissingExtra", message)
    assert "pip install 'kurt[dspy]'" in hint


def test_another_version_of_dspy_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / "dspy").mkdir()
    (tmp_path / "dspy" / "__init__.py").write_text('__version__ = "3.5.0b1"\n')
    (tmp_path / "dspy" / "lm15.py").touch()
    done = run(MISSING, "nothing", home=home, PYTHONPATH=str(tmp_path))
    assert "Kurt works with DSPy 3.4, and 3.5.0b1 is installed | pip install 'kurt[dspy]'" in done.stdout


def run(code: str, *argv: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        env=child_environment(home, environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
