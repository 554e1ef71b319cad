"""Rows and checkpoint of a transaction are committed together, on both back ends, whoever launched DBOS."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

from kurt.app.session import destroy_dbos, init_dbos
from kurt.config import Settings
from kurt.core.transactions import transaction
from kurt.db.engine import system_engine
from kurt.db.models import Document
from kurt.db.sessions import dispose_engines, get_engine, managed_session
from kurt.errors import UsageError
from kurt.runtime import datasource
from tests.support import durability

ROOT = Path(__file__).parents[2]


@transaction()
def store(ids: list[str], *, fail: bool = False) -> dict[str, Any]:
    with managed_session() as session:
        session.add_all([Document(id=each, uri=each) for each in ids])
    if fail:
        raise ValueError("no more")
    return {"stored": len(ids), "at": (1, 2)}


@transaction(name="outer")
def store_twice(ids: list[str]) -> int:
    store(ids[:1])
    with managed_session() as session:
        session.add(Document(id=ids[1], uri=ids[1]))
        session.flush()
        return session.connection().execute(sa.text("SELECT count(*) FROM documents")).scalar_one()


@DBOS.workflow(name="test_store")
def store_workflow(ids: list[str], fail: bool = False) -> dict[str, Any]:
    return store(ids, fail=fail)


@DBOS.workflow(name="test_store_async")
async def store_async_workflow(ids: list[str]) -> list[Any]:
    return [store(ids[:1]), await asyncio.to_thread(store, ids[1:])]


@DBOS.workflow(name="test_store_nested")
def nested_workflow(ids: list[str]) -> int:
    return store_twice(ids)


@DBOS.step(name="test_store_step")
def store_step(ids: list[str]) -> dict[str, Any]:
    return store(ids)


@DBOS.workflow(name="test_store_in_step")
def in_step_workflow(ids: list[str]) -> dict[str, Any]:
    return store_step(ids)


@pytest.fixture
def launched(database: Settings) -> Iterator[Settings]:
    init_dbos(settings=database)
    yield database
    destroy_dbos()
    dispose_engines()


@pytest.fixture
def chosen(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The project of the working directory, without DBOS."""
    monkeypatch.chdir(database.root)
    if not database.is_sqlite:
        monkeypatch.setenv("DATABASE_URL", database.database_url)
    yield database
    dispose_engines()
    datasource.forget()


def stored(settings: Settings) -> list[str]:
    with managed_session(settings) as session:
        return sorted(session.scalars(sa.select(Document.id)).all())


def checkpoints(settings: Settings) -> list[tuple[str, bool]]:
    """Steps that are recorded, and whether each succeeded."""
    table = "operation_outputs" if settings.is_sqlite else "dbos.operation_outputs"
    with get_engine(settings).connect() as connection:
        found = connection.execute(
            sa.text(f"SELECT function_name, error IS NULL FROM {table} ORDER BY function_id")
        )
        return [(row[0], bool(row[1])) for row in found]


def test_rows_and_checkpoint_are_stored(launched: Settings) -> None:
    assert store_workflow(["a", "b"]) == {"stored": 2, "at": [1, 2]}
    assert stored(launched) == ["a", "b"]
    assert checkpoints(launched) == [("store", True)]


def test_an_error_takes_the_rows_back(launched: Settings) -> None:
    with pytest.raises(ValueError, match="no more"):
        store_workflow(["a"], fail=True)
    assert stored(launched) == []
    assert checkpoints(launched) == [("store", False)]


async def test_an_async_workflow_may_call_it(launched: Settings) -> None:
    assert [each["stored"] for each in await store_async_workflow(["a", "b", "c"])] == [1, 2]
    assert await asyncio.to_thread(stored, launched) == ["a", "b", "c"]
    assert await asyncio.to_thread(checkpoints, launched) == [("store", True)] * 2


def test_a_transaction_inside_another_is_part_of_it(launched: Settings) -> None:
    assert nested_workflow(["a", "b"]) == 2
    assert checkpoints(launched) == [("outer", True)]


def test_in_a_step_it_is_part_of_the_step(launched: Settings) -> None:
    assert in_step_workflow(["a"])["stored"] == 1
    assert stored(launched) == ["a"]
    assert checkpoints(launched) == [("test_store_step", True)]


