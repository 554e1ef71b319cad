"""Other libraries in the place of Kurt's client. Run where they are installed: `pip install 'kurt[litellm,pydantic-ai]'`."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.errors import ConfigError
from kurt.llm.errors import AnswerError, ModelTimeoutError, QuotaSpentError, RefusedError
from kurt.testing.faults import hang, not_json, quota_spent, rate_limited, server_error, wrong_schema
from kurt.testing.model_server import ModelServer
from tests.support.asking import KEY, OPENAI, Asker, Verdict
from tests.support.environment import child_environment

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries' own making
]


Close = Callable[[], Awaitable[object]]
Made = tuple[Any, Close]


def litellm(server: ModelServer, key: str) -> Made:
    library: Any = pytest.importorskip(
        "litellm", reason="litellm is not installed: pip install 'kurt[litellm]'"
    )
    from kurt.llm.adapters.litellm import LiteLLMCompleter

    return LiteLLMCompleter(api_base=server.url, api_key=key), library.close_litellm_async_clients


def pydantic_ai(server: ModelServer, key: str) -> Made:
    reason = "pydantic-ai is not installed: pip install 'kurt[pydantic-ai]'"
    models: Any = pytest.importorskip("pydantic_ai.models.openai", reason=reason)
    providers: Any = pytest.importorskip("pydantic_ai.providers.openai", reason=reason)
    openai: Any = pytest.importorskip("openai", reason=reason)
    from kurt.llm.adapters.pydantic_ai import PydanticAICompleter

    client = openai.AsyncOpenAI(base_url=server.url, api_key=key, max_retries=0)
    provider = providers.OpenAIProvider(openai_client=client)
    return PydanticAICompleter(models.OpenAIChatModel("gpt-4.1-mini", provider=provider)), client.close


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as made:
        yield made


@pytest.fixture(params=[litellm, pydantic_ai], ids=["litellm", "pydantic-ai"])
async def make(request: pytest.FixtureRequest, server: ModelServer) -> AsyncIterator[Callable[[str], Asker]]:
    """Makes an asker whose calls go through the library, with a key."""
    closers: list[Close] = []

    def made(key: str) -> Asker:
        completer, close = request.param(server, key)
        closers.append(close)
        return Asker(server, completer)

    yield made
    for close in closers:
        await close()
    gc.collect()  # what the libraries leave open warns here, where it is nobody's failure


async def test_an_answer(server: ModelServer, make: Callable[[str], Asker]) -> None:
    asker = make(KEY)
    answer = await asker(fields={"temperature": 0.1})
    assert answer.value == Verdict(sentiment="mock_sentiment", confidence=0.85)
    assert server.bodies[0]["temperature"] == 0.1
    assert server.bodies[0]["response_format"]["type"] == "json_schema"
    counts, usage = server.counts(), answer.attempts[0].response.usage
    assert (usage.input_tokens, usage.output_tokens) == (counts["tokens_in"], counts["tokens_out"])
    assert answer.attempts[0].cost.amount
    assert "gpt-4.1-mini" in asker.client.identity(OPENAI)


async def test_failures_are_repeated_by_us_alone(server: ModelServer, make: Callable[[str], Asker]) -> None:
    asker = make(KEY)
    server.script("", server_error(), rate_limited(0.05), not_json(), wrong_schema())
    await asker()
    assert asker.tale == ["ServerError", "RateLimited", "NotJson", "BreaksSchema", "answer"]
    assert len(server.arrivals) == 5
    assert asker.attempts[1].error.retry_after == 0.05


async def test_what_cannot_heal(server: ModelServer, make: Callable[[str], Asker]) -> None:
    server.script("spent", always=quota_spent())
    server.script("prose", always=not_json())
    asker = make(KEY)
    with pytest.raises(QuotaSpentError):
        await asker("spent")
    with pytest.raises(AnswerError):
        await asker("prose")
    with pytest.raises(RefusedError) as failure:
        await make("sk-wrong-key-of-somebody")("hello")
    assert failure.value.type == "Unauthorized"


async def test_a_call_without_an_answer_in_time(server: ModelServer, make: Callable[[str], Asker]) -> None:
    from kurt.llm.retry import NO_RETRY

    server.script("", hang(30))
    with pytest.raises(ModelTimeoutError):
        await make(KEY)(retry=NO_RETRY, fields={"timeout": 0.5})


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("litellm", "LiteLLMCompleter", "litellm"), ("pydantic_ai", "PydanticAICompleter", "pydantic-ai")],
)
def test_a_library_that_is_missing_is_named(home: Path, module: str, name: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from kurt.llm.adapters.{module} import {name}\n"
        f"try: {name}()\nexcept Exception as e: print(type(e).__name__, e.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{ConfigError.__name__} pip install 'kurt[{extra}]'"
