"""What goes to a model and what comes back: values without behaviour, standard library only."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from kurt.llm.errors import ModelError
    from kurt.types import JsonObject

Role = Literal["system", "user", "assistant"]
"""Who says a message."""

CostSource = Literal["provider", "local", "override"]
"""Where a price comes from: the answer itself, the built-in table, or the project's settings."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed, as the provider counted it; None where it said nothing.

    Attributes:
        input_tokens: tokens of the prompt, cached ones included.
        output_tokens: tokens of the answer, those of reasoning included.
        cached_tokens: those of the prompt that were read from the provider's cache.
        reasoning_tokens: those of the answer that were spent on reasoning.
        cache_write_tokens: those of the prompt that were written to the provider's cache.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None

    @property
    def total(self) -> int:
        """Tokens of prompt and answer; unknown ones count as none."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: who says it.
        content: its text.
    """

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    Attributes:
        model: `provider/model`.
        messages: the conversation so far; the last one is answered.
        schema: JSON Schema that the answer must fit, or None for free text.
        schema_name: its name, as some providers show it to the model.
        temperature: randomness of the answer; None leaves it to the provider.
        max_tokens: limit of the answer; None leaves it to the provider.
        params: more fields of the provider's own request (`seed`, `top_p`, `reasoning_effort`).
        timeout: seconds for the whole call.
    """

    model: str
    messages: tuple[Message, ...]
    schema: JsonObject | None = None
    schema_name: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    params: JsonObject = field(default_factory=dict[str, "object"])
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered.

    Attributes:
        text: the answer; JSON text where a schema was given.
        usage: what it consumed.
        model: the model that answered, as the provider names it.
        provider: whose endpoint it was.
        response_id: the provider's id of the answer.
        finish_reason: why it ended: `stop`, `length`, `content_filter`, `refusal`...
        raw_cost: US dollars, where the provider said what it charges.
    """

    text: str
    usage: Usage
    model: str
    provider: str
    response_id: str | None = None
    finish_reason: str | None = None
    raw_cost: float | None = None


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to turn into vectors.

    Attributes:
        model: `provider/model`.
        texts: what to embed, in one call.
        dimensions: length of the vectors, where the model lets one choose.
        timeout: seconds for the whole call.
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class EmbedResponse:
    """Vectors in the order of the texts.

    Attributes:
        vectors: one for each text, all of the same length.
        usage: what it consumed.
        model: the model that answered.
        provider: whose endpoint it was.
        raw_cost: US dollars, where the provider said what it charges.
    """

    vectors: list[list[float]]
    usage: Usage
    model: str
    provider: str
    raw_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost.

    Attributes:
        amount: in the currency; None where the price is not known, never 0 for that.
        currency: ISO 4217.
        source: where the price comes from; None where it is not known.
    """

    amount: float | None = None
    currency: str = "USD"
    source: CostSource | None = None


UNKNOWN_COST = Cost()
"""The cost of what has no known price, and of calls of which nobody knows what they consumed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a model, whatever came of it: one row of `llm_traces`.

    Attributes:
        number: counts up over the whole row, re-asks included.
        kind: `call`, or `reask` where the model was shown the fault of its last answer.
        started_at: seconds since the epoch.
        latency_ms: milliseconds until the answer or the error.
        request: what was sent.
        response: what came back, also where it did not fit the schema; None where nothing came.
        error: what went wrong, or None.
        cost: what it cost.
        cache_hit: answered from the cache; nothing was sent, nothing was paid.
    """

    number: int
    kind: Literal["call", "reask"]
    started_at: float
    latency_ms: float
    request: Request
    response: Response | None
    error: ModelError | None
    cost: Cost
    cache_hit: bool = False


class Completer(Protocol):
    """Whatever can answer a request: Kurt's own client, an adapter, a fake."""

    def complete(self, request: Request) -> Awaitable[Response]:
        """Answer a request.

        Raises:
            ModelError: it cannot be answered; `retryable` says whether it may be later.
        """
        ...
