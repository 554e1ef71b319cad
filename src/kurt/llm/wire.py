"""The two wire formats: how a request is written, and how an answer is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic_core import to_json

from kurt.llm.errors import AnswerError, ServerError
from kurt.llm.strict import strict_schema
from kurt.llm.types import Response, Usage

if TYPE_CHECKING:
    from kurt.llm.providers import Endpoint
    from kurt.llm.types import EmbedRequest, Request
    from kurt.types import Json, JsonObject

Form = Literal["schema", "tool", "object"]
"""How an endpoint is told the form of its answer: by a JSON Schema, by a tool that it must use, or only in words."""

ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_MAX_TOKENS = 8_192
"""Limit of an answer where the request has none; this interface wants one."""

_TOOL = "answer"
_WORDS = "Answer with JSON only, that fits this JSON Schema:\n"
_SCHEMA_NAME = "answer"


class Sent(NamedTuple):
    """A request as it goes over the wire.

    Attributes:
        path: what follows the endpoint's address.
        body: JSON.
    """

    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Wire:
    """How an endpoint is spoken to.

    Attributes:
        endpoint: who it is.
        form: how it is told the form of its answer.
    """

    endpoint: Endpoint
    form: Form

    def headers(self) -> dict[str, str]:
        """Headers of all requests to it; they hold the key."""
        endpoint = self.endpoint
        headers = {"Content-Type": "application/json"}
        if endpoint.style == "anthropic":
            headers["anthropic-version"] = ANTHROPIC_VERSION
            if endpoint.key:
                headers["x-api-key"] = endpoint.key
        elif endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        return headers

    def write(self, request: Request) -> Sent:
        """A request for an answer."""
        if self.endpoint.style == "anthropic":
            path = "/messages" if self.endpoint.base_url.endswith("/v1") else "/v1/messages"
            return Sent(path, _dumped(_anthropic_body(self, request)))
        return Sent("/chat/completions", _dumped(_openai_body(self, request)))

    def read(self, body: JsonObject, request: Request) -> Response:
        """An answer.

        Raises:
            AnswerError: the model refused, or was cut short.
            ServerError: it does not have the form of an answer.
        """
        reader = _read_anthropic if self.endpoint.style == "anthropic" else _read_openai
        try:
            response = reader(body, self.endpoint)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            raise _no_answer(self.endpoint, error) from error
        _check_end(response, request)
        return response


def write_embedding(endpoint: Endpoint, request: EmbedRequest) -> Sent:
    """A request for vectors."""
    body: JsonObject = {"model": endpoint.model, "input": list(request.texts), "encoding_format": "float"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Sent("/embeddings", _dumped(body))


def read_embedding(
    body: JsonObject, endpoint: Endpoint, count: int
) -> tuple[list[list[float]], Usage, JsonObject]:
    """The vectors of an answer, in the order of the texts.

    Raises:
        ServerError: there are not as many as texts, or of different lengths.
    """
    try:
        rows = sorted(body["data"], key=lambda row: row.get("index", 0))
        vectors = [[float(number) for number in row["embedding"]] for row in rows]
        usage = body.get("usage") or {}
        used = Usage(_count(usage.get("prompt_tokens", usage.get("total_tokens"))), 0)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _no_answer(endpoint, error) from error
    if len(vectors) != count or len({len(vector) for vector in vectors}) > 1:
        raise ServerError(
            f"{endpoint.provider} gave {len(vectors)} vectors of {len({len(v) for v in vectors})} lengths for {count} texts",
            type="BadVectors",
        )
    return vectors, used, usage


def _dumped(body: JsonObject) -> bytes:
    try:
        return to_json(body)
    except (
        ValueError
    ):  # half of a pair of surrogates, which a text from somewhere may hold; JSON can write it escaped
        return json.dumps(body).encode()


def _openai_body(wire: Wire, request: Request) -> JsonObject:
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    body: JsonObject = {"model": wire.endpoint.model, "messages": messages}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        new_name = (
            wire.endpoint.provider == "openai"
        )  # its newer models refuse the old name, other servers the new one
        body["max_completion_tokens" if new_name else "max_tokens"] = request.max_tokens
    if request.schema is not None:
        body["response_format"] = _response_format(wire.form, request)
        if wire.form == "object":
            messages.insert(0, {"role": "system", "content": _WORDS + json.dumps(request.schema)})
    return {**body, **request.params} if request.params else body


def _response_format(form: Form, request: Request) -> JsonObject:
    assert request.schema is not None  # noqa: S101 - the caller looked
    if form == "object":
        return {"type": "json_object"}
    strict = strict_schema(request.schema)
    return {
        "type": "json_schema",
        "json_schema": {
            "name": _name(request.schema_name),
            "schema": request.schema if strict is None else strict,
            "strict": strict is not None,
        },
    }


def _name(name: str | None) -> str:
    """A schema's name with the characters that providers allow."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name or "")
    return kept[:64] or _SCHEMA_NAME


