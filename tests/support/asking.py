"""Asking the fake model server in tests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kurt.config import Settings, load_settings
from kurt.llm.calls import Answer, ask
from kurt.llm.client import ModelClient
from kurt.llm.retry import RetryPolicy
from kurt.llm.types import Attempt, Message, Request
from kurt.testing.model_server import ModelServer

KEY = "sk-test-0123456789abcdef"
"""The key that the fake server is given."""

OPENAI = "openai/gpt-4.1-mini"
ANTHROPIC = "anthropic/claude-sonnet-4-5"

QUICK = RetryPolicy(first_delay=0.01, max_delay=0.02)
"""Repetitions that do not keep a test waiting."""


class Verdict(BaseModel):
    """What models are asked for in tests."""

    sentiment: str
    confidence: float
    topics: list[str] = []


class Loose(BaseModel):
    """A schema that no provider promises: objects with any fields."""

    entities: list[dict[str, Any]] = []


def settings_for(server: ModelServer, **environ: str) -> Settings:
    """Settings that send every model to the fake server."""
    return load_settings(environ={"KURT_LLM__BASE_URL": server.url, "LLM_API_KEY": KEY, **environ})


def request(prompt: str = "How is it?", model: str = OPENAI, **more: Any) -> Request:
    """A request with one message."""
    return Request(model, (Message("user", prompt),), **more)


class Asker:
    """Asks the fake server and keeps what it was told of attempts.

    Attributes:
        started: numbers of the attempts that were announced.
        attempts: those that came back.
    """

    def __init__(self, server: ModelServer, client: ModelClient | None = None) -> None:
        self.client = client or ModelClient(settings_for(server))
        self.started: list[int] = []
        self.attempts: list[Attempt] = []

    async def __call__(
        self,
        prompt: str = "How is it?",
        schema: type[BaseModel] | None = Verdict,
        *,
        model: str = OPENAI,
        retry: RetryPolicy = QUICK,
        fields: dict[str, Any] | None = None,
        **more: Any,
    ) -> Answer:
        """`ask` with this client, quick repetitions, and the attempts kept."""
        return await ask(
            request(prompt, model, **fields or {}),
            schema,
            completer=self.client,
            retry=retry,
            on_attempt_start=self._start,
            on_attempt=self._end,
            **more,
        )

    async def _start(self, number: int) -> None:
        self.started.append(number)

    async def _end(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    @property
    def tale(self) -> list[str]:
        """What became of each attempt: the type of its error, or `answer`."""
        return [attempt.error.type if attempt.error else "answer" for attempt in self.attempts]


def price_of(attempt: Attempt) -> float:
    """What an attempt cost; it must be known."""
    assert attempt.cost.amount is not None
    return attempt.cost.amount


def tokens_of(attempt: Attempt) -> tuple[int, int]:
    """Tokens of its prompt and its answer; they must be known."""
    assert attempt.response is not None
    usage = attempt.response.usage
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    return usage.input_tokens, usage.output_tokens