def test_another_project_in_the_same_process_has_its_own_rows(
    backend: str, database: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from kurt.db.migrate import ensure_schema
    from tests.support.database import project_settings

    url = request.getfixturevalue("postgres_url") if backend == "postgres" else None
    other = project_settings(tmp_path / "other", url)
    ensure_schema(other)
    for settings, name in ((database, "a"), (other, "b")):
        init_dbos(settings=settings)
        store_workflow([name])
        destroy_dbos()
    assert (stored(database), stored(other)) == (["a"], ["b"])
    dispose_engines()


def test_outside_a_workflow_it_is_a_plain_transaction(chosen: Settings) -> None:
    assert store(["a"])["stored"] == 1
    with pytest.raises(ValueError, match="no more"):
        store(["b"], fail=True)
    assert stored(chosen) == ["a"]


def test_it_works_under_a_launch_of_the_users_own(chosen: Settings) -> None:
    engine = system_engine(chosen)  # on old SQLite, DBOS's own cannot even launch
    DBOS(
        config=DBOSConfig(name="mine", system_database_url=chosen.database_url, system_database_engine=engine)
    )
    DBOS.launch()
    try:
        assert store_workflow(["a"])["stored"] == 1
        with pytest.raises(ValueError, match="no more"):
            store_workflow(["b"], fail=True)
        assert stored(chosen) == ["a"]
    finally:
        DBOS.destroy()
        engine.dispose()


def test_an_async_function_is_refused() -> None:
    async def persist() -> None: ...

    with pytest.raises(UsageError, match="persist is an async function") as caught:
        transaction()(persist)
    assert "asyncio.to_thread" in str(caught.value.hint)


def test_models_come_back_with_their_time_zone(chosen: Settings) -> None:
    with managed_session() as session:
        session.add(Document(id="a", uri="a", fetched_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - counts as UTC
    with managed_session() as session:
        found = session.get_one(Document, "a")
        assert found.fetched_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert found.created_at.tzinfo is not None
        found.title = "changed"
        session.flush()
        assert found.updated_at > found.created_at


def test_the_table_of_runs_is_found_without_its_schema(launched: Settings) -> None:
    store_workflow(["a"])
    with managed_session(launched) as session:
        row = session.connection().execute(sa.text("SELECT name FROM workflow_status")).one()
    assert row[0] == "test_store"


KILLED = r"""
import os, signal, sys
from dbos import DBOS
from sqlalchemy import event
from sqlalchemy.orm import Session
from kurt.core import destroy_dbos, init_dbos
from kurt.core.transactions import transaction
from kurt.db import managed_session
from kurt.db.models import Document

when = sys.argv[1]
calls = []

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

@transaction()
def store():
    os.write(1, b"called\n")  # prints of a run go to its log
    with managed_session() as session:
        session.add(Document(id="a", uri="a"))
    if when == "before":
        die()
    return 1

@DBOS.workflow(name="test_killed")
def killed_workflow():
    return store()

if when == "between":
    event.listen(Session, "after_commit", die)
init_dbos()
if when == "again":
    print("result", DBOS.retrieve_workflow("run").get_result())
else:
    from dbos import SetWorkflowID
    with SetWorkflowID("run"):
        killed_workflow()
destroy_dbos()
"""


def run_killed(settings: Settings, when: str) -> tuple[int, str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    if not settings.is_sqlite:
        environ["DATABASE_URL"] = settings.database_url
    command = [sys.executable, "-c", KILLED, when]
    with subprocess.Popen(
        command, cwd=settings.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        out, _ = process.communicate(timeout=60)
    if not settings.is_sqlite:
        durability.end_terms(settings.database_url, [process.pid])
    return process.returncode, out


def test_killed_before_the_commit_there_are_neither_rows_nor_checkpoint(database: Settings) -> None:
    assert run_killed(database, "before") == (-signal.SIGKILL, "called\n")
    assert stored(database) == []
    assert checkpoints(database) == []
    assert run_killed(database, "again") == (0, "called\nresult 1\n")
    assert stored(database) == ["a"]
    dispose_engines()


def test_killed_after_the_commit_it_is_not_called_again(database: Settings) -> None:
    """The rows and the datasource's checkpoint are stored, the step's own is not yet."""
    assert run_killed(database, "between") == (-signal.SIGKILL, "called\n")
    assert stored(database) == ["a"]
    assert checkpoints(database) == []
    assert run_killed(database, "again") == (0, "result 1\n")
    assert stored(database) == ["a"]
    dispose_engines()
