"""The small parts of calling models: retries, schemas, refusals, vectors, shapes."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from kurt.errors import UsageError
from kurt.llm.budget import Budget
from kurt.llm.embeddings import DIMENSIONS, lexical_vectors
from kurt.llm.errors import AnswerError, ModelError, QuotaSpentError, RateLimitedError, ServerError
from kurt.llm.failures import refusal, retry_after
from kurt.llm.providers import Endpoint
from kurt.llm.retry import NO_RETRY, RetryPolicy
from kurt.llm.schemas import checker, schema_of
from kurt.llm.shapes import shaped
from kurt.llm.strict import strict_schema
from kurt.testing.faults import fault_from_json

ENDPOINT = Endpoint("openai", "gpt", "openai", "https://api.openai.com/v1", "sk-secret-key", "OPENAI_API_KEY")


def test_waits_double_and_differ() -> None:
    policy = RetryPolicy(attempts=9, first_delay=1, max_delay=10)
    longest = [policy.delay(ServerError(), failures, lambda: 1.0) for failures in range(1, 9)]
    shortest = [policy.delay(ServerError(), failures, lambda: 0.0) for failures in range(1, 9)]
    assert longest == [1, 2, 4, 8, 10, 10, 10, 10]
    assert shortest == [0.5, 1, 2, 4, 5, 5, 5, 5]
    assert policy.delay(ServerError(), 9) is None


def test_a_wait_that_is_asked_for_is_never_shortened() -> None:
    error = RateLimitedError(retry_after=3.0)
    assert RetryPolicy().delay(error, 1, lambda: 0.0) == 3.0
    assert RetryPolicy().delay(error, 1, lambda: 1.0) == pytest.approx(3.3)
    assert RetryPolicy(max_retry_after=2).delay(error, 1) is None


@pytest.mark.parametrize("error", [QuotaSpentError(), AnswerError(), ModelError()])
def test_what_cannot_heal_is_not_repeated(error: ModelError) -> None:
    assert RetryPolicy().delay(error, 1) is None
    assert NO_RETRY.delay(ServerError(), 1) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Sun, 99 Nov"}, None),
        ({"Retry-After": formatdate(1_000_010, usegmt=True)}, 10),
        ({"Retry-After": formatdate(999_000, usegmt=True)}, 0),
    ],
)
def test_the_wait_that_a_header_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, 1_000_000.0) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "retryable"),
    [
        (429, {}, b"slow down", "RateLimited", True),
        (429, {"x-should-retry": "false"}, b"{}", "RateLimited", False),
        (429, {}, b'{"error": {"type": "insufficient_quota"}}', "QuotaSpent", False),
        (429, {}, b'{"error": "You exceeded your current quota"}', "QuotaSpent", False),
        (500, {}, b"", "ServerError", True),
        (500, {"x-should-retry": "false"}, b"", "ServerError", False),
        (501, {}, b"", "Refused", False),
        (400, {"x-should-retry": "true"}, b"", "ServerError", True),
        (400, {}, b'{"message": "bad"}', "Refused", False),
        (400, {}, b'{"detail": [{"msg": "bad"}]}', "Refused", False),
        (404, {}, b"[]", "UnknownModel", False),
        (401, {}, b'"no"', "Unauthorized", False),
    ],
)
def test_what_a_status_means(
    status: int, headers: dict[str, str], body: bytes, kind: str, retryable: bool
) -> None:
    error = refusal(status, headers, body, ENDPOINT, time.time())
    assert (error.type, error.retryable, error.status) == (kind, retryable, status)


def test_a_key_that_the_provider_repeats_is_hidden_and_its_words_are_bounded() -> None:
    body = b'{"error": {"message": "bad key sk-secret-key ' + b"x" * 10_000 + b'"}}'
    message = refusal(401, {}, body, ENDPOINT, 0.0).message
    assert "sk-secret-key" not in message
    assert "***" in message
    assert len(message) < 700


class Colour(Enum):
    RED = "red"


class Inner(BaseModel):
    colour: Colour = Colour.RED
    note: str | None = None


class Strict(BaseModel):
    name: str = Field(max_length=5)
    score: float = Field(default=0.5, ge=0, le=1)
    kind: Literal["a", "b"] = "a"
    inner: Inner
    many: list[Inner] = []


def test_the_strict_form_lists_every_field_and_leaves_no_other() -> None:
    strict = strict_schema(schema_of(Strict))
    assert strict is not None
    assert strict["required"] == ["name", "score", "kind", "inner", "many"]
    assert strict["additionalProperties"] is False
    assert strict["$defs"]["Inner"]["required"] == ["colour", "note"]
    assert strict["properties"]["name"]["maxLength"] == 5
    assert "default" not in str(strict)
    assert strict_schema(schema_of(Strict)) is strict


def test_the_bare_form_leaves_limits_to_us() -> None:
    bare = strict_schema(schema_of(Strict), bare=True)
    assert not {"maxLength", "minimum", "maximum"} & set(str(bare).replace("'", " ").split())


def test_a_field_called_default_or_minimum_stays() -> None:
    class Odd(BaseModel):
        default: int
        minimum: str
        properties: list[str]

    strict = strict_schema(schema_of(Odd), bare=True)
    assert strict is not None
    assert list(strict["properties"]) == ["default", "minimum", "properties"]


@pytest.mark.parametrize("annotation", [dict[str, Any], list[dict[str, Any]], Any, list[Any], dict[str, int]])
def test_what_allows_anything_has_no_strict_form(annotation: Any) -> None:
    from pydantic import create_model

    assert strict_schema(schema_of(create_model("Free", field=(annotation, ...)))) is None


def test_faults_name_their_place() -> None:
    with pytest.raises(AnswerError) as failure:
        checker(Strict, None)('{"name": "too long", "inner": {"colour": "blue"}}')
    assert failure.value.type == "BreaksSchema"
    assert "name: String should have at most 5" in failure.value.message
    assert "inner.colour: Input should be 'red'" in failure.value.message


def test_many_faults_are_not_all_told() -> None:
    class Wide(BaseModel):
        numbers: list[int]

    with pytest.raises(AnswerError, match="and 20 more"):
        checker(Wide, None)(json.dumps({"numbers": ["x"] * 30}))


@pytest.mark.parametrize("text", ["", "no", "{", "```json\nno\n```", "```\n```\n```", '{"name": "\\ud800"'])
def test_what_is_not_json(text: str) -> None:
    for check in (checker(Strict, None), checker(None, {"type": "object"})):
        with pytest.raises(AnswerError) as failure:
            check(text)
        assert failure.value.type == "NotJson"


def test_a_json_schema_checks_answers_and_names_the_place() -> None:
    check = checker(None, {"properties": {"inner": {"properties": {"n": {"type": "integer"}}}}})
    assert check('{"inner": {"n": 1}}') == {"inner": {"n": 1}}
    with pytest.raises(AnswerError, match=r"inner\.n: ") as failure:
        check('{"inner": {"n": "1"}}')
    assert failure.value.type == "BreaksSchema"


@pytest.mark.parametrize("answer", ['{"a": ' * 400 + "1" + "}" * 400, '"\\ud800"'])
def test_an_answer_that_cannot_be_checked_breaks_its_schema(answer: str) -> None:
    with pytest.raises(AnswerError) as failure:
        checker(None, {"type": "array"})(answer)
    assert failure.value.type == "BreaksSchema"


@pytest.mark.parametrize("schema", [{"type": "text"}, {"$ref": "https://example.com/a.json"}])
def test_a_schema_that_is_none_is_refused_before_anything_is_asked(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the schema for answers cannot be used"):
        checker(None, schema)


def test_a_pretended_answer_fits_its_schema() -> None:
    made = shaped(schema_of(Strict))
    assert Strict.model_validate({**made, "name": made["name"][:5]})
    assert (made["score"], made["kind"], made["many"]) == (0.5, "a", [])


def test_a_schema_that_holds_itself_has_an_end() -> None:
    class Tree(BaseModel):
        name: str
        child: "Tree | None" = None

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert Tree.model_validate(shaped(schema_of(Tree)))


def test_lexical_vectors_are_the_same_everywhere() -> None:
    """Stored vectors would be worthless if this changed: a new calculation gets a new name."""
    (vector,) = lexical_vectors(["The quick brown fox"], 8)
    assert [round(number, 4) for number in vector] == [
        0.0,
        -0.065,
        -0.9094,
        0.1299,
        -0.2598,
        0.1299,
        0.0,
        -0.2598,
    ]
    assert len(lexical_vectors(["x"])[0]) == DIMENSIONS


def test_lexical_vectors_tell_texts_apart_by_their_words() -> None:
    cat, cats, money, same, none = lexical_vectors(
        [
            "A cat sat on the mat.",
            "cats sat on a MAT",
            "Revenue rose by ten percent",
            "a cat SAT on the mat",
            "?!",
        ]
    )

    def near(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert near(cat, same) == pytest.approx(1)
    assert near(cat, cats) > 0.4
    assert abs(near(cat, money)) < 0.15
    assert set(none) == {0.0}


@pytest.mark.parametrize("limits", [{}, {"usd": -1}, {"tokens": -1}])
def test_a_budget_that_cannot_be_meant_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Budget(**limits)


def test_faults_from_outside() -> None:
    assert fault_from_json("cut").name == "cut"
    assert fault_from_json({"fault": "server_error", "status": 503}).status == 503
    with pytest.raises(ValueError, match="there is no fault 'party'"):
        fault_from_json("party")