def _anthropic_body(wire: Wire, request: Request) -> JsonObject:
    system = [message.content for message in request.messages if message.role == "system"]
    body: JsonObject = {
        "model": wire.endpoint.model,
        "max_tokens": request.max_tokens or ANTHROPIC_MAX_TOKENS,
        "messages": [
            {"role": message.role, "content": message.content}
            for message in request.messages
            if message.role != "system"
        ],
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.schema is not None:
        _shape_anthropic(wire.form, request, body, system)
    if system:
        body["system"] = "\n\n".join(system)
    return {**body, **request.params} if request.params else body


def _shape_anthropic(form: Form, request: Request, body: JsonObject, system: list[str]) -> None:
    """Say what form the answer must have; a schema that this interface cannot promise becomes a tool."""
    assert request.schema is not None  # noqa: S101 - the caller looked
    strict = strict_schema(request.schema, bare=True) if form == "schema" else None
    if strict is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": strict}}
    elif form == "object" or "thinking" in request.params:  # a model that thinks cannot be made to use a tool
        system.append(_WORDS + json.dumps(request.schema))
    else:
        body["tools"] = [
            {"name": _TOOL, "description": "Give the answer.", "input_schema": request.schema},
        ]
        body["tool_choice"] = {"type": "tool", "name": _TOOL}


def _read_openai(body: JsonObject, endpoint: Endpoint) -> Response:
    choice = body["choices"][0]
    message = choice["message"]
    usage = body.get("usage") or {}
    refusal = message.get("refusal")
    return Response(
        text=_openai_text(refusal or message.get("content")),
        usage=_openai_usage(usage),
        model=str(body.get("model") or endpoint.model),
        provider=endpoint.provider,
        response_id=body.get("id"),
        finish_reason="refusal" if refusal else choice.get("finish_reason"),
        raw_cost=_dollars(usage.get("cost")) if endpoint.provider == "openrouter" else None,
    )


def _openai_text(content: Json) -> str:
    """The text of a message; some servers give it in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return "" if content is None else str(content)


def _openai_usage(usage: JsonObject) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    answer = usage.get("completion_tokens_details") or {}
    return Usage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(prompt.get("cached_tokens")),
        _count(answer.get("reasoning_tokens")),
    )


def _read_anthropic(body: JsonObject, endpoint: Endpoint) -> Response:
    parts = body["content"]
    tool = next((part["input"] for part in parts if part.get("type") == "tool_use"), None)
    text = "".join(str(part["text"]) for part in parts if part.get("type") == "text")
    usage = body.get("usage") or {}
    return Response(
        text=text if tool is None else json.dumps(tool, ensure_ascii=False),
        usage=_anthropic_usage(usage),
        model=str(body.get("model") or endpoint.model),
        provider=endpoint.provider,
        response_id=body.get("id"),
        finish_reason=_ANTHROPIC_ENDS.get(str(body.get("stop_reason")), body.get("stop_reason")),
    )


_ANTHROPIC_ENDS = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop", "max_tokens": "length"}


def _anthropic_usage(usage: JsonObject) -> Usage:
    """Its number of input tokens leaves out those of the cache; ours holds them."""
    read, written = (
        _count(usage.get("cache_read_input_tokens")),
        _count(usage.get("cache_creation_input_tokens")),
    )
    plain = _count(usage.get("input_tokens"))
    return Usage(
        None if plain is None else plain + (read or 0) + (written or 0),
        _count(usage.get("output_tokens")),
        read,
        None,
        written,
    )


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    return value if isinstance(value, int) and value >= 0 else None


def _dollars(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value >= 0 else None


def _check_end(response: Response, request: Request) -> None:
    """Refuse answers that cannot be whole.

    Raises:
        AnswerError: with the response, which was paid.
    """
    if response.finish_reason == "refusal":
        raise AnswerError(
            f"the model refused to answer: {response.text[:200]}", type="ModelRefused", response=response
        )
    if response.finish_reason == "content_filter":
        raise AnswerError("the provider filtered the answer out", type="ContentFiltered", response=response)
    if response.finish_reason == "length" and request.schema is not None:
        raise AnswerError(
            "the answer was cut short, because it reached the limit of tokens",
            type="AnswerCut",
            response=response,
            hint="raise max_tokens, or ask for less",
        )


def _no_answer(endpoint: Endpoint, error: Exception) -> ServerError:
    return ServerError(
        f"what {endpoint.provider} ({endpoint.shown}) sent is no answer of a model: {type(error).__name__}",
        type="NoAnswer",
        hint="check that LLM.BASE_URL names the address of the model's interface, as in http://host:port/v1",
    )
