"""The read side over declared runs, as their interpreter stores them: envelopes, branches, summaries, large values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from kurt.config import Settings
from kurt.db.engine import system_engine
from kurt.errors import StorageError
from kurt.runtime import names, run_rows, serializer
from kurt.runtime.leases import open_lease
from kurt.runtime.readers_postgres import PostgresSource
from kurt.runtime.readers_sqlite import SqliteSource
from kurt.runtime.run_query import branches
from kurt.runtime.runs import RunQuery, RunReader, open_reader

START = 1_795_000_000_000  # milliseconds
Insert = Callable[..., None]


@pytest.fixture
def insert(database: Settings) -> Iterator[Insert]:
    """Writes rows into DBOS's tables: `insert("streams", key="k", ...)`."""
    engine = system_engine(database)
    schema = "" if database.is_sqlite else "dbos."

    def write(table: str, **values: Any) -> None:
        columns = ", ".join(f'"{column}"' for column in values)
        marks = ", ".join(f":{column}" for column in values)
        with engine.begin() as connection:
            connection.execute(sa.text(f"INSERT INTO {schema}{table} ({columns}) VALUES ({marks})"), values)

    yield write
    engine.dispose()


@pytest.fixture
def add_run(insert: Insert) -> Insert:
    def add(
        run_id: str, *, status: str = "PENDING", executor: str = "gone", output: Any = None, **more: Any
    ) -> None:
        attributes = more.pop(
            "attributes", {"kind": "yaml", "workflow": "Nightly", "file": "workflows/n.yaml"}
        )
        row = {
            "workflow_uuid": run_id,
            "status": status,
            "name": names.RUN_WORKFLOW,
            "executor_id": executor,
            "created_at": START,
            "updated_at": START,
            "priority": 0,
            "serialization": serializer.NAME,
            "attributes": json.dumps({"kurt": attributes}),
            "completed_at": START + 1000 if status == "SUCCESS" else None,
        }
        insert("workflow_status", **{**row, **more})
        if output is not None:
            insert("workflow_output", workflow_uuid=run_id, output=serializer.dumps(output))

    return add


@pytest.fixture
def add_step(insert: Insert) -> Insert:
    numbers: dict[str, int] = {}

    def add(run_id: str, name: str, envelope: Any, *, began: int = 0, ended: int = 1, **more: Any) -> None:
        numbers[run_id] = numbers.get(run_id, 0) + 1
        row = {
            "workflow_uuid": run_id,
            "function_id": numbers[run_id],
            "function_name": name,
            "output": None if envelope is None else serializer.dumps(envelope),
            "serialization": serializer.NAME,
            "started_at_epoch_ms": START + began,
            "completed_at_epoch_ms": START + ended,
        }
        insert("operation_outputs", **{**row, **more})

    return add


@pytest.fixture
def reader(database: Settings) -> Iterator[RunReader]:
    with open_reader(database) as opened:
        yield opened


def envelope(
    state: str = "succeeded", *, kind: str = "run", attempt: int = 1, value: Any = None, **more: Any
) -> Any:
    return {"ok": state != "failed", "state": state, "kind": kind, "attempt": attempt, **more, "value": value}


def test_a_declared_run_has_the_name_of_its_file_and_its_outputs(reader: RunReader, add_run: Insert) -> None:
    output = {
        "outputs": {"report": "a" * 20_000, "nul": "\u0000"},
        "summary": {"items_failed": 3, "items": 200},
    }
    add_run("r1", status="SUCCESS", output=output)
    (listed,) = reader.list(RunQuery(name="Nightly"))
    assert (listed.name, listed.kind, listed.file) == ("Nightly", "yaml", "workflows/n.yaml")
    assert listed.outputs is None
    run = reader.get("r1")
    assert run.outputs == output["outputs"]
    assert run.summary == {"items_failed": 3, "items": 200}
    assert run.to_json()["summary"] == {"items_failed": 3, "items": 200}


