"""`LLMStep` outside of a workflow: tables of any make, prompts, answers, failures, hooks."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
import time
from enum import Enum
from typing import Any

import pandas as pd  # noqa: TID253 - a test of it
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from kurt.core import CompositeStepHooks, LLMStep, NoopStepHooks, StepHooks, llm_step
from kurt.errors import UsageError
from kurt.llm.errors import ModelError, QuotaSpentError
from kurt.llm.limits import RateLimit
from kurt.llm.retry import RetryPolicy


class Mood(Enum):
    good = "good"


class Out(BaseModel):
    status: str = ""
    idx: int = 0
    error: float | None = None
    tags: list[dict[str, Any]] = []


def echo(prompt: str) -> Out:
    if "bad" in prompt:
        raise ValueError(f"cannot do {prompt}")
    return Out(status=prompt, idx=len(prompt), tags=[{"p": prompt}])


def make(**options: Any) -> LLMStep:
    given: dict[str, Any] = {
        "name": "ask",
        "input_columns": ["content"],
        "prompt_template": "{content}",
        "output_schema": Out,
        "llm_fn": echo,
    }
    return LLMStep(**{**given, **options})


def test_fields_named_like_control_data_are_columns_of_their_own() -> None:
    rows = make().run([{"content": "one"}, {"content": "bad"}])
    assert rows == [
        {"content": "one", "status": "one", "idx": 3, "error": None, "tags": [{"p": "one"}]}
        | {"ask_status": "success", "ask_error": None},
        {"content": "bad", "status": None, "idx": None, "error": None, "tags": None}
        | {"ask_status": "error", "ask_error": "cannot do bad"},
    ]


def test_pandas_in_pandas_out_with_its_index() -> None:
    given = pd.DataFrame({"content": ["a", "bad", None, 4.5], "other": [1, 2, 3, 4]}, index=[7, 7, 8, 9])
    found = make().run(given)
    assert list(found.index) == [7, 7, 8, 9]
    assert list(found.columns) == [
        *given.columns,
        "status",
        "idx",
        "error",
        "tags",
        "ask_status",
        "ask_error",
    ]
    assert list(found["ask_status"]) == ["success", "error", "success", "success"]
    assert list(found["status"].iloc[[0, 2, 3]]) == ["a", "", "4.5"]
    assert found["ask_error"].iloc[0] is None
    assert list(given.columns) == ["content", "other"]


@pytest.mark.parametrize("library", ["polars", "arrow"])
def test_polars_and_arrow_come_back_as_they_went_in(library: str) -> None:
    cells = {"content": ["a", "bad", None]}
    given: Any = pl.DataFrame(cells) if library == "polars" else pa.table(cells)
    found = make().run(given)
    assert type(found) is type(given)
    rows = found.to_dicts() if library == "polars" else found.to_pylist()
    assert [row["ask_status"] for row in rows] == ["success", "error", "success"]
    assert rows[0]["tags"] == [{"p": "a"}]


@pytest.mark.parametrize(
    "empty", [[], pd.DataFrame({"content": []}), pl.DataFrame({"content": []}), pd.DataFrame()]
)
def test_an_empty_table_gets_its_columns_and_asks_nobody(empty: Any) -> None:
    found = make(llm_fn=lambda _: pytest.fail("asked")).run(empty)
    assert len(found) == 0
    if not isinstance(empty, list):
        assert {"status", "ask_status", "ask_error"} <= set(found.columns)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pl.LazyFrame({"content": ["a"]}), "holds no rows yet"),
        ({"content": ["a"]}, "type 'dict' is no table"),
        (["a"], "type 'list' is no table"),
        (7, "type 'int' is no table"),
        (pd.DataFrame([["a", "b"]], columns=["content", "content"]), "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make().run(data)


def test_columns_that_are_missing_or_in_the_way_are_refused() -> None:
    with pytest.raises(UsageError, match="needs the column 'content'") as missing:
        make().run([{"text": "a"}])
    assert missing.value.hint == "it has: text"
    with pytest.raises(UsageError, match="the column 'status' of step 'ask' is there already") as there:
        make().run([{"content": "a", "status": "mine"}])
    assert "output_prefix='ask_'" in str(there.value.hint)
    found = make(output_prefix="got_").run([{"content": "a", "status": "mine"}])
    assert (found[0]["status"], found[0]["got_status"]) == ("mine", "a")


def test_cells_are_never_read_as_templates() -> None:
    prompt = 'As JSON {{"a": 1}}: {content} {number:.2f}'
    step = make(prompt_template=prompt, input_columns=["content", "number"])
    rows = step.run([{"content": "{0} {content.__class__} {{x}} %s", "number": 1 / 3}])
    assert rows[0]["status"] == 'As JSON {"a": 1}: {0} {content.__class__} {{x}} %s 0.33'


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
        (pd.NaT, ""),
        (0, "0"),
        (True, "True"),
        ({"a": ["ü", None]}, '{"a": ["ü", null]}'),
        ([1, 2], "[1, 2]"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_cells_of_any_type_become_text(cell: Any, text: str) -> None:
    assert make().run([{"content": cell}])[0]["status"] == text


def test_templates_that_cannot_be_filled_are_refused_when_the_step_is_made() -> None:
    with pytest.raises(UsageError, match="a place for 'other', which is no input column"):
        make(prompt_template="{other}")
    with pytest.raises(UsageError, match="cannot be read"):
        make(prompt_template="{content")
    with pytest.raises(UsageError, match="both llm_fn and model"):
        make(model="openai/x")
    with pytest.raises(UsageError, match="is no pydantic model"):
        make(output_schema=dict)
    with pytest.raises(UsageError, match="input_columns of step 'ask' is a text"):
        make(input_columns="content")
    with pytest.raises(UsageError, match="llm_fn of step 'ask' cannot be called"):
        make(llm_fn="openai/x")
    with pytest.raises(UsageError, match="has llm_fn and cache, which is for calls that Kurt makes itself"):
        make(cache=True)
    with pytest.raises(UsageError, match="has llm_fn and rate_limit"):
        make(rate_limit=RateLimit(60))
    with pytest.raises(UsageError, match="not a name of a step"):
        make(name="a.b")
    with pytest.raises(UsageError, match="concurrency of at least 1"):
        make(concurrency=0)


@pytest.mark.parametrize(
    "returned",
    [
        {"status": "x", "idx": 3},
        Out(status="x", idx=3),
        '{"status": "x", "idx": 3}',
        ({"status": "x", "idx": "3"}, {"tokens_in": 1}),
        (Out(status="x", idx=3), None),
    ],
)
def test_answers_of_any_form_are_checked(returned: Any) -> None:
    row = make(llm_fn=lambda _: returned).run([{"content": "a"}])[0]
    assert (row["status"], row["idx"]) == ("x", 3)


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ({"idx": "many"}, "does not fit Out: idx: Input should be a valid integer"),
        ("no json", "does not fit Out: answer: Invalid JSON"),
        (7, "a value of type 'int'"),
        (None, "a value of type 'NoneType'"),
    ],
)
def test_answers_that_do_not_fit_are_row_errors(returned: Any, error: str) -> None:
    row = make(llm_fn=lambda _: returned).run([{"content": "a"}])[0]
    assert row["ask_status"] == "error"
    assert error in row["ask_error"]


async def test_asynchronous_functions_and_callers() -> None:
    at_work: list[int] = []
    most = 0

    async def slow(prompt: str) -> dict[str, Any]:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        await asyncio.sleep(0.01)
        at_work.pop()
        return {"status": prompt}

    step = make(llm_fn=slow, concurrency=4)
    table = [{"content": str(number)} for number in range(20)]
    assert [row["status"] for row in await step.run_async(table)] == [str(number) for number in range(20)]
    assert most == 4
    assert [row["status"] for row in step.run(table)] == [str(number) for number in range(20)]


def test_plain_functions_run_side_by_side_in_threads() -> None:
    barrier = threading.Barrier(5, timeout=10)

    def together(prompt: str) -> dict[str, Any]:
        barrier.wait()
        return {"status": prompt}

    rows = make(llm_fn=together, concurrency=5).run([{"content": str(number)} for number in range(10)])
    assert {row["ask_status"] for row in rows} == {"success"}


def test_rows_may_be_prepared_and_left_out() -> None:
    @llm_step(input_columns=["content"], prompt_template="Q: {text}", output_schema=Out, llm_fn=echo)
    def upper(row: dict[str, Any]) -> dict[str, Any] | None:
        """Shout."""
        return None if row["content"] == "skip" else {"text": row["content"].upper()}

    rows = upper.run([{"content": "a"}, {"content": "skip"}, {"content": 5}])
    assert upper.name == "upper"
    assert [row["upper_status"] for row in rows] == ["success", "skipped", "error"]
    assert rows[0]["status"] == "Q: A"
    assert rows[1]["upper_error"] == "prepare_fn left the row out"
    assert "upper" in rows[2]["upper_error"]


def test_a_failing_row_may_end_the_step() -> None:
    with pytest.raises(Exception, match="row 1 of step 'ask' failed: cannot do bad"):
        make(on_row_error="fail", concurrency=1).run([{"content": "a"}, {"content": "bad"}, {"content": "c"}])


def test_failures_that_may_heal_are_repeated_and_others_only_when_asked_for() -> None:
    calls: list[str] = []

    def flaky(prompt: str) -> dict[str, Any]:
        calls.append(prompt)
        if calls.count(prompt) < 3:
            raise ModelError("later", retryable=True) if prompt == "model" else ValueError("later")
        return {"status": prompt}

    table = [{"content": "model"}, {"content": "other"}]
    quick = RetryPolicy(attempts=3, first_delay=0.001)
    rows = make(llm_fn=flaky, retry=quick).run(table)
    assert [row["ask_status"] for row in rows] == ["success", "success"]
    calls.clear()
    row = make(llm_fn=flaky).run([{"content": "other"}])[0]
    assert (row["ask_status"], calls) == ("error", ["other"])


def test_a_failure_that_concerns_all_rows_stops_the_rest() -> None:
    def spent(prompt: str) -> dict[str, Any]:
        if prompt == "3":
            raise QuotaSpentError("nothing left")
        return {"status": prompt}

    rows = make(llm_fn=spent, concurrency=1).run([{"content": str(number)} for number in range(8)])
    assert [row["ask_status"] for row in rows] == ["success"] * 3 + ["error"] + ["skipped"] * 4
    assert rows[7]["ask_error"] == "left out after row 3 failed: nothing left"


def test_rows_begin_in_the_order_of_their_priority() -> None:
    begun: list[str] = []

    def note(prompt: str) -> dict[str, Any]:
        begun.append(prompt)
        return {"status": prompt}

    step = make(llm_fn=note, concurrency=1, priority_enabled=True)
    table = [{"content": "c", "urgency": 3}, {"content": "a", "urgency": 1}, {"content": "b", "urgency": 2}]
    rows = step.run(table, priority="urgency")
    assert begun == ["a", "b", "c"]
    assert [row["status"] for row in rows] == ["c", "a", "b"]
    step.run(table, priority=[1, 2, 3])
    assert begun[3:] == ["c", "a", "b"]
    with pytest.raises(UsageError, match="takes no priority"):
        make().run(table, priority="urgency")
    with pytest.raises(UsageError, match="one number for each of 3 rows"):
        step.run(table, priority=[1])


class Noting(StepHooks):
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def on_start(self, **facts: Any) -> None:
        self.events.append(("start", facts))

    def on_row_success(self, **facts: Any) -> None:
        self.events.append(("good", facts))

    def on_row_error(self, **facts: Any) -> None:
        self.events.append(("bad", facts))

    def on_result(self, **facts: Any) -> None:
        self.events.append(("result", facts))

    def on_end(self, **facts: Any) -> None:
        self.events.append(("end", facts))


class Raising(StepHooks):
    def on_row_success(self, **facts: Any) -> None:
        raise RuntimeError("a hook")


def test_hooks_are_told_by_name_and_never_cost_a_row(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Noting()

    def call(prompt: str) -> Any:
        return echo(prompt), {"input_tokens": 12, "output_tokens": 3, "total_cost": 0.5}

    step = make(llm_fn=call, hooks=CompositeStepHooks([Raising(), hooks, NoopStepHooks()]), concurrency=1)
    with caplog.at_level(logging.WARNING):
        rows = step.run([{"content": "a"}, {"content": "bad"}])
    assert [row["ask_status"] for row in rows] == ["success", "error"]
    assert "the hook Raising.on_row_success failed" in caplog.text
    assert [name for name, _ in hooks.events] == ["start", "good", "result", "bad", "result", "end"]
    facts = dict(hooks.events)
    assert facts["start"] == {"step_name": "ask", "total": 2, "concurrency": 1}
    good = facts["good"]
    assert (good["tokens_in"], good["tokens_out"], good["cost"], good["prompt"]) == (12, 3, 0.5, "a")
    assert good["result"]["status"] == "a"
    assert good["latency_ms"] >= 0
    assert str(facts["bad"]["error"]) == "cannot do bad"
    assert facts["end"] == {"step_name": "ask", "successful": 1, "total": 2, "errors": ["cannot do bad"]}


def test_counters_belong_to_the_call() -> None:
    hooks = Noting()
    step = make(hooks=hooks)
    for _ in range(2):
        step.run([{"content": "a"}])
    assert [facts["successful"] for name, facts in hooks.events if name == "end"] == [1, 1]


def test_values_are_what_a_replay_would_give() -> None:
    class Typed(BaseModel):
        when: datetime.datetime
        mood: Mood
        inner: Out

    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    given = Typed(when=moment, mood=Mood.good, inner=Out(status="x"))
    row = make(output_schema=Typed, llm_fn=lambda _: given).run([{"content": "a"}])[0]
    assert (row["when"], row["mood"], row["inner"]["status"]) == (moment, "good", "x")


def test_two_hundred_rows_that_do_nothing_take_less_than_a_second() -> None:
    start = time.perf_counter()
    make(llm_fn=lambda _: {}).run([{"content": str(number)} for number in range(200)])
    assert time.perf_counter() - start < 1
