"""What tokens cost: the project's own prices, what the provider says, and a built-in table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from kurt.errors import ConfigError
from kurt.llm.types import UNKNOWN_COST, Cost, Response, Usage

if TYPE_CHECKING:
    from kurt.config import Settings

SETTING = "LLM.PRICES"
"""The setting that holds the project's own prices."""

_MILLION = 1_000_000
_TABLE_NAMES = {"xai": "x-ai", "gemini": "google"}
"""Names of providers that the built-in table spells otherwise."""

_NUMBER = r"\d+(?:\.\d+)?"
_ENTRY = re.compile(rf"\s*(\S+)\s*=\s*({_NUMBER})\s*/\s*({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*")
_TRIAL = Usage(input_tokens=1_000, output_tokens=100, cached_tokens=300, cache_write_tokens=200)


class Price(NamedTuple):
    """US dollars per million tokens.

    Attributes:
        input: of the prompt.
        output: of the answer.
        cached: of the prompt, read from the provider's cache.
        cache_write: of the prompt, written to it.
    """

    input: float
    output: float
    cached: float
    cache_write: float

    def of(self, usage: Usage) -> float | None:
        """What a call cost, in US dollars; None if nobody knows what it consumed."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        plain = max(0, usage.input_tokens - cached - written)
        return (
            plain * self.input
            + cached * self.cached
            + written * self.cache_write
            + usage.output_tokens * self.output
        ) / _MILLION


@dataclass(frozen=True, slots=True)
class Override:
    """A price that the project has set.

    Attributes:
        pattern: `provider/model`, with `*` for any text.
        price: what it costs.
    """

    pattern: str
    price: Price


class PriceList:
    """Prices of models; asked once for each answer, so it remembers what it found."""

    def __init__(self, overrides: tuple[Override, ...] = ()) -> None:
        self._overrides = overrides
        self._own: dict[str, Price | None] = {}
        self._flat: dict[tuple[str, str], Price | None] = {}
        self._unknown: set[tuple[str, str]] = set()

    @classmethod
    def from_settings(cls, settings: Settings) -> PriceList:
        """The prices that hold for a project.

        Raises:
            ConfigError: `LLM.PRICES` cannot be read.
        """
        return cls(parse_overrides(str(settings.get(SETTING) or "")))

    def cost_of(self, model: str, response: Response) -> Cost:
        """What an answer cost.

        Args:
            model: `provider/model` as it was asked for.
            response: what came back.
        """
        own = self._override(model)
        if own is not None:
            amount = own.of(response.usage)
            return UNKNOWN_COST if amount is None else Cost(amount, "USD", "override")
        if response.raw_cost is not None:
            return Cost(response.raw_cost, "USD", "provider")
        asked = model.partition("/")[2] or model
        for name in dict.fromkeys((response.model, asked)):
            amount = self._by_table(response.provider, name, response.usage)
            if amount is not None:
                return Cost(amount, "USD", "local")
        return UNKNOWN_COST

    def _override(self, model: str) -> Price | None:
        if not self._overrides:
            return None
        if model not in self._own:
            fitting = (entry.price for entry in self._overrides if fnmatchcase(model, entry.pattern))
            self._own[model] = next(fitting, None)
        return self._own[model]

    def _by_table(self, provider: str, model: str, usage: Usage) -> float | None:
        """By the built-in table; None if it lacks the model or nobody knows what was consumed."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        key = provider, model
        if key in self._unknown:
            return None
        if key not in self._flat:
            self._flat[key] = _flat_price(provider, model)
        price = self._flat[key]
        amount = price.of(usage) if price is not None else table_amount(provider, model, usage)
        if amount is None:
            self._unknown.add(key)
        return amount


DEFAULT_PRICES = PriceList()
"""The built-in table without prices of a project."""


def cost_of(
    provider: str,
    model: str,
    usage: Usage,
    overrides: tuple[Override, ...] = (),
    raw_cost: float | None = None,
) -> Cost:
    """What a call cost.

    Args:
        provider: whose endpoint it was.
        model: the provider's name of the model.
        usage: what it consumed.
        overrides: the project's own prices.
        raw_cost: US dollars, where the provider said what it charges.
    """
    response = Response("", usage, model, provider, raw_cost=raw_cost)
    return PriceList(overrides).cost_of(f"{provider}/{model}", response)


def parse_overrides(text: str) -> tuple[Override, ...]:
    """Read `provider/model=INPUT/OUTPUT[/CACHED], ...`, US dollars per million tokens.

    Raises:
        ConfigError: the text has another form.
    """
    found: list[Override] = []
    for part in filter(str.strip, text.split(",")):
        match = _ENTRY.fullmatch(part)
        if match is None:
            raise ConfigError(
                f"{SETTING}: {part.strip()!r} is no price",
                hint="write provider/model=INPUT/OUTPUT, in US dollars per million tokens, with commas between",
            )
        paid, output = float(match[2]), float(match[3])
        cached = float(match[4]) if match[4] else paid
        found.append(Override(match[1], Price(paid, output, cached, paid)))
    return tuple(found)


def table_amount(provider: str, model: str, usage: Usage) -> float | None:
    """What a call cost by the built-in table, in US dollars; None if the table does not have the model."""
    import genai_prices  # noqa: PLC0415 - 0.2 s, and only paid calls need it

    name = _TABLE_NAMES.get(provider, provider)
    try:
        found = genai_prices.calc_price(_table_usage(genai_prices, usage), model_ref=model, provider_id=name)
    except (LookupError, ValueError):
        return None
    return float(found.total_price)


def _table_usage(library: Any, usage: Usage) -> Any:
    return library.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )


def _flat_price(provider: str, model: str) -> Price | None:
    """The table's price of a model, if it is the same for every number of tokens and every hour.

    The table's own calculation takes a tenth of a millisecond; most prices are four factors.
    """
    import genai_prices  # noqa: PLC0415 - 0.2 s, and only paid calls need it

    name = _TABLE_NAMES.get(provider, provider)
    trial = _table_usage(genai_prices, _TRIAL)
    try:
        found = genai_prices.calc_price(trial, model_ref=model, provider_id=name)
    except (LookupError, ValueError):
        return None
    price, rates = found.model_price, found.model.prices
    paid, output = _factor(price.input_mtok), _factor(price.output_mtok or 0)
    if isinstance(rates, list) or paid is None or output is None or price.requests_kcount:
        return None
    cached, written = (
        paid if rate is None else _factor(rate) for rate in (price.cache_read_mtok, price.cache_write_mtok)
    )
    if cached is None or written is None:
        return None
    flat = Price(paid, output, cached, written)
    amount = flat.of(_TRIAL)
    return flat if amount is not None and abs(amount - float(found.total_price)) < 1e-12 else None


def _factor(rate: Any) -> float | None:
    """A price that is one number; None for one in tiers."""
    try:
        return float(rate)
    except (TypeError, ValueError):
        return None