def test_runs_are_found_by_each_of_their_names_once_and_by_user_and_workspace(
    reader: RunReader, add_run: Insert
) -> None:
    facts = {"workflow": "Nightly", "user_id": "ana", "workspace_id": "w1"}
    add_run("r1", status="SUCCESS", created_at=START + 1, attributes=facts)
    add_run("r2", status="ERROR", created_at=START + 2, attributes={"workflow": names.RUN_WORKFLOW})
    add_run("r3", status="ERROR", created_at=START + 3, attributes={}, authenticated_user="ana")

    def found(**query: Any) -> list[str]:
        return [run.id for run in reader.list(RunQuery(**query))]

    assert found(name="Nightly") == ["r1"]
    assert found(name=names.RUN_WORKFLOW) == ["r3", "r2", "r1"]
    assert found(name=names.RUN_WORKFLOW, limit=1, offset=1) == ["r2"]
    assert found(name=names.RUN_WORKFLOW, status=("succeeded", "failed"), reverse=True) == ["r1", "r2", "r3"]
    assert found(user="ana") == ["r3", "r1"]
    assert found(workspace="w1") == ["r1"]
    assert found(name="other") == found(user="bob") == found(workspace="w2") == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (RunQuery(), "kurt_runs_newest"),
        (RunQuery(name="none"), "kurt_runs_shown_name"),
        (RunQuery(name="none"), "kurt_runs_name"),
        (RunQuery(name="none", status=("succeeded",)), "kurt_runs_shown_name"),
        (RunQuery(user="nobody"), "kurt_runs_user"),
        (RunQuery(workspace="none"), "kurt_runs_workspace"),
    ],
)
def test_a_listing_is_served_by_an_index(database: Settings, query: RunQuery, index: str) -> None:
    source = SqliteSource(database) if database.is_sqlite else PostgresSource(database)
    try:
        statement, values = run_rows.listing(query, branches(query, source.dialect, set()), source.dialect)
        if not database.is_sqlite:
            source.rows(
                "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_sort', 'off', false)"
            )
        plan = source.rows(f"{'EXPLAIN QUERY PLAN' if database.is_sqlite else 'EXPLAIN'} {statement}", values)
    finally:
        source.close()
    assert index in str(plan)


def test_a_list_shows_what_failed_without_failing_the_run(reader: RunReader, add_run: Insert) -> None:
    add_run(
        "r1",
        status="SUCCESS",
        output={"outputs": {"x": "y" * 50_000}, "summary": {"items_failed": 3, "items": 200}},
    )
    add_run("r2", status="SUCCESS", output={"outputs": None, "summary": {}})
    assert [run.summary for run in reader.list(RunQuery(reverse=True))] == [
        {"items_failed": 3, "items": 200},
        {},
    ]


def test_attempts_are_one_step(reader: RunReader, add_run: Insert, add_step: Insert) -> None:
    add_run("r1", status="SUCCESS", output={"outputs": None})
    error = {"type": "ExitCode", "message": "exit 1", "exit_code": 1}
    add_step("r1", "fetch", envelope("failed", error=error, next_at=START / 1000 + 5), began=0, ended=10)
    add_step(
        "r1",
        "fetch",
        envelope("failed", attempt=2, error=error, next_at=START / 1000 + 9),
        began=20,
        ended=30,
    )
    add_step("r1", "fetch", envelope(attempt=3, value=[1]), began=40, ended=50)
    assert reader.steps("r1")[0].value is None
    (step,) = reader.steps("r1", values=True)
    assert (step.path, step.kind, step.status, step.attempt, step.value) == (
        "fetch",
        "run",
        "succeeded",
        3,
        [1],
    )
    assert (step.error, step.next_at) == (None, None)
    assert step.seconds == pytest.approx(0.05)


