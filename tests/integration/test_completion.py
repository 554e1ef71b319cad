"""Calls of models from inside steps of a run, from threads, and outside of any run."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from pydantic import BaseModel

from kurt.config import Settings, load_settings
from kurt.core.completion import Held, Terms, calls_here, complete_here
from kurt.llm.budget import Budget
from kurt.llm.errors import BudgetSpentError, ServerError
from kurt.llm.types import Message, Request
from kurt.testing.faults import server_error
from kurt.testing.model_server import ModelServer

THREADS = 50
world: dict[str, Any] = {}


class Verdict(BaseModel):
    score: int


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def settings(server: ModelServer, tmp_kurt_project: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    given = {"KURT_LLM__BASE_URL": server.url, "KURT_LLM__MODEL": "openai/fake", "OPENAI_API_KEY": "a-key"}
    prices = {"KURT_LLM__PRICES": "openai/fake=1000/1000"}
    world["settings"] = load_settings(tmp_kurt_project, environ={**given, **prices})
    return world["settings"]


def question(prompt: str) -> Request:
    return Request("", (Message("user", prompt),))


def terms(**more: Any) -> Terms:
    return Terms(step="ask", settings=world["settings"], **more)


@DBOS.step(name="completion.ask")
async def ask_once(prompt: str) -> int:
    answer = await complete_here(
        question(prompt), terms(mask=lambda text: text.replace("secret", "***")), Verdict
    )
    return answer.value.score


@DBOS.step(name="completion.threads")
async def ask_from_threads() -> list[str]:
    calls, loop = await calls_here(terms()), asyncio.get_running_loop()

    def one(number: int) -> str:
        return asyncio.run_coroutine_threadsafe(calls.complete(question(f"<{number}>")), loop).result(30).text

    found = await asyncio.gather(*[asyncio.to_thread(one, number) for number in range(THREADS)])
    return [*found, str(calls.made)]


@DBOS.workflow(name="completion.flow")
async def flow() -> list[Any]:
    return [await ask_once("first secret"), await ask_once("second"), await ask_from_threads()]


def run(workflow: Any) -> Any:
    return DBOS.start_workflow(workflow)


def traces(project: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM llm_traces ORDER BY id")]


@pytest.mark.usefixtures("settings")
def test_calls_of_steps_are_traced_once(tmp_kurt_project: Path, server: ModelServer) -> None:
    handle = run(flow)
    first, second, rest = handle.get_result()
    assert (first, second, rest[-1]) == (42, 42, str(THREADS))
    assert rest[:-1] == ["A plain answer."] * THREADS
    found = traces(tmp_kurt_project)
    assert len(found) == len(server.arrivals) == THREADS + 2
    assert {(one["run_id"], one["step"], one["state"]) for one in found} == {
        (handle.workflow_id, "ask", "succeeded")
    }
    assert len({(one["scope"], one["row"]) for one in found}) == THREADS + 2
    assert sum(one["tokens_in"] for one in found) == server.counts()["tokens_in"]
    assert found[0]["prompt"] == "first ***"
    DBOS.fork_workflow(handle.workflow_id, 3).get_result()
    assert len(traces(tmp_kurt_project)) == len(server.arrivals) == 2 * THREADS + 2


@DBOS.step(name="completion.poor")
async def poor(tokens: int, partial: bool) -> list[bool]:
    budget = Budget(tokens=tokens, scope="run", on_spent="partial" if partial else "fail")
    calls = await calls_here(terms(budgets=[Held(budget)]))
    said: list[bool] = []
    for number in range(5):
        try:
            await calls.ask(question(f"<{number}>"))
            said.append(True)
        except BudgetSpentError as error:
            said.append(error.partial is not partial)
    return said


@DBOS.workflow(name="completion.poor_flow")
async def poor_flow() -> list[list[bool]]:
    return [await poor(4, False), await poor(9, True)]


@pytest.mark.usefixtures("settings")
def test_budgets_count_what_the_run_has_spent(server: ModelServer) -> None:
    first, second = run(poor_flow).get_result()
    assert first == [True, False, False, False, False]
    assert 0 < sum(second) < 4
    assert len(server.arrivals) == 1 + sum(second)


def test_outside_of_a_run_nothing_is_traced(
    settings: Settings, tmp_kurt_project: Path, server: ModelServer
) -> None:
    server.script("<broken>", server_error(), server_error())

    async def ask() -> list[str]:
        kept = Terms(step="ask", settings=settings, cache=timedelta(days=1))
        said = [(await complete_here(question("<kept>"), kept)).text for _ in range(2)]
        calls = await calls_here(Terms(step="ask", settings=settings, retry=1))
        with pytest.raises(ServerError):
            await calls.ask(question("<broken>"))
        vectors = (await calls.embed(["a", "b"], dimensions=4)).vectors
        return [*said, str(calls.made), str([len(vector) for vector in vectors])]

    assert asyncio.run(ask()) == ["A plain answer.", "A plain answer.", "1", "[4, 4]"]
    assert [one.prompt for one in server.arrivals] == ["<kept>", "<broken>"]
    assert traces(tmp_kurt_project) == []
