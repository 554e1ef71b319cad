"""Steps of the core inside real workflows: where they may stand, what watchers see, whose DBOS it is."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import pytest
from dbos import DBOS
from pydantic import BaseModel
from sqlmodel import Field, SQLModel, select

from kurt.core import (
    EmbeddingStep,
    LLMStep,
    SaveStep,
    StepHooks,
    bytes_to_embedding,
    format_live_status,
    format_step_logs,
    generate_document_embedding,
    generate_embeddings,
    get_live_status,
    get_progress_page,
    get_step_logs,
    get_step_logs_page,
    log_item,
    read_workflow_events,
    read_workflow_streams,
    run_workflow,
    step_log,
    track_step,
    update_step_progress,
)
from kurt.db import ensure_tables, managed_session
from kurt.errors import DataError, UsageError


class Out(BaseModel):
    text: str = ""


def call(prompt: str) -> Any:
    if prompt == "bad":
        raise ValueError("no answer")
    return Out(text=prompt), {"tokens_in": 3, "cost": 0.25}


class Telling(StepHooks):
    def on_result(self, *, step_name: str, idx: int, total: int, status: str, error: str | None) -> None:
        DBOS.set_event(f"row-{idx}", status)


step = LLMStep(
    name="tell",
    input_columns=["content"],
    prompt_template="{content}",
    output_schema=Out,
    llm_fn=call,
    hooks=Telling(),
)
embed = EmbeddingStep(name="embed", input_column="content", batch_size=4)
TABLE = [{"content": "a"}, {"content": "bad"}, {"content": "c"}]


class Item(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "core_test_items"
    id: int | None = Field(default=None, primary_key=True)
    address: str
    count: int = 0


save = SaveStep("save", Item, key=["address"])


@DBOS.workflow(name="core.tell")
def tell() -> list[str]:
    return [row["tell_status"] for row in step.run(TABLE)]


@DBOS.workflow(name="core.tell_async")
async def tell_async() -> list[str]:
    with pytest.raises(UsageError, match=r"LLMStep\.run would block"):
        step.run(TABLE)
    return [row["tell_status"] for row in await step.run_async(TABLE)]


@DBOS.step(name="core.wrong")
def wrong() -> None:
    step.run(TABLE)


@DBOS.step(name="core.wrong_embedding")
def wrong_embedding() -> None:
    embed.run(TABLE)


@DBOS.step(name="core.wrong_start")
def wrong_start() -> None:
    run_workflow(tell)


@DBOS.step(name="core.vectors")
def vectors() -> int:
    return len(generate_embeddings(["a", "b"]))


@DBOS.workflow(name="core.misplaced")
def misplaced() -> list[str]:
    found: list[str] = []
    for one in (wrong, wrong_embedding, wrong_start):
        try:
            one()
        except UsageError as error:
            found.append(f"{error.message}; {error.hint}")
    return [*found, str(vectors())]


@DBOS.workflow(name="core.tracked")
def tracked() -> None:
    with track_step("fetch", total=2):
        update_step_progress(1)
        log_item("page-1", counter=(1, 2), elapsed=0.5)
        step_log("half of it", level="warning", step_name="fetch", metadata={"n": 1})
    with track_step("fail"):
        raise ValueError("broken")


@DBOS.workflow(name="core.saved")
def saved(rows: list[dict[str, Any]]) -> Any:
    return save.run(rows)


@DBOS.workflow(name="core.embedded")
def embedded(count: int) -> list[int]:
    rows = embed.run([{"content": f"text {index}"} for index in range(count)])
    return [len(bytes_to_embedding(row["embedding"])) for row in rows]


@DBOS.workflow(name="core.parent")
def parent() -> list[str]:
    return run_workflow(tell)


@DBOS.dbos_class("core.Teller")
class Teller:
    @staticmethod
    @DBOS.workflow(name="core.static")
    def static() -> list[str]:
        return [row["tell_status"] for row in step.run(TABLE)]


STATES = ["success", "error", "success"]


def test_rows_in_plain_asynchronous_and_static_workflows(tmp_kurt_project: Path) -> None:
    assert run_workflow(tell) == STATES
    assert asyncio.run(tell_async()) == STATES
    assert Teller.static() == STATES


def test_the_work_of_a_child_is_seen_and_paid_by_the_run(tmp_kurt_project: Path) -> None:
    handle = DBOS.start_workflow(parent)
    assert handle.get_result() == STATES
    run_id = handle.workflow_id
    assert [one["name"] for one in get_live_status(run_id)["steps"]] == ["tell"]
    database = sqlite3.connect(tmp_kurt_project / ".kurt" / "kurt.sqlite")
    rows = database.execute("SELECT run_id, scope, state, cost FROM llm_traces ORDER BY row").fetchall()
    database.close()
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (run_id, "succeeded", 0.25),
        (run_id, "failed", None),
        (run_id, "succeeded", 0.25),
    ]
    assert all(row[1] for row in rows)


def test_what_watchers_see(tmp_kurt_project: Path) -> None:
    handle = DBOS.start_workflow(tell)
    handle.get_result()
    run_id = handle.workflow_id
    status = get_live_status(run_id)
    assert (status["status"], status["progress"]) == ("succeeded", {"current": 3, "total": 3})
    shown = status["steps"][0]
    assert (shown["status"], shown["success"], shown["error"]) == ("partial", 2, 1)
    assert (shown["tokens_in"], shown["cost"]) == (6, 0.5)
    assert status["last_log"]["message"] == "row 1 failed: ValueError: no answer"
    assert "tell: partial 3/3, 1 failed" in format_live_status(status)
    events = read_workflow_events(run_id)
    assert [events[f"row-{index}"] for index in range(3)] == STATES
    assert (events["stage_status"], events["stage_total"]) == ("partial", 3)
    assert "ERROR [tell] row 1 failed" in format_step_logs(get_step_logs(run_id))
    page = get_progress_page(run_id, limit=1)
    assert (len(page["items"]), page["next_offset"], page["has_more"]) == (1, 1, True)
    last = get_progress_page(run_id, since_offset=page["next_offset"])
    assert last["items"][-1]["current"] == 3
    assert not last["has_more"]
    assert get_step_logs_page(run_id, since_offset=1)["items"] == []
    assert len(read_workflow_streams(run_id, key="logs")) == 1


def test_a_step_whose_body_raises_has_failed(tmp_kurt_project: Path) -> None:
    handle = DBOS.start_workflow(tracked)
    with pytest.raises(ValueError, match="broken"):
        handle.get_result()
    status = get_live_status(handle.workflow_id)
    assert status["status"] == "failed"
    assert [(one["name"], one["status"]) for one in status["steps"]] == [
        ("fetch", "success"),
        ("fail", "error"),
    ]
    assert status["steps"][0]["current"] == 1
    messages = [line["message"] for line in get_step_logs(handle.workflow_id)]
    assert messages == ["[1/2] page-1: success (0.5 s)", "half of it", "fail failed: broken"]


def test_what_a_step_may_not_do_is_said_with_its_remedy(tmp_kurt_project: Path) -> None:
    found = run_workflow(misplaced)
    assert found[0].startswith("LLMStep.run must be called from a workflow, not from a step; take it out")
    assert found[1].startswith("EmbeddingStep.run must be called from a workflow, not from a step")
    assert "generate_embeddings(texts)" in found[1]
    assert found[2].startswith("run_workflow must be called from a workflow, not from a step")
    assert found[3] == "2"


def test_rows_are_saved_and_brought_up_to_date(tmp_kurt_project: Path) -> None:
    ensure_tables([Item])
    first = run_workflow(saved, [{"address": "a", "count": 1, "more": "x"}, {"address": "b"}])
    assert first == {"inserted": 2, "updated": 0, "skipped": 0, "errors": []}
    second = run_workflow(saved, [{"address": "a", "count": 5}, {"address": "c", "count": 2}])
    assert (second["inserted"], second["updated"]) == (1, 1)
    with pytest.raises(DataError, match="row 1 of step 'save': count"):
        run_workflow(saved, [{"address": "d"}, {"address": "e", "count": "many"}])
    lenient = SaveStep("save_some", Item, key=["address"], on_row_error="skip")
    assert lenient.run([{"address": "d"}, {"count": 1}])["errors"] == [
        {"row": 1, "error": "address: Field required"}
    ]
    with managed_session() as session:
        found = session.exec(select(Item).order_by(Item.address)).all()
    assert [(item.address, item.count) for item in found] == [("a", 5), ("b", 0), ("c", 2), ("d", 0)]


def test_vectors_are_one_checkpoint_a_batch(tmp_kurt_project: Path) -> None:
    handle = DBOS.start_workflow(embedded, 10)
    assert handle.get_result() == [512] * 10
    names = [one["function_name"] for one in DBOS.list_workflow_steps(handle.workflow_id)]
    assert sorted(names) == ["embed[0]", "embed[1]", "embed[2]"]
    assert get_live_status(handle.workflow_id)["steps"][0]["current"] == 10
    assert len(generate_document_embedding("x" * 5000)) == 4 * 512


OWN_DBOS = """
from dbos import DBOS, DBOSConfig
from pydantic import BaseModel
from kurt.core import LLMStep