def test_a_step_between_two_attempts(reader: RunReader, add_run: Insert, add_step: Insert) -> None:
    add_run("r1")
    add_step("r1", "fetch", envelope("failed", error={"type": "E", "message": "m"}, next_at=START / 1000 + 5))
    (step,) = reader.steps("r1")
    assert (step.status, step.completed_at) == ("retrying", None)
    assert step.next_at is not None
    assert step.next_at.timestamp() == START / 1000 + 5
    assert step.error == {"type": "E", "message": "m"}


def test_skipped_and_failed_steps(reader: RunReader, add_run: Insert, add_step: Insert) -> None:
    add_run("r1", status="ERROR")
    add_step("r1", "a", envelope("skipped"))
    add_step("r1", "b", envelope("failed", error={"type": "Timeout", "message": "too long"}), began=1)
    assert [(step.path, step.status) for step in reader.steps("r1")] == [("a", "skipped"), ("b", "failed")]
    assert reader.steps("r1")[1].to_json()["error"] == {"type": "Timeout", "message": "too long"}


@pytest.mark.parametrize(
    ("status", "shown"), [("PENDING", "interrupted"), ("CANCELLED", "cancelled"), ("ERROR", "cancelled")]
)
def test_a_block_that_was_opened_is_as_far_as_its_run(
    reader: RunReader, add_run: Insert, add_step: Insert, status: str, shown: str
) -> None:
    add_run("r1", status=status)
    add_step("r1", "pages", envelope("opened", kind="foreach", total=7))
    (step,) = reader.steps("r1")
    assert (step.kind, step.status, step.completed_at) == ("foreach", shown, None)


def test_a_running_run_shows_its_open_block_and_its_current_step(
    database: Settings, reader: RunReader, add_run: Insert, add_step: Insert, insert: Insert
) -> None:
    with open_lease(database, "worker") as lease:
        add_run("r1", executor=lease.id)
        add_step("r1", "pages", envelope("opened", kind="foreach"))
        current = {"workflow_uuid": "r1", "key": "current_step", "value": '"pages[a].fetch"'}
        insert("workflow_events", serialization=serializer.NAME, **current)
        assert [(step.path, step.status) for step in reader.steps("r1")] == [
            ("pages", "running"),
            ("pages[a].fetch", "running"),
        ]
    assert [step.status for step in reader.steps("r1")] == ["interrupted", "interrupted"]


def test_branches_at_any_depth_belong_to_their_run(
    reader: RunReader, add_run: Insert, add_step: Insert
) -> None:
    add_run("r1")
    branch = {"name": names.BRANCH_WORKFLOW, "attributes": {"kind": "branch"}}
    add_run("r1.aa", parent_workflow_id="r1", **branch)
    add_run("r1.bb", parent_workflow_id="r1.aa", **branch)
    add_run(
        "r1.cc", parent_workflow_id="r1", attributes={"kind": "yaml", "workflow": "Other", "path": "call"}
    )
    add_step("r1", "kurt.branch", None, child_workflow_id="r1.aa")
    add_step("r1", "DBOS.getResult", None)
    add_step("r1", "call", envelope("opened", kind="workflow"), began=1)
    add_step("r1", "kurt.run", None, child_workflow_id="r1.cc")
    add_step("r1.aa", "pages[a].fetch", envelope(), began=2)
    add_step("r1.bb", "pages[a].parts[1].cut", envelope(), began=3)
    add_step("r1.cc", "inner", envelope(), began=4)
    steps = reader.steps("r1")
    assert [(step.path, step.run_id, step.child_run_id) for step in steps] == [
        ("call", "r1", "r1.cc"),
        ("pages[a].fetch", "r1.aa", None),
        ("pages[a].parts[1].cut", "r1.bb", None),
    ]
    assert [step.path for step in reader.steps("r1.cc")] == ["inner"]
    assert [run.id for run in reader.list()] == ["r1"]
    assert sorted(run.id for run in reader.children("r1")) == ["r1.aa", "r1.cc"]


