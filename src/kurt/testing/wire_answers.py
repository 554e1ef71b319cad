"""The interfaces of the fake model server: reading what was asked, and writing answers and errors as providers do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kurt.llm.shapes import shaped
from kurt.testing.dspy_answers import dspy_answer
from kurt.testing.faults import Fault

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject

Answerer = Callable[[str, "JsonObject | None"], "Json"]
"""Makes an answer from the prompt and the schema: text, or JSON that is written as text; None leaves it to the server."""

DIMENSIONS = 8
"""Length of a vector for which nobody asked another."""

_CHARS_PER_TOKEN = 4
_PLAIN = "A plain answer."


@dataclass(frozen=True, slots=True)
class Interface:
    """One of the interfaces.

    Attributes:
        name: which one.
    """

    name: Literal["chat", "messages", "embeddings", "unknown"]

    @property
    def known(self) -> bool:
        """Whether there is such an interface."""
        return self.name != "unknown"

    def prompt(self, body: JsonObject) -> str:
        """The first message of the user; the first text for embeddings."""
        if self.name == "embeddings":
            texts = body.get("input", "")
            return str(texts[0] if isinstance(texts, list) and texts else texts)
        messages = body.get("messages") or [{}]
        return str(
            next((each for each in messages if each.get("role") == "user"), messages[0]).get("content")
        )

    def schema_fault(self, body: JsonObject) -> Fault | None:
        """The refusal of a schema that promises more than it says."""
        form = body.get("response_format") or {}
        wanted = form.get("json_schema") or {}
        schema = _schema(self, body)
        promised = wanted.get("strict") or "output_config" in body
        if schema is None or not promised or _is_closed(schema):
            return None
        return Fault(
            "bad_schema",
            400,
            error="Invalid schema: 'additionalProperties' must be false",
            code="invalid_json_schema",
        )

    def answer(
        self, body: JsonObject, said: str | None, reason: str, answerer: Answerer | None
    ) -> JsonObject:
        """A proper answer, with what the model says in place of its own words if that is given."""
        schema = _schema(self, body)
        prompt = self.prompt(body)
        if said is None:
            made = answerer(prompt, schema) if answerer else None
            if made is None:
                made = shaped(schema) if schema else _text_answer(body)
            said = made if isinstance(made, str) else json.dumps(made)
        writer = _messages_answer if self.name == "messages" else _chat_answer
        return writer(body, said, reason)

    def tokens(self, answer: JsonObject) -> tuple[int, int]:
        """Tokens of prompt and answer that an answer states."""
        usage = answer["usage"]
        if self.name == "messages":
            return usage["input_tokens"], usage["output_tokens"]
        return usage["prompt_tokens"], usage.get("completion_tokens", 0)

    def error(self, fault: Fault) -> JsonObject:
        """An error as the interface writes it."""
        if self.name == "messages":
            return {"type": "error", "error": {"type": fault.code or "api_error", "message": fault.error}}
        return {"error": {"message": fault.error, "type": fault.code, "param": None, "code": fault.code}}


def interface_of(path: str) -> Interface:
    """The interface at a path."""
    if path.endswith("/chat/completions"):
        return Interface("chat")
    if path.endswith("/messages"):
        return Interface("messages")
    return Interface("embeddings" if path.endswith("/embeddings") else "unknown")


def vectors(body: JsonObject) -> JsonObject:
    """Vectors for the texts of a call; equal texts have equal ones."""
    texts = body.get("input", [])
    texts = texts if isinstance(texts, list) else [texts]
    size = int(body.get("dimensions") or DIMENSIONS)
    rows = [
        {"object": "embedding", "index": place, "embedding": _vector(text, size)}
        for place, text in enumerate(texts)
    ]
    used = sum(map(_count, texts))
    return {
        "object": "list",
        "model": body.get("model"),
        "data": rows,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _vector(text: str, size: int) -> list[float]:
    digest = hashlib.shake_128(str(text).encode()).digest(size)
    return [(byte - 127.5) / 127.5 for byte in digest]


def _schema(interface: Interface, body: JsonObject) -> JsonObject | None:
    """The JSON Schema that an answer must fit, however it was given."""
    if interface.name == "chat":
        return ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if "output_config" in body:
        return body["output_config"]["format"]["schema"]
    return body["tools"][0]["input_schema"] if body.get("tools") else None


def _text_answer(body: JsonObject) -> str:
    return dspy_answer(body) or _PLAIN


def _is_closed(value: Json) -> bool:
    """Whether each object of a schema lists all its fields and has no others."""
    if isinstance(value, list):
        return all(map(_is_closed, value))
    if not isinstance(value, dict):
        return True
    if value.get("type") == "object":
        fields = value.get("properties", {})
        if value.get("additionalProperties") is not False or set(value.get("required", ())) != set(fields):
            return False
    return all(map(_is_closed, value.values()))


def _count(text: Json) -> int:
    return max(1, len(str(text)) // _CHARS_PER_TOKEN)


def _prompt_tokens(body: JsonObject) -> int:
    return sum(_count(message.get("content")) for message in body.get("messages", ()))


def _identity(prefix: str, body: JsonObject, said: str) -> str:
    return prefix + hashlib.sha256(f"{body.get('messages')}{said[:1000]}".encode()).hexdigest()[:16]


def _chat_answer(body: JsonObject, said: str, reason: str) -> JsonObject:
    used = _prompt_tokens(body)
    made = _count(said)
    return {
        "id": _identity("chatcmpl-", body, said),
        "object": "chat.completion",
        "model": body.get("model"),
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": reason},
        ],
        "usage": {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made},
    }


def _messages_answer(body: JsonObject, said: str, reason: str) -> JsonObject:
    ends = {"stop": "end_turn", "length": "max_tokens"}
    content: list[JsonObject] = [{"type": "text", "text": said}]
    stop = ends.get(reason, reason)
    if body.get("tool_choice"):
        value = _json_or_none(said)
        if value is not None:
            content = [
                {"type": "tool_use", "id": "toolu_1", "name": body["tool_choice"]["name"], "input": value}
            ]
            stop = "tool_use" if reason == "stop" else stop
    return {
        "id": _identity("msg_", body, said),
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": content,
        "stop_reason": stop,
        "usage": {"input_tokens": _prompt_tokens(body), "output_tokens": _count(said)},
    }


def _json_or_none(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return None
