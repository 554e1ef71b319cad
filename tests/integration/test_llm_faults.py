"""Everything that a provider can do wrong: the right error, the right attempts, the right cost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kurt.llm.client import ModelClient
from kurt.llm.errors import (
    AnswerError,
    ConnectionCutError,
    ModelError,
    ModelTimeoutError,
    QuotaSpentError,
    RateLimitedError,
    RefusedError,
    ServerError,
)
from kurt.llm.retry import NO_RETRY, RetryPolicy
from kurt.testing.faults import (
    Fault,
    cut,
    cut_short,
    hang,
    huge,
    not_an_answer,
    not_json,
    quota_spent,
    rate_limited,
    refused,
    server_error,
    wrong_schema,
)
from kurt.testing.model_server import ModelServer
from tests.support.asking import ANTHROPIC, KEY, OPENAI, QUICK, Asker, Verdict, settings_for

MODELS = pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as made:
        yield made


@pytest.fixture
def asker(server: ModelServer) -> Asker:
    return Asker(server)


@MODELS
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (rate_limited(0.05), "RateLimited"),
        (rate_limited(None), "RateLimited"),
        (server_error(), "ServerError"),
        (server_error(529), "ServerError"),
        (server_error(408), "ServerError"),
        (cut(), "ConnectionCut"),
        (cut(0), "ConnectionCut"),
        (not_an_answer(), "NoAnswer"),
        (not_an_answer(b'{"id": 1}'), "NoAnswer"),
        (not_an_answer(b"[1]"), "NoAnswer"),
        (not_an_answer(b"null"), "NoAnswer"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
async def test_what_may_heal_is_repeated(
    server: ModelServer, asker: Asker, model: str, fault: Fault, error: str
) -> None:
    server.script("weather", fault, fault)
    answer = await asker("weather", model=model)
    assert answer.value == Verdict(sentiment="mock_sentiment", confidence=0.85, topics=[])
    assert asker.tale == [error, error, "answer"]
    assert asker.started == [1, 2, 3]
    assert [attempt.number for attempt in answer.attempts] == [1, 2, 3]
    assert [attempt.cost.amount for attempt in answer.attempts[:2]] == [None, None]
    assert (answer.attempts[2].cost.amount or 0) > 0
    assert {attempt.kind for attempt in answer.attempts} == {"call"}
    assert len(server.arrivals) == 3


async def test_repetitions_have_an_end(server: ModelServer, asker: Asker) -> None:
    server.script("", always=server_error())
    with pytest.raises(ServerError) as failure:
        await asker(retry=RetryPolicy(attempts=3, first_delay=0.01))
    assert failure.value.status == 500
    assert len(failure.value.attempts) == len(server.arrivals) == 3


@pytest.mark.parametrize("form", [{}, {"as_date": True}, {"in_ms": True}], ids=["seconds", "date", "ms"])
async def test_a_wait_that_the_provider_asks_for_is_kept(
    server: ModelServer, asker: Asker, form: dict[str, bool]
) -> None:
    asked = 2.0 if form.get("as_date") else 0.4  # a date counts whole seconds
    server.script("", rate_limited(asked, **form))
    await asker()
    first, second = (arrival.at for arrival in server.arrivals)
    assert asked - 1 * bool(form.get("as_date")) <= second - first < asked * 1.1 + 1


async def test_a_wait_that_is_too_long_fails_the_call(server: ModelServer, asker: Asker) -> None:
    server.script("", rate_limited(3600))
    with pytest.raises(RateLimitedError) as failure:
        await asker()
    assert failure.value.retry_after == 3600
    assert len(server.arrivals) == 1


@MODELS
@pytest.mark.parametrize(
    "fault",
    [
        quota_spent(),
        refused(402, "Insufficient credits"),
        refused(400, "Your credit balance is too low to access the API"),
        Fault("billing", 403, error="pay first", code="billing_error"),
    ],
    ids=["insufficient_quota", "402", "credit", "billing"],
)
async def test_a_spent_quota_is_never_asked_again(
    server: ModelServer, asker: Asker, model: str, fault: Fault
) -> None:
    server.script("", always=fault)
    with pytest.raises(QuotaSpentError) as failure:
        await asker(model=model)
    assert failure.value.fatal
    assert not failure.value.retryable
    assert asker.tale == ["QuotaSpent"]
    assert len(server.arrivals) == 1


@MODELS
@pytest.mark.parametrize(("status", "fatal"), [(400, False), (413, False), (422, False), (403, True)])
async def test_a_refusal_is_not_repeated(
    server: ModelServer, asker: Asker, model: str, status: int, fatal: bool
) -> None:
    server.script("", always=refused(status, "The prompt is too long"))
    with pytest.raises(RefusedError, match="too long") as failure:
        await asker(model=model)
    assert (failure.value.status, failure.value.fatal) == (status, fatal)
    assert len(server.arrivals) == 1


@MODELS
async def test_a_wrong_key_names_its_variable_and_is_not_shown(server: ModelServer, model: str) -> None:
    asker = Asker(server, ModelClient(settings_for(server, LLM_API_KEY="sk-wrong-key-of-somebody")))
    with pytest.raises(RefusedError) as failure:
        await asker(model=model)
    error = failure.value
    assert (error.type, error.status, error.fatal) == ("Unauthorized", 401, True)
    assert "_API_KEY" in (error.hint or "")
    shown = f"{error} {error!r} {error.to_json()} {error.__dict__} {asker.client.endpoint(model)!r}"
    assert "sk-wrong" not in shown
    assert "***" in error.message  # the provider had repeated it


@MODELS
async def test_an_unknown_model_is_said_to_be_unknown(model: str) -> None:
    with ModelServer(models=("another",)) as server:
        asker = Asker(server)
        with pytest.raises(RefusedError, match="has no model") as failure:
            await asker(model=model)
    assert (failure.value.type, failure.value.fatal) == ("UnknownModel", True)
    assert asker.tale == ["UnknownModel"]


@MODELS
async def test_a_call_without_an_answer_in_time_is_repeated(
    server: ModelServer, asker: Asker, model: str
) -> None:
    server.script("", hang(30))
    answer = await asker(model=model, fields={"timeout": 0.3})
    assert asker.tale == ["Timeout", "answer"]
    assert 300 <= answer.attempts[0].latency_ms < 3000
    assert isinstance(answer.attempts[0].error, ModelTimeoutError)


@pytest.mark.parametrize(
    ("fault", "error"), [(not_json(), "NotJson"), (wrong_schema(), "BreaksSchema")], ids=["prose", "schema"]
)
@MODELS
async def test_a_faulty_answer_is_asked_for_again_with_its_fault(
    server: ModelServer, asker: Asker, model: str, fault: Fault, error: str
) -> None:
    server.script("", fault)
    answer = await asker(model=model)
    assert answer.value.sentiment == "mock_sentiment"
    assert asker.tale == [error, "answer"]
    assert [attempt.kind for attempt in answer.attempts] == ["call", "reask"]
    assert all((attempt.cost.amount or 0) > 0 for attempt in answer.attempts)  # the faulty one was paid too
    said = server.bodies[1]["messages"][-2:]
    assert said[0] == {"role": "assistant", "content": fault.text}
    assert answer.attempts[0].error is not None
    assert answer.attempts[0].error.message in said[1]["content"]


async def test_asking_again_has_an_end_and_every_answer_is_counted(server: ModelServer, asker: Asker) -> None:
    server.script("", always=wrong_schema())
    with pytest.raises(AnswerError, match="sentiment: Field required") as failure:
        await asker()
    assert asker.tale == ["BreaksSchema"] * 3
    assert len(failure.value.attempts) == 3
    assert failure.value.response is not None
    assert [len(body["messages"]) for body in server.bodies] == [
        1,
        3,
        3,
    ]  # the last fault only, not all of them


async def test_re_asks_and_repetitions_are_counted_apart(server: ModelServer, asker: Asker) -> None:
    server.script("", server_error(), not_json(), cut(), wrong_schema(), rate_limited(0.01))
    answer = await asker(retry=RetryPolicy(attempts=4, first_delay=0.01))
    assert asker.tale == ["ServerError", "NotJson", "ConnectionCut", "BreaksSchema", "RateLimited", "answer"]
    assert [attempt.kind for attempt in answer.attempts] == [
        "call",
        "call",
        "reask",
        "reask",
        "reask",
        "reask",
    ]


@MODELS
async def test_an_answer_that_was_cut_short_is_paid_once_and_explained(
    server: ModelServer, asker: Asker, model: str
) -> None:
    server.script("", always=cut_short())
    with pytest.raises(AnswerError, match="limit of tokens") as failure:
        await asker(model=model)
    assert failure.value.type == "AnswerCut"
    assert (asker.attempts[0].cost.amount or 0) > 0
    assert len(server.arrivals) == 1


async def test_free_text_may_reach_the_limit(server: ModelServer, asker: Asker) -> None:
    server.script("", cut_short("half a sent"))
    answer = await asker(schema=None)
    assert answer.value == answer.text == "half a sent"
    assert answer.attempts[0].response.finish_reason == "length"


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(server: ModelServer) -> None:
    asker = Asker(server, ModelClient(settings_for(server), answer_limit=100_000))
    server.script("", always=huge(20_000_000))
    with pytest.raises(AnswerError, match=r"more than 100,000 bytes") as failure:
        await asker()
    assert failure.value.type == "AnswerTooLarge"
    assert asker.tale == ["AnswerTooLarge"]


async def test_a_server_that_is_not_there_is_told_with_its_address(server: ModelServer) -> None:
    asker = Asker(server)
    server.stop()
    with pytest.raises(ConnectionCutError, match="cannot be reached") as failure:
        await asker(retry=NO_RETRY)
    assert failure.value.type == "NotReached"
    assert server.url in failure.value.message


async def test_an_error_inside_a_good_status_is_an_error(server: ModelServer, asker: Asker) -> None:
    server.script("", not_an_answer(b'{"error": {"code": 429, "message": "upstream is busy"}}'))
    await asker()
    assert asker.tale == ["RateLimited", "answer"]


async def test_a_key_is_not_sent_after_a_redirect(server: ModelServer, asker: Asker) -> None:
    server.script("", Fault("moved", 307, {"Location": server.url + "/elsewhere"}))
    with pytest.raises(RefusedError) as failure:
        await asker()
    assert failure.value.type == "Redirected"
    assert len(server.arrivals) == 1


async def test_a_refusal_of_the_model_is_not_argued_with(server: ModelServer, asker: Asker) -> None:
    body = (
        b'{"choices": [{"message": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"}],'
        b' "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
    )
    server.script("", always=not_an_answer(body))
    with pytest.raises(AnswerError, match=r"I will not\.") as failure:
        await asker()
    assert failure.value.type == "ModelRefused"
    assert asker.attempts[0].response.usage.total == 10


async def test_a_cancelled_row_leaves_at_once(server: ModelServer, asker: Asker) -> None:
    import asyncio

    server.script("", hang(30))
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asker()
    assert time.monotonic() - started < 5
    assert asker.started == [1]
    assert asker.attempts == []  # nobody knows what became of it


async def test_every_error_can_be_stored_and_read_back(server: ModelServer, asker: Asker) -> None:
    from kurt.runtime import serializer

    server.script("", always=quota_spent())
    with pytest.raises(ModelError) as failure:
        await asker(retry=QUICK)
    again = serializer.round_trip(failure.value)
    assert type(again) is QuotaSpentError
    assert (again.message, again.hint) == (failure.value.message, failure.value.hint)