@pytest.mark.parametrize("nul", ["", "\u0000"])
def test_large_values_come_on_request_only(
    reader: RunReader, add_run: Insert, add_step: Insert, monkeypatch: pytest.MonkeyPatch, nul: str
) -> None:
    add_run("r1")
    add_step("r1", "big", envelope(value={"text": nul + "é" * 30_000, "value": 1}, note={"value": 2}))
    read: list[int] = []
    real = serializer.loads
    monkeypatch.setattr(serializer, "loads", lambda text: read.append(len(text)) or real(text))
    (step,) = reader.steps("r1")
    assert (step.status, step.value) == ("succeeded", None)
    assert nul or max(read, default=0) < 200
    assert reader.steps("r1", values=True)[0].value["text"].endswith("é" * 30_000)


def test_what_others_pickled_is_never_unpickled(
    reader: RunReader, add_run: Insert, add_step: Insert, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))
    pickled = {"serialization": "py_pickle"}
    add_run("r1", status="ERROR", name="theirs", attributes={}, **pickled)
    insert("workflow_output", workflow_uuid="r1", output="gASVBQAAAA==", error="gASVBQAAAA==")
    add_step("r1", "plain", None, output="gASVBQAAAA==", **pickled)
    insert("workflow_events", workflow_uuid="r1", key="k", value="gASVBQAAAA==", **pickled)
    insert("streams", workflow_uuid="r1", key="s", value="gASVBQAAAA==", offset=0, function_id=0, **pickled)
    run = reader.get("r1")
    opaque = {"opaque": "py_pickle", "size": 12}
    assert run.to_json()["outputs"] == opaque
    assert run.error == {"type": "Error", "message": "stored as py_pickle, which Kurt does not read"}
    assert reader.steps("r1", values=True)[0].to_json()["value"] == opaque
    assert reader.events("r1")["k"].to_json() == opaque
    assert reader.stream("r1", "s").to_json()["items"] == [opaque]


def test_an_event_taken_back_ends_the_waiting(reader: RunReader, add_run: Insert, insert: Insert) -> None:
    add_run("r1")
    add_run("r2")
    event = {"key": "waiting_for", "serialization": serializer.NAME}
    insert("workflow_events", workflow_uuid="r1", value='{"topic":"t"}', **event)
    insert("workflow_events", workflow_uuid="r2", value="null", **event)
    assert reader.get("r1").waiting_for == {"topic": "t"}
    assert {run.id: run.status for run in reader.list()} == {"r1": "waiting", "r2": "interrupted"}
    assert [run.id for run in reader.list(RunQuery(status=("waiting",)))] == ["r1"]
    assert [run.id for run in reader.list(RunQuery(status=("interrupted",)))] == ["r2"]
    assert reader.counts() == {"waiting": 1, "interrupted": 1}


def test_an_ended_run_does_not_wait(reader: RunReader, add_run: Insert, insert: Insert) -> None:
    add_run("r1", status="CANCELLED")
    insert(
        "workflow_events",
        workflow_uuid="r1",
        key="waiting_for",
        value='{"topic":"t"}',
        serialization=serializer.NAME,
    )
    assert (reader.get("r1").status, reader.get("r1").waiting_for) == ("cancelled", None)


def test_a_project_in_which_nothing_ran_has_no_runs(database: Settings) -> None:
    if database.is_sqlite:
        database.sqlite_path.unlink()
    with open_reader(database) as reader:
        assert reader.list() == []
        assert reader.counts() == {}
        assert reader.queue_depths() == []
    if database.is_sqlite:
        assert not database.sqlite_path.exists()


