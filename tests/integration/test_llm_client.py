"""The client at work: both interfaces, forms of answers, vectors, connections, loops and threads."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kurt.config import load_settings
from kurt.errors import ConfigError, CredentialsError
from kurt.llm import transport
from kurt.llm.client import ModelClient, client_for_loop
from kurt.llm.embeddings import embedder_for
from kurt.llm.errors import RefusedError, ServerError
from kurt.llm.prices import PriceList
from kurt.llm.types import EmbedRequest, Message, Request
from kurt.testing.faults import not_an_answer, refused, server_error
from kurt.testing.model_server import ModelServer
from tests.support.asking import ANTHROPIC, KEY, OPENAI, Asker, Loose, Verdict, request, settings_for
from tests.support.environment import child_environment

MODELS = pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as made:
        yield made


@pytest.fixture
def asker(server: ModelServer) -> Asker:
    return Asker(server)


@MODELS
async def test_an_answer_with_what_it_consumed(server: ModelServer, asker: Asker, model: str) -> None:
    answer = await asker("Is the room quiet at night?", model=model)
    response = answer.attempts[0].response
    assert response is not None
    assert response.model == model.partition("/")[2]
    assert response.provider == model.partition("/")[0]
    assert response.finish_reason == "stop"
    assert response.response_id
    counts = server.counts()
    assert (response.usage.input_tokens, response.usage.output_tokens) == (
        counts["tokens_in"],
        counts["tokens_out"],
    )
    assert answer.attempts[0].cost.source == "local"


@MODELS
async def test_free_text(asker: Asker, model: str) -> None:
    answer = await asker(schema=None, model=model)
    assert answer.value == "A plain answer."


@MODELS
async def test_a_schema_with_free_objects(server: ModelServer, asker: Asker, model: str) -> None:
    answer = await asker(schema=Loose, model=model)
    assert answer.value == Loose(entities=[])
    body = server.bodies[0]
    if model == ANTHROPIC:
        assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    else:
        assert body["response_format"]["json_schema"]["strict"] is False


async def test_a_json_schema_without_a_model(asker: Asker) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert (await asker(schema=None, fields={"schema": schema})).value == {"n": 42}


async def test_a_json_schema_without_a_model_is_checked(server: ModelServer, asker: Asker) -> None:
    from kurt.testing.faults import not_json, wrong_schema

    server.script("", wrong_schema('{"n": "many"}'), not_json())
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert (await asker(schema=None, fields={"schema": schema})).value == {"n": 42}
    assert asker.tale == ["BreaksSchema", "NotJson", "answer"]


async def test_an_answer_inside_a_fence(server: ModelServer, asker: Asker) -> None:
    from kurt.testing.faults import not_json

    server.script("", not_json('```json\n{"sentiment": "good", "confidence": 1}\n```'))
    assert (await asker()).value == Verdict(sentiment="good", confidence=1)
    assert asker.tale == ["answer"]


@MODELS
async def test_what_the_request_says_is_sent(server: ModelServer, asker: Asker, model: str) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Ünïcode \ud800 \0 {braces}"))
    fields = {"temperature": 0.2, "max_tokens": 99, "params": {"top_p": 0.5}}
    await asker.client.complete(Request(model, messages, **fields))
    body = server.bodies[0]
    assert (body["temperature"], body["top_p"]) == (0.2, 0.5)
    assert body["messages"][-1]["content"] == "Ünïcode \ud800 \0 {braces}"
    if model == ANTHROPIC:
        assert (body["system"], body["max_tokens"]) == ("Be brief.", 99)
        assert [message["role"] for message in body["messages"]] == ["user"]
    else:
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert body["max_completion_tokens"] == 99


@pytest.mark.parametrize(
    ("model", "words", "sent"),
    [
        (OPENAI, "response_format json_schema is not supported", ["schema", "object"]),
        (ANTHROPIC, "output_config: extra inputs are not permitted", ["schema", "tool"]),
    ],
)
async def test_an_endpoint_without_schemas_is_told_in_another_way(
    server: ModelServer, asker: Asker, model: str, words: str, sent: list[str]
) -> None:
    server.script("first", refused(400, words))
    if model == OPENAI:
        from kurt.testing.faults import not_json

        server.script("first", not_json('{"sentiment": "fine", "confidence": 0.5}'))
    answer = await asker("first", model=model)
    assert asker.tale == ["FormRefused", "answer"]
    assert answer.value.confidence
    assert [_form(body) for body in server.bodies] == sent
    if model == ANTHROPIC:
        await asker("second", model=model)
        assert _form(server.bodies[2]) == "tool"  # what worked is remembered


def _form(body: dict[str, Any]) -> str:
    if "tools" in body:
        return "tool"
    if "output_config" in body:
        return "schema"
    return "schema" if body["response_format"]["type"] == "json_schema" else "object"


async def test_forms_run_out(server: ModelServer, asker: Asker) -> None:
    server.script("", always=refused(400, "response_format is not supported"))
    with pytest.raises(RefusedError):
        await asker()
    assert asker.tale == ["FormRefused", "Refused"]


async def test_many_calls_at_once_are_each_answered(server: ModelServer, asker: Asker) -> None:
    server.latency = 0.05
    answers = await asyncio.gather(*(asker(f"row {number}") for number in range(200)))
    assert len({attempt.request.messages for answer in answers for attempt in answer.attempts}) == 200
    assert server.delivered == 200


def test_connections_end_with_their_loop(server: ModelServer) -> None:
    async def work() -> object:
        answer = await Asker(server)()
        assert len(transport._sessions) == len(before) + 1
        return answer.value

    gc.collect()  # loops of tests before this one
    before = set(transport._sessions)
    for _ in range(2):
        asyncio.run(work())
    assert set(transport._sessions) == before
    gc.collect()  # a session that was left open would warn, and so fail this test


async def test_a_closed_client_opens_again(server: ModelServer) -> None:
    client = client_for_loop(settings_for(server))
    await client.complete(request())
    await client.aclose()
    await client.aclose()
    assert asyncio.get_running_loop() not in transport._sessions
    await client.complete(request())
    await client.aclose()


def test_loops_of_several_threads(server: ModelServer) -> None:
    client = ModelClient(settings_for(server))
    texts: list[str] = []

    def work() -> None:
        texts.append(asyncio.run(client.complete(request())).text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["A plain answer."] * 4


def test_a_process_that_ends_with_its_loop_running_says_nothing(server: ModelServer, home: Path) -> None:
    code = f"""
