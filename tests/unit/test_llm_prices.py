"""What tokens cost."""

from __future__ import annotations

import pytest

from kurt.errors import ConfigError
from kurt.llm.prices import Override, Price, PriceList, cost_of, parse_overrides, table_amount
from kurt.llm.types import Response, Usage

USAGE = Usage(1000, 100)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4.1-mini"),
        ("openai", "gpt-4.1-mini-2025-04-14"),
        ("anthropic", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro"),
        ("groq", "llama-3.3-70b-versatile"),
        ("deepseek", "deepseek-chat"),
        ("xai", "grok-4"),
        ("openai", "text-embedding-3-small"),
    ],
)
@pytest.mark.parametrize(
    "usage", [USAGE, Usage(300_000, 20), Usage(5000, 7, 4000), Usage(5000, 7, 100, None, 400)]
)
def test_the_quick_calculation_is_the_table_s(provider: str, model: str, usage: Usage) -> None:
    cost = cost_of(provider, model, usage)
    assert cost.source == "local"
    assert cost.amount == pytest.approx(table_amount(provider, model, usage), rel=1e-9)
    assert cost.amount


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("openai", "no-such-model", USAGE),
        ("compatible", "gpt-4.1-mini", USAGE),
        ("ollama", "llama3", USAGE),
        ("openai", "gpt-4.1-mini", Usage()),
        ("openai", "gpt-4.1-mini", Usage(1000, None)),
    ],
)
def test_what_is_not_known_is_never_free(provider: str, model: str, usage: Usage) -> None:
    prices = PriceList()
    for _ in range(2):
        cost = prices.cost_of(f"{provider}/{model}", Response("", usage, model, provider))
        assert (cost.amount, cost.source) == (None, None)


def test_the_name_that_was_asked_for_is_tried_where_the_answer_s_is_unknown() -> None:
    response = Response("", USAGE, "deployment-7", "openai")
    assert PriceList().cost_of("openai/gpt-4.1-mini", response).amount == pytest.approx(0.00056)


def test_own_prices_come_first() -> None:
    own = (Override("openai/gpt-4.1*", Price(1, 2, 0.5, 1)), Override("*", Price(0, 0, 0, 0)))
    cost = cost_of("openai", "gpt-4.1-mini", Usage(1_000_000, 500_000, 400_000), own, raw_cost=9.0)
    assert (cost.amount, cost.source) == (pytest.approx(0.6 + 0.2 + 1.0), "override")
    assert cost_of("ollama", "llama3", USAGE, own).amount == 0
    assert cost_of("ollama", "llama3", Usage(), own).amount is None


def test_own_prices_as_text() -> None:
    assert parse_overrides("openai/a=1/2, ollama/llama3:8b = 0/0 ,x/*=0.15/0.6/0.05") == (
        Override("openai/a", Price(1, 2, 1, 1)),
        Override("ollama/llama3:8b", Price(0, 0, 0, 0)),
        Override("x/*", Price(0.15, 0.6, 0.05, 0.15)),
    )
    assert parse_overrides(" ") == ()


@pytest.mark.parametrize("text", ["openai/a", "openai/a=1", "openai/a=1/x", "=1/2", "openai/a=-1/2"])
def test_a_price_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"LLM\.PRICES"):
        parse_overrides(text)
