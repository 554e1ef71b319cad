"""Models that only pretend: answers by schema, by rules, and by patterns."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema_rs import validator_for

from kurt.llm.errors import ModelError
from kurt.llm.mock import MockCompleter
from kurt.llm.patterns import fitting
from kurt.llm.shapes import shaped
from kurt.llm.types import EmbedRequest, Message, Request
from kurt.runtime.mocked import asked_by_environment, marks

SCHEMAS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 50},
    {"type": "integer", "exclusiveMinimum": 42},
    {"type": "integer", "maximum": 3},
    {"type": "integer", "exclusiveMaximum": 42},
    {"type": "integer", "minimum": 7, "maximum": 11, "multipleOf": 5},
    {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.5},
    {"type": "number", "multipleOf": 0.25},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "string", "minLength": 40},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    {"enum": ["b", "a"]},
    {"const": {"a": 1}},
    {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}
    | {"$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}},
    {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["x", "y", "z"]}, "maxItems": 1},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    {"type": "object", "properties": {"a": {"default": 5}}, "required": ["a"]},
    {
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                },
                "required": ["name", "children"],
            }
        },
    },
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@pytest.mark.parametrize("items", [0, 2])
def test_what_is_made_up_fits(schema: dict[str, Any], items: int) -> None:
    made = shaped(schema, items=items)
    assert [fault.message for fault in validator_for(schema).iter_errors(made)] == []
    assert made == shaped(schema, items=items)


def test_items_of_a_made_up_list_differ() -> None:
    schema = {
        "type": "array",
        "items": {"properties": {"name": {"type": "string"}, "kind": {"enum": ["a", "b"]}}},
    }
    assert shaped(schema, items=2) == [
        {"name": "mock_name_1", "kind": "a"},
        {"name": "mock_name_2", "kind": "b"},
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}$",
        r"^(foo|bar)+$",
        r"[^a-z ]x?",
        r"^\S+@\S+\.\w+$",
        r"^.{5}$",
        r"a*?",
        r"^[^\W\d]+$",
        r"\.md\Z",
    ],
)
def test_a_text_that_fits_a_pattern(pattern: str) -> None:
    text = fitting(pattern)
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["(", r"(a)\1b", "a{99999}", r"^(?=b)a$", r"[\s\S]{0}(?!)"])
def test_a_pattern_for_which_there_is_no_simple_text(pattern: str) -> None:
    assert fitting(pattern) is None


def request(prompt: str, schema: dict[str, Any] | None = None, model: str = "mock/openai/x") -> Request:
    return Request(model, (Message("user", prompt),), schema=schema)


RULES: list[dict[str, Any]] = [
    {"step": "ask", "prompt": "Price", "answer": {"text": "ten"}},
    {"step": "ask", "error": {"message": "busy", "type": "RateLimited", "status": 429, "retryable": True}},
    {"model": "openai/y", "answer": "by its model"},
    {"step": "pages.read", "answer": "of an item"},
]
OBJECT = {"type": "object", "properties": {"text": {"type": "string"}, "sure": {"type": "number"}}}


async def test_the_first_rule_that_fits_counts() -> None:
    completer = MockCompleter(RULES, "ask")
    answer = await completer.complete(request("the PRICE of it", OBJECT))
    assert json.loads(answer.text) == {"text": "ten", "sure": 0.85}
    assert (answer.provider, answer.model, answer.raw_cost, answer.usage.total) == (
        "mock",
        "openai/x",
        0.0,
        0,
    )
    with pytest.raises(ModelError, match="busy") as failure:
        await completer.complete(request("something else"))
    assert (failure.value.type, failure.value.status, failure.value.retryable) == ("RateLimited", 429, True)
    other = MockCompleter(RULES, "other")
    assert (await other.complete(request("x", model="mock/openai/y"))).text == "by its model"
    assert (await other.complete(request("tell me\nmore"))).text == "mock answer to: tell me more"
    for step in ("pages[a].read", "pages[b].read"):
        assert (await MockCompleter(RULES, step).complete(request("x"))).text == "of an item"


async def test_vectors_depend_on_the_text_alone() -> None:
    embedder = MockCompleter().embedder()
    found = await embedder.embed(EmbedRequest("mock/openai/x", ("one", "two", "one"), dimensions=16))
    assert found.vectors[0] == found.vectors[2] != found.vectors[1]
    assert (len(found.vectors[0]), found.provider, found.raw_cost) == (16, "mock", 0.0)


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)]
)
def test_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("KURT_MOCK_LLM", value)
    assert asked_by_environment() is on


def test_marks_of_a_run() -> None:
    assert marks(None) == marks({"llm": False, "steps": {}}) == []
    assert marks({"llm": True, "steps": {"a": [{"value": 1}]}}) == ["models", "steps"]