import asyncio, threading
from kurt.config import load_settings
from kurt.llm.client import ModelClient
from kurt.llm.types import Message, Request
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
settings = load_settings(environ={{"KURT_LLM__BASE_URL": {server.url!r}, "LLM_API_KEY": {KEY!r}}})
call = ModelClient(settings).complete(Request({OPENAI!r}, (Message("user", "hello"),)))
print(asyncio.run_coroutine_threadsafe(call, loop).result().text)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        env=child_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "A plain answer.\n", "")


def test_importing_the_calls_loads_no_client_and_no_prices(home: Path) -> None:
    code = (
        "import sys, kurt.llm.calls, kurt.llm.budget, kurt.llm.limits, kurt.llm.retry, kurt.llm.embeddings;"
        "print(sorted({'aiohttp', 'genai_prices', 'dbos', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_vectors(server: ModelServer) -> None:
    settings = settings_for(server, KURT_EMBEDDING__BASE_URL=server.url)
    client = ModelClient(settings)
    texts = tuple(f"text {number}" for number in range(30))
    found = await client.embed(EmbedRequest("openai/text-embedding-3-small", texts, dimensions=16))
    assert [len(vector) for vector in found.vectors] == [16] * 30
    one = await client.embed(EmbedRequest("openai/text-embedding-3-small", ("text 7",), dimensions=16))
    assert one.vectors[0] == found.vectors[7]
    assert found.usage.input_tokens == sum(max(1, len(text) // 4) for text in texts)
    cost = PriceList().cost_of("openai/text-embedding-3-small", found)
    assert (cost.source, cost.amount) == ("local", pytest.approx(found.usage.total * 0.02 / 1e6))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": "AAAA"}]}',
        b'{"vectors": []}',
    ],
)
async def test_vectors_that_do_not_fit_the_texts_are_refused(server: ModelServer, raw: bytes) -> None:
    server.script("", always=not_an_answer(raw))
    client = ModelClient(settings_for(server, KURT_EMBEDDING__BASE_URL=server.url))
    with pytest.raises(ServerError):
        await client.embed(EmbedRequest("openai/small", ("a", "b")))


async def test_a_provider_without_vectors_says_so(server: ModelServer) -> None:
    client = ModelClient(settings_for(server, KURT_EMBEDDING__BASE_URL=server.url))
    with pytest.raises(ConfigError, match="no models that make vectors"):
        await client.embed(EmbedRequest(ANTHROPIC, ("a",)))


async def test_vectors_without_any_setting_are_lexical() -> None:
    embedder, model = embedder_for(load_settings(environ={}))
    found = await embedder.embed(EmbedRequest(model, ("a cat", "a cat sat", "revenue")))
    assert (found.provider, model) == ("lexical", "lexical/hashing-v1")
    assert [len(vector) for vector in found.vectors] == [512] * 3


async def test_vectors_at_an_address_that_the_code_names(server: ModelServer) -> None:
    embedder, model = embedder_for(load_settings(environ={}), "compatible/mini", base_url=server.url, key=KEY)
    found = await embedder.embed(EmbedRequest(model, ("a",)))
    assert (found.provider, len(found.vectors[0])) == ("compatible", 8)


async def test_a_missing_key_is_told_before_anything_is_sent(server: ModelServer) -> None:
    client = ModelClient(load_settings(environ={}))
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY is not set") as failure:
        await client.complete(request())
    assert failure.value.exit_code == 4
    assert server.arrivals == []


async def test_the_server_keeps_books(server: ModelServer, asker: Asker) -> None:
    server.script("bad", server_error())
    await asker("bad")
    await asker("good")
    assert [(arrival.prompt, arrival.fault, arrival.status) for arrival in server.arrivals] == [
        ("bad", "server_error", 500),
        ("bad", "", 200),
        ("good", "", 200),
    ]
    assert server.delivered == 2
    assert server.busiest(60) == 3
    server.reset()
    assert server.counts() == {"arrived": 0, "delivered": 0, "tokens_in": 0, "tokens_out": 0}


def test_the_server_as_a_program(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kurt.testing.model_server", "--key", KEY],
        env=child_environment(home),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        tale, counts, log = asyncio.run(_through_the_program(json.loads(process.stdout.readline())["url"]))
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert tale == ["RateLimited", "ConnectionCut", "answer"]
    assert (counts["arrived"], counts["delivered"]) == (3, 1)
    assert [arrival["fault"] for arrival in log] == ["rate_limited", "cut", ""]


async def _through_the_program(url: str) -> tuple[list[str], dict[str, int], list[dict[str, object]]]:
    root = url.removesuffix("/v1")
    settings = load_settings(environ={"KURT_LLM__BASE_URL": url, "LLM_API_KEY": KEY})
    script = [{"text": "slow", "faults": [{"fault": "rate_limited", "retry_after": 0.01}, "cut"]}]
    async with aiohttp.ClientSession() as session:
        await (await session.post(f"{root}/kurt/script", json=script)).read()
        asker = Asker(None, ModelClient(settings))
        await asker("slow")
        counts = await (await session.get(f"{root}/kurt/counts")).json()
        log = await (await session.get(f"{root}/kurt/log")).json()
    return asker.tale, counts, log
