"""Whose turn it is: never more than so many, in the order in which they asked, whoever asks at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOSClient

from kurt.config import Settings
from kurt.runtime import recovery, turns
from kurt.runtime.engine import open_client
from tests.support.database import backend, database, postgres_server

__all__ = ["backend", "database", "postgres_server"]


@pytest.fixture
def runs(database: Settings) -> Iterator[Any]:
    """DBOS's database, and a function that gives a run a state."""
    client: DBOSClient
    with open_client(database) as client:
        system = recovery.database_of(client)
        table = system.tables.workflow_status

        def put(run_id: str, status: str) -> None:
            with system.engine.begin() as connection:
                connection.execute(sa.delete(table).where(table.c.workflow_uuid == run_id))
                row = {
                    "workflow_uuid": run_id,
                    "status": status,
                    "name": "n",
                    "created_at": 1,
                    "updated_at": 1,
                }
                connection.execute(sa.insert(table).values(**row, priority=0))

        yield SimpleNamespace(database=system, put=put)


def ask(runs: Any, run_id: str, limit: int = 1, key: str = "f.yaml") -> list[str]:
    return turns.ask(runs.database, key, run_id, limit)


def test_the_next_is_who_asked_first_and_nobody_passes_by(runs: Any) -> None:
    for run in "abcd":
        runs.put(run, "PENDING")
    assert ask(runs, "a") == []
    assert ask(runs, "a") == [], "asked again, it still has its turn"
    assert ask(runs, "b") == ["a"]
    assert ask(runs, "c") == ["a", "b"]
    runs.put("a", "SUCCESS")
    assert ask(runs, "c") == ["b"], "nobody is at work, and yet it is not its turn"
    assert turns.in_the_way(runs.database, "f.yaml", "c") == []
    assert ask(runs, "b") == []
    assert turns.in_the_way(runs.database, "f.yaml", "c") == ["b"]
    runs.put("b", "CANCELLED")
    assert ask(runs, "c") == []
    assert ask(runs, "d", key="other.yaml") == [], "another workflow has turns of its own"


def test_who_asks_no_more_is_passed_over(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in "abc":
        runs.put(run, "PENDING")
    assert ask(runs, "a") == []
    assert ask(runs, "b") == ["a"]
    runs.put("a", "ERROR")
    now = turns.time.time()
    monkeypatch.setattr(turns.time, "time", lambda: now + 11)
    assert ask(runs, "c") == []


def test_a_run_that_was_cancelled_and_goes_on_asks_again(runs: Any) -> None:
    for run in "ab":
        runs.put(run, "PENDING")
    assert ask(runs, "a") == []
    runs.put("a", "CANCELLED")
    assert ask(runs, "b") == []
    runs.put("a", "PENDING")
    assert ask(runs, "a") == ["b"]


def test_many_that_ask_at_once_get_no_more_turns_than_there_are(runs: Any) -> None:
    names = [f"r{number}" for number in range(12)]
    for run in names:
        runs.put(run, "PENDING")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda run: ask(runs, run, limit=3), names))
    assert sum(answer == [] for answer in answers) == 3
    again = [ask(runs, run, limit=3) for run in names]
    assert sum(answer == [] for answer in again) == 3
