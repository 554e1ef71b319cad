"""Traces of model calls: each attempt once, with its cost, whatever happens; and what is asked of them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from kurt.config import Settings, load_settings
from kurt.core import trace_thread
from kurt.core.llm_tracer import LLMTracer
from kurt.core.tenancy import tenant
from kurt.core.tracing import Spent, TraceRow, TraceWriter, close_writers, row_of, trace_writer
from kurt.db.sessions import dispose_engines, get_engine
from kurt.errors import StorageError
from kurt.llm.errors import RateLimitedError
from kurt.llm.types import Attempt, Cost, Message, Request, Response, Usage
from kurt.runtime.spending import CallQuery, open_calls

NOW = time.time()


@pytest.fixture
def writer(database: Settings) -> Iterator[TraceWriter]:
    made = TraceWriter(database)
    yield made
    made.close()
    close_writers()
    dispose_engines()


def with_environment(settings: Settings, **given: str) -> Settings:
    if not settings.is_sqlite:
        given = {**given, "DATABASE_URL": settings.database_url}
    return load_settings(settings.root, environ=given)


def row(**given: Any) -> TraceRow:
    return TraceRow(**{"run_id": "run", "step": "extract", "started_at": NOW, **given})


def done(**given: Any) -> TraceRow:
    figures = {"state": "succeeded", "tokens_in": 100, "tokens_out": 20, "cost": 0.5, "currency": "USD"}
    return row(**{**figures, "ended_at": NOW + 1, "latency_ms": 1000.0, **given})


def stored(settings: Settings, columns: str = '"row", attempt, state') -> list[tuple[Any, ...]]:
    with get_engine(settings).connect() as connection:
        found = connection.execute(sa.text(f'SELECT {columns} FROM llm_traces ORDER BY "row", attempt, id'))
        return [tuple(each) for each in found]


async def test_an_attempt_is_one_row_from_its_start_to_its_end(
    database: Settings, writer: TraceWriter
) -> None:
    await writer.started(row())
    assert stored(database) == [(0, 1, "started")]
    await writer.finished(done())
    assert stored(database, "state, tokens_in, cost, scope, cache_hit") == [
        ("succeeded", 100, 0.5, "", False if not database.is_sqlite else 0)
    ]


async def test_a_replay_never_counts_twice(database: Settings, writer: TraceWriter) -> None:
    await writer.finished(done())
    await writer.started(row())
    await writer.finished(done(state="failed", cost=9.0))
    assert stored(database, "state, cost") == [("succeeded", 0.5)]


async def test_the_same_step_at_two_places_is_two_rows(database: Settings, writer: TraceWriter) -> None:
    await writer.finished(done(scope="a"))
    await writer.finished(done(scope="b"))
    assert len(stored(database)) == 2


async def test_what_was_cut_is_marked_and_set_right_when_it_lives_after_all(
    database: Settings, writer: TraceWriter
) -> None:
    for number in range(3):
        await writer.started(row(row=number))
    await writer.started(row(run_id="other"))
    await writer.finished(done(row=1))
    assert await writer.mark_cut("run") == 2
    assert await writer.mark_cut("run") == 0
    assert await writer.attempts_made("run", "extract") == {0: 1, 1: 1, 2: 1}
    await writer.finished(done(row=2))
    await writer.finished(done(row=0, attempt=2))
    states = stored(database, 'run_id, "row", attempt, state')
    assert states == [
        ("run", 0, 1, "cut"),
        ("other", 0, 1, "started"),
        ("run", 0, 2, "succeeded"),
        ("run", 1, 1, "succeeded"),
        ("run", 2, 1, "succeeded"),
    ]
    assert await writer.attempts_made("run", "extract") == {0: 2, 1: 1, 2: 1}


async def test_spent_counts_failed_attempts_and_says_what_has_no_price(writer: TraceWriter) -> None:
    await writer.finished(done(row=0))
    await writer.finished(done(row=1, state="failed", error_type="answer", cost=0.25))
    await writer.finished(done(row=2, cost=None, currency=None))
    await writer.finished(done(row=3, cache_hit=True, cost=0.0))
    await writer.finished(row(row=4, state="failed", error_type="rate_limited"))
    await writer.started(row(row=5))
    await writer.finished(done(step="other", workspace_id="w", started_at=NOW - 100))
    assert await writer.spent(run_id="run", step="extract") == Spent(0.75, 360, 6, 1)
    assert await writer.spent(run_id="run") == Spent(1.25, 480, 7, 1)
    assert await writer.spent(workspace_id="w") == Spent(0.5, 120, 1, 0)
    assert await writer.spent(workspace_id="w", since=NOW - 50) == Spent(0, 0, 0, 0)
    assert (await writer.spent(workspace_id=None)).usd == 0.75
    assert await writer.spent(run_id="none") == Spent(0, 0, 0, 0)


def test_threads_without_a_loop_use_the_twins(database: Settings, writer: TraceWriter) -> None:
    def work(number: int) -> None:
        writer.started_sync(row(row=number))
        writer.finished_sync(done(row=number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.attempts_made_sync("run", "extract") == dict.fromkeys(range(20), 1)
    assert writer.spent_sync(run_id="run").usd == 10
    assert writer.mark_cut_sync("run") == 0
    assert {state for *_, state in stored(database)} == {"succeeded"}


async def test_many_come_together_in_few_transactions(
    database: Settings, writer: TraceWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    commit = trace_thread.TraceThread._commit

    def counted(self: Any, jobs: list[Any]) -> None:
        batches.append(len(jobs))
        commit(self, jobs)

    monkeypatch.setattr(trace_thread.TraceThread, "_commit", counted)
    await asyncio.gather(*[writer.finished(done(row=number)) for number in range(1000)])
    assert len(stored(database)) == 1000
    assert sum(batches) == 1000
    assert len(batches) <= 50


async def test_a_row_that_cannot_be_stored_fails_alone(database: Settings, writer: TraceWriter) -> None:
    rows = [done(row=number) for number in range(3)]
    rows[1].tokens_in = 2**70
    outcomes = await asyncio.gather(*[writer.finished(each) for each in rows], return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), StorageError, type(None)]
    assert [number for number, *_ in stored(database)] == [0, 2]


async def test_text_that_no_database_can_hold_is_mended(database: Settings, writer: TraceWriter) -> None:
    await writer.finished(done(prompt="nul \0 half \ud83d end", response="fine 🙂"))
    assert stored(database, "prompt, response") == [("nul \ufffd half \ufffd end", "fine 🙂")]


async def test_secrets_are_masked(database: Settings) -> None:
    writer = TraceWriter(with_environment(database, OPENAI_API_KEY="sk-very-secret"))
    await writer.finished(
        done(
            prompt="my key is sk-very-secret",
            response='{"a": 1}',
            error="sk-very-secret?",
            attributes={"k": "sk-very-secret"},
        )
    )
    writer.close()
    assert stored(database, "prompt, response, error") == [("my key is ***", '{"a": 1}', "***?")]
    assert "secret" not in str(stored(database, "attributes"))
    dispose_engines()


async def test_prompts_and_answers_need_not_be_kept(database: Settings) -> None:
    writer = TraceWriter(with_environment(database, KURT_LLM__TRACE_CONTENT="off"))
    await writer.finished(done(prompt="p", response="r"))
    writer.close()
    assert stored(database, "prompt, response, tokens_in") == [(None, None, 100)]
    dispose_engines()


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_it_waits_for_another_process_that_writes(database: Settings, writer: TraceWriter) -> None:
    with closing(sqlite3.connect(database.sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(writer.finished(done()))
        done_early, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done_early
        other.execute("ROLLBACK")
        await asyncio.wait_for(waiting, 10)
    assert len(stored(database)) == 1


async def test_without_the_table_the_error_says_what_to_do(tmp_path: Any) -> None:
    (tmp_path / ".kurt").mkdir()
    writer = TraceWriter(load_settings(tmp_path, environ={}))
    with pytest.raises(StorageError, match="lacks a part of its schema") as caught:
        await writer.finished(done())
    assert caught.value.hint == "run `kurt db upgrade`"
    writer.close()


async def test_the_thread_ends_when_idle_and_comes_back(
    database: Settings, writer: TraceWriter, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(trace_thread, "IDLE", 0.05)
    for number in range(3):
        await writer.finished(done(row=number))
        await asyncio.to_thread(wait_until, lambda: writer._thread._thread is None, 10)
    assert len(stored(database)) == 3


def test_outside_a_run_only_the_end_is_stored(database: Settings, writer: TraceWriter) -> None:
    for _ in range(2):
        writer.started_sync(row(run_id=None))
        writer.finished_sync(done(run_id=None))
    assert [state for *_, state in stored(database)] == ["succeeded"] * 2


def test_there_is_one_writer_for_a_process_and_a_database(database: Settings) -> None:
    assert trace_writer(database) is trace_writer(replace(database))
    close_writers()


def test_the_row_of_an_attempt() -> None:
    request = Request("openai/gpt-x", (Message("system", "s"), Message("user", "u")))
    response = Response("{}", Usage(10, 5, 3, 2), "gpt-x-2026", "openai", "id-1", "stop")
    cost = Cost(0.25, "USD", "local")
    good = row_of(Attempt(1, "call", NOW, 20.0, request, response, None, cost), run_id="r", step="s", row=7)
    assert (good.state, good.row, good.tokens_in, good.tokens_reasoning) == ("succeeded", 7, 10, 2)
    assert (good.cost, good.currency, good.cost_source) == (0.25, "USD", "local")
    assert good.prompt == '[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]'
    error = RateLimitedError("slow down")
    bad = row_of(Attempt(2, "call", NOW, 20.0, request, None, error, Cost()), run_id="r", step="s")
    assert (bad.state, bad.provider, bad.cost, bad.currency) == ("failed", "openai", None, None)
    assert bad.error_type == error.type


class TestTracer:
    def test_what_it_records_it_can_tell(self, database: Settings) -> None:
        tracer = LLMTracer(database)
        with tenant(user_id="u", workspace_id="w"):
            tracer.record(
                workflow_id="run", step_name="a", model="m", provider="p", prompt="q", response="r",
                tokens_in=10, tokens_out=5, cost=0.1, latency_ms=100,
            )  # fmt: skip
            tracer.record(workflow_id="run", step_name="a", model="m", error="boom", latency_ms=300)
        tracer.record(workflow_id="run", step_name="b", model="n", tokens_in=1, tokens_out=1)
        assert tracer.stats("run") == {
            "total_calls": 3,
            "total_tokens_in": 11,
            "total_tokens_out": 6,
            "total_cost": 0.1,
            "avg_latency_ms": 200,
            "min_latency_ms": 100,
            "max_latency_ms": 300,
            "success_count": 2,
            "error_count": 1,
        }
        by_step = tracer.stats_by_step("run")
        assert {name: one["total_calls"] for name, one in by_step.items()} == {"a": 2, "b": 1}
        assert by_step["b"]["total_cost"] is None
        assert tracer.stats("none")["total_calls"] == 0
        found = tracer.query("run", "a")
        assert [(one["attempt"], one["state"], one["user_id"]) for one in found[::-1]] in (
            [(1, "succeeded", "u"), (2, "failed", "u")],
            [(2, "failed", "u"), (1, "succeeded", "u")],
        )
        assert len(tracer.query(limit=2)) == 2
        close_writers()

    def test_what_it_does_not_know_it_refuses(self, database: Settings) -> None:
        with pytest.raises(TypeError, match="colour"):
            LLMTracer(database).record(step_name="a", colour="red")
        close_writers()


class TestReading:
    @pytest.fixture
    def calls(self, database: Settings, writer: TraceWriter) -> Settings:
        writer.finished_sync(done(row=0, workspace_id="w1", user_id="a", request_model="m1"))
        writer.finished_sync(done(row=1, workspace_id="w2", user_id="b", request_model="m1", cost=2.0))
        writer.finished_sync(
            row(row=2, workspace_id="w2", state="failed", request_model="m2", error_type="server")
        )
        return database

    def test_calls_are_counted_by_what_is_asked(self, calls: Settings) -> None:
        with open_calls(calls) as reader:
            (total,) = reader.stats(CallQuery())
            assert (total.calls, total.failed, total.cost, total.tokens_in) == (3, 1, 2.5, 200)
            by_model = reader.stats(CallQuery(), ["model"])
            assert [(one.group["model"], one.calls) for one in by_model] == [("m1", 2), ("m2", 1)]
            by_tenant = reader.stats(CallQuery(), ["workspace", "user"])
            assert [tuple(one.group.values()) for one in by_tenant] == [
                ("w2", "b"),
                ("w1", "a"),
                ("w2", None),
            ]
            hour = timedelta(hours=1)
            moment = datetime.fromtimestamp(NOW, UTC)
            assert reader.stats(CallQuery(since=moment - hour, until=moment + hour))[0].calls == 3
            assert reader.stats(CallQuery(since=moment + hour))[0].calls == 0

    def test_one_tenant_never_sees_anothers(self, calls: Settings) -> None:
        environ = {} if calls.is_sqlite else {"DATABASE_URL": calls.database_url}
        for flags, count in (
            ({"WORKSPACE_ID": "w1"}, 1),
            ({"WORKSPACE_ID": "w2"}, 2),
            ({"WORKSPACE_ID": "w2", "USER_ID": "b"}, 1),
            ({"USER_ID": "nobody"}, 0),
        ):
            scoped = load_settings(calls.root, environ=environ, overrides=flags)
            with open_calls(scoped) as reader:
                assert reader.stats(CallQuery())[0].calls == count
                assert sum(one.calls for one in reader.stats(CallQuery(), ["run"])) == count
                assert len(reader.calls(CallQuery(), ["row"], 10)) == count
