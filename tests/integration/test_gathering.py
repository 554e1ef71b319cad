"""Items that are stored in groups, each with its rows in one commit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS

from kurt.core import init_dbos, run_workflow
from kurt.core.gathering import Gathering
from kurt.core.loops import wait_for
from kurt.core.rows import draw
from kurt.db import managed_session
from tests.support.waiting import wait_until

behaviour: dict[str, Any] = {}
done: list[int] = []


async def gather(count: int, batch: Any, *, group: int = 5) -> list[int]:
    async def prepare(items: Sequence[int]) -> tuple[Any, Any]:
        def write(connection: sa.Connection) -> None:
            connection.execute(
                sa.text("INSERT INTO gathered (item) VALUES (:item)"), [{"item": one} for one in items]
            )
            if behaviour.get("fail") in items:
                raise ValueError("no rows")

        return list(items), write

    def plainly(write: Any) -> None:
        with managed_session() as session:
            write(session.connection())

    gathering: Gathering[int] = Gathering(
        "gather", batch=batch, group=group, linger=0.1, prepare=prepare, plainly=plainly
    )
    before = {item for value in await gathering.recorded(count) for item in value}
    todo = iter([item for item in range(count) if item not in before])
    beside = asyncio.ensure_future(gathering.keep_storing())

    async def worker() -> None:
        for item in todo:
            await asyncio.sleep(0.02 if item % 3 else 0.001)
            done.append(item)
            if marks := behaviour.get("marks"):
                marks.write(f"{item}\n")
                marks.flush()
            await gathering.add(item)

    try:
        await asyncio.gather(*(worker() for _ in range(4)))
        await gathering.flush()
    finally:
        beside.cancel()
    return sorted(before)


@DBOS.workflow(name="gathering.test")
def gathering_workflow(count: int) -> list[int]:
    return wait_for(gather(count, draw(count)))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    behaviour.clear()
    done.clear()


def make_table() -> None:
    with managed_session() as session:
        session.connection().execute(sa.text("CREATE TABLE gathered (item INTEGER PRIMARY KEY)"))


def rows(project: Path) -> list[int]:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return [row[0] for row in connection.execute("SELECT item FROM gathered ORDER BY item")]


def checkpoints(project: Path) -> list[str]:
    query = (
        "SELECT function_name FROM operation_outputs WHERE function_name LIKE 'gather[%' ORDER BY function_id"
    )
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return [row[0] for row in connection.execute(query)]


def test_each_item_is_stored_once_in_groups(tmp_kurt_project: Path) -> None:
    make_table()
    run_workflow(gathering_workflow, 23)
    assert rows(tmp_kurt_project) == list(range(23))
    names = checkpoints(tmp_kurt_project)
    assert names == [f"gather[{index}]" for index in range(len(names))]
    assert 5 <= len(names) <= 8


def test_rows_that_cannot_be_written_leave_no_checkpoint(tmp_kurt_project: Path) -> None:
    make_table()
    behaviour["fail"] = 7
    with pytest.raises(ValueError, match="no rows"):
        run_workflow(gathering_workflow, 23)
    stored = rows(tmp_kurt_project)
    assert 7 not in stored
    assert len(stored) <= 5 * len(checkpoints(tmp_kurt_project))


def test_outside_of_a_workflow_it_stores_too(tmp_project: Path) -> None:
    make_table()
    wait_for(gather(7, None))
    assert rows(tmp_project) == list(range(7))


CHILD = """
import sys, time
from pathlib import Path
from kurt.core import init_dbos, run_workflow
from tests.integration import test_gathering as module
module.behaviour["marks"] = open("marks", "a")
init_dbos(queues=())
run_workflow(module.gathering_workflow, 60)
"""


def test_after_a_kill_only_what_was_not_stored_is_done_again(
    tmp_project: Path, reset_dbos_state: None
) -> None:
    make_table()
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], env={**os.environ, "PYTHONPATH": str(root)}, cwd=tmp_project
    )
    try:
        wait_until(lambda: len(checkpoints(tmp_project)) >= 3)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(rows(tmp_project)) < 60
    with (tmp_project / "marks").open("a") as marks:
        behaviour["marks"] = marks
        init_dbos(tmp_project)
        wait_until(lambda: len(rows(tmp_project)) == 60)
    repeated = Counter((tmp_project / "marks").read_text().split())
    assert set(repeated) == {str(item) for item in range(60)}
    assert sum(count - 1 for count in repeated.values()) <= 5 + 4