class Out(BaseModel):
    text: str

step = LLMStep(name="s", input_columns=["c"], prompt_template="{c}", output_schema=Out,
               llm_fn=lambda prompt: {"text": prompt}, concurrency=7)

@DBOS.workflow()
def plain():
    return [row["text"] for row in step.run([{"c": n} for n in range(20)])]

DBOS(config=DBOSConfig(name="mine-alone", system_database_url="sqlite:///mine.sqlite", log_level="ERROR"))
DBOS.launch()
handle = DBOS.start_workflow(plain)
assert handle.get_result() == [str(n) for n in range(20)]
print(len(DBOS.list_workflow_steps(handle.workflow_id)))
DBOS.destroy()
"""


def test_rows_under_a_dbos_that_is_not_kurts(tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(textwrap.dedent(OWN_DBOS))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["20"], done.stderr
    assert not (tmp_path / ".kurt").exists()


@DBOS.step(name="core.counting")
def counting_step() -> None:
    DBOS.set_event("stage_total", 4)
    for index in range(4):
        DBOS.set_event("stage_current", index + 1)
        entry = {"step": "core.counting", "idx": index, "total": 4, "status": "success", "timestamp": 1.0}
        DBOS.write_stream("progress", entry)


@DBOS.workflow(name="core.counted")
def counted() -> dict[str, Any]:
    with track_step("count"):
        counting_step()
    return get_live_status(str(DBOS.workflow_id))


def test_a_step_may_count_for_itself(tmp_kurt_project: Path) -> None:
    status = run_workflow(counted)
    assert status["progress"] == {"current": 4, "total": 4}
    shown = [(one["name"], one["status"], one["current"], one["total"]) for one in status["steps"]]
    assert shown == [("count", "success", 0, 0), ("core.counting", "success", 4, 4)]


def test_rows_of_one_key_in_one_call_are_one_row(tmp_kurt_project: Path) -> None:
    ensure_tables([Item])
    given = [{"address": "a", "count": 1}, {"address": "b", "count": 2}, {"address": "a", "count": 3}]
    found = run_workflow(saved, given)
    assert (found["inserted"], found["updated"]) == (2, 1)
    plain = SaveStep("save_plain", Item)
    assert plain.run([{"address": "c"}] * 1000)["inserted"] == 1000
    with managed_session() as session:
        stored = session.exec(select(Item).order_by(Item.address)).all()
    assert [(item.address, item.count) for item in stored][:2] == [("a", 3), ("b", 2)]
    assert len({item.id for item in stored}) == 1002