@pytest.mark.parametrize("backend", ["sqlite"])
class TestSqlite:
    def test_a_damaged_file_is_a_clear_error(self, database: Settings) -> None:
        database.sqlite_path.write_bytes(b"this is no database, whatever its name says" * 100)
        with open_reader(database) as reader, pytest.raises(StorageError, match="is damaged"):
            reader.list()

    def test_reading_never_writes(self, database: Settings) -> None:
        source = SqliteSource(database)
        with pytest.raises(StorageError, match="cannot be written"):
            source.rows("DELETE FROM @workflow_status")
        source.close()

    @pytest.mark.parametrize(
        "query",
        [
            RunQuery(),
            RunQuery(reverse=True),
            RunQuery(limit=10, offset=20),
            RunQuery(status=("running",)),
            RunQuery(status=("interrupted",)),
            RunQuery(status=("waiting",)),
            RunQuery(status=("queued",)),
            RunQuery(status=("scheduled",)),
            RunQuery(status=("failed",)),
            RunQuery(status=("cancelled", "stuck")),
            RunQuery(status=("succeeded",)),
            RunQuery(status=("running", "queued", "failed")),
            RunQuery(prefix="r00001"),
            RunQuery(parent="r000001"),
        ],
        ids=str,
    )
    def test_a_long_history_costs_a_list_nothing(self, database: Settings, query: RunQuery) -> None:
        """Steps of SQLite's machine, not time: 20,000 old runs with 20,000 children against 100 with 100."""
        few, many = (self._steps(database, count, query) for count in (100, 20_000))
        assert many < 2 * few + 2000

    @staticmethod
    def _steps(database: Settings, runs: int, query: RunQuery) -> int:
        with closing(sqlite3.connect(database.sqlite_path)) as connection, connection:
            connection.execute("DELETE FROM workflow_status")
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO workflow_status"
                " (workflow_uuid, status, name, executor_id, created_at, updated_at, priority, attributes, parent_workflow_id)"
                " SELECT printf('r%06d', i) || k, CASE WHEN i > 5 OR k <> '' THEN 'SUCCESS' ELSE"
                "  substr('PENDING  ENQUEUED DELAYED  ERROR    CANCELLED', i * 9 - 8, 9) END,"
                "  'kurt.run', 'gone', ? + i, 0, 0, '{}', CASE WHEN k <> '' THEN printf('r%06d', i) END"
                " FROM n, (SELECT '' AS k UNION ALL SELECT '.child')",
                (runs, START),
            )
            connection.execute("UPDATE workflow_status SET status = trim(status)")
        return machine_steps(database, lambda reader: reader.list(query))

    def test_a_page_of_a_stream_costs_the_page(self, database: Settings, add_run: Insert) -> None:
        add_run("r1")
        with closing(sqlite3.connect(database.sqlite_path)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                " INSERT INTO streams (workflow_uuid, key, value, offset, function_id, serialization)"
                " SELECT 'r1', 'logs', '1', i, 0, 'kurt_json' FROM n"
            )
        first, last = (
            machine_steps(database, lambda reader, offset=offset: reader.stream("r1", "logs", offset, 100))
            for offset in (0, 19_000)
        )
        assert last <= first + 10

    def test_the_steps_of_a_run_cost_that_run(
        self, database: Settings, add_run: Insert, add_step: Insert
    ) -> None:
        add_run("r000000")
        for number in range(20):
            add_step("r000000", f"s{number}", envelope())
        before = machine_steps(database, lambda reader: reader.steps("r000000"))
        with closing(sqlite3.connect(database.sqlite_path)) as connection, connection:
            for table in ("workflow_status", "operation_outputs"):
                connection.execute(f"CREATE TEMP TABLE one AS SELECT * FROM {table} LIMIT 1")
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                given = ", ".join("'o' || i" if name == "workflow_uuid" else f'"{name}"' for name in columns)
                connection.execute(
                    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                    f" INSERT INTO {table} SELECT {given} FROM n, one"
                )
                connection.execute("DROP TABLE one")
        assert machine_steps(database, lambda reader: reader.steps("r000000")) < 1.2 * before


def machine_steps(database: Settings, ask: Callable[[RunReader], object]) -> int:
    """How many steps SQLite's machine makes for a question: what it costs, whatever else the computer does."""
    source = SqliteSource(database)
    counted = [0]

    def tick() -> int:
        counted[0] += 1
        return 0

    assert source._connection is not None
    source._connection.set_progress_handler(tick, 1)
    ask(RunReader(source))
    source.close()
    return counted[0]
