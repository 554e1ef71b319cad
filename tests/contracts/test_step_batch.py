"""Many steps at once: to DBOS they are ordinary steps, on both back ends. Covers the private calls of `runtime.step_batch`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID
from dbos import error as dbos_error

from kurt.config import Settings
from kurt.errors import RemoteError
from kurt.runtime import place, recovery
from kurt.runtime.engine import dbos_config, quiet_dbos
from kurt.runtime.step_batch import SEGMENT, StepBatch

pytestmark = pytest.mark.timeout(30)

ran: list[int] = []
behaviour: dict[str, Any] = {}


async def _all(batch: StepBatch, count: int, name: str = "row") -> list[Any]:
    results: list[Any] = [None] * count
    todo = iter(range(count))

    async def worker() -> None:
        for index in todo:
            found, value = await batch.recorded(index, f"{name}[{index}]")
            results[index] = (
                value if found else await batch.run(index, f"{name}[{index}]", partial(_work, index))
            )

    await asyncio.gather(*[worker() for _ in range(20)])
    return results


async def _work(index: int) -> dict[str, Any]:
    ran.append(index)
    assert place.in_step()
    assert DBOS.step_id is not None
    if (stop := behaviour.get("stop")) is not None and len(ran) > stop:
        raise RuntimeError("stop")
    if behaviour.get("cancel") == len(ran):
        await asyncio.to_thread(recovery.system_database().cancel_workflows, ["cancelled"])
    await asyncio.sleep(0.001 * (index % 3))
    return {"index": index}


@DBOS.step(name="batch.after")
async def after(word: str) -> str:
    return word


@DBOS.workflow(name="batch.rows")
async def rows(count: int) -> dict[str, Any]:
    found = await _all(StepBatch(count), count, behaviour.get("name", "row"))
    return {"sum": sum(one["index"] for one in found), "after": await after("word")}


@pytest.fixture(autouse=True)
def _launched(database: Settings) -> Iterator[None]:
    ran.clear()
    behaviour.clear()
    quiet_dbos()
    config = dbos_config(database, "session-here-1-aaaaaaaa")
    engine = config.get("system_database_engine")
    assert engine is not None
    DBOS(config=config)
    quiet_dbos()
    DBOS.launch()
    yield
    DBOS.destroy()
    engine.dispose()


def checkpoints(run_id: str) -> list[Any]:
    database = recovery.system_database()
    table = database.tables.operation_outputs
    query = sa.select(table).where(table.c.workflow_uuid == run_id).order_by(table.c.function_id)
    with database.engine.connect() as connection:
        return list(connection.execute(query))


def test_each_step_has_a_checkpoint_with_the_columns_that_dbos_itself_fills() -> None:
    with SetWorkflowID("plain"):
        assert asyncio.run(rows(50)) == {"sum": 1225, "after": "word"}
    found = checkpoints("plain")
    assert [row.function_name for row in found] == [*[f"row[{index}]" for index in range(50)], "batch.after"]
    assert [row.function_id for row in found] == list(range(found[0].function_id, found[0].function_id + 51))
    ours, theirs = found[0]._mapping, found[-1]._mapping
    assert {name for name in theirs if theirs[name] is None} == {name for name in ours if ours[name] is None}
    same = ["workflow_uuid", "serialization", "application_name"]
    assert [ours[name] for name in same] == [theirs[name] for name in same]
    assert abs(ours["retention_timestamp"] - theirs["retention_timestamp"]) < 60_000
    steps = DBOS.list_workflow_steps("plain")
    assert steps[3]["output"] == {"index": 3}


def test_recorded_steps_do_not_run_again_after_a_failure_in_the_middle() -> None:
    count = SEGMENT + 200
    behaviour["stop"] = count - 100
    with SetWorkflowID("again"), pytest.raises(RuntimeError, match="stop"):
        asyncio.run(rows(count))
    kept = len(checkpoints("again"))
    assert kept >= count - 100 - 20
    behaviour.clear()
    ran.clear()
    handle = DBOS.fork_workflow("again", 10_000)
    assert handle.get_result()["sum"] == count * (count - 1) // 2
    assert len(ran) == count - kept


def test_a_cancelled_run_stops_with_what_is_at_work() -> None:
    behaviour["cancel"] = 100
    with SetWorkflowID("cancelled"), pytest.raises(dbos_error.DBOSAwaitedWorkflowCancelledError):
        asyncio.run(rows(5000))
    assert len(ran) < 400


def test_an_execution_that_lost_the_run_records_nothing() -> None:
    status = recovery.system_database().tables.workflow_status

    async def lose(index: int) -> dict[str, Any]:
        with recovery.system_database().engine.begin() as connection:
            connection.execute(
                sa.update(status).where(status.c.workflow_uuid == "lost").values(owner_xid="b")
            )
        return {"index": index}

    @DBOS.workflow(name="batch.lost")
    async def lost() -> str:
        batch = StepBatch(1)
        with pytest.raises(dbos_error.DBOSWorkflowConflictIDError):
            await batch.run(0, "row[0]", lambda: lose(0))
        raise RuntimeError("refused")

    async def start() -> None:
        with SetWorkflowID("lost"):
            await DBOS.start_workflow_async(lost)
        await asyncio.sleep(0.5)

    asyncio.run(start())
    assert checkpoints("lost") == []


def test_another_step_under_a_recorded_number_is_named() -> None:
    with SetWorkflowID("first"):
        asyncio.run(rows(3))
    behaviour["name"] = "other"
    with pytest.raises(RemoteError, match=r"row\[0\] was recorded when other\[0\] was expected"):
        DBOS.fork_workflow("first", 10_000).get_result()


def test_a_number_that_is_taken_is_an_error_of_that_step_alone() -> None:
    @DBOS.workflow(name="batch.taken")
    async def taken() -> list[str]:
        batch = StepBatch(2)
        await batch.run(0, "row[0]", lambda: _work(0))
        outcomes = await asyncio.gather(
            batch.run(0, "row[0]", lambda: _work(0)),
            batch.run(1, "row[1]", lambda: _work(1)),
            return_exceptions=True,
        )
        return [type(outcome).__name__ for outcome in outcomes]

    assert asyncio.run(taken()) == ["DBOSStepNondeterminismError", "dict"]


def test_outside_of_a_workflow_there_are_no_steps() -> None:
    with pytest.raises(RuntimeError, match="body of a workflow"):
        StepBatch(1)
