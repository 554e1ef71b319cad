"""What Kurt uses of DBOS beyond its public interface: one test for each call, on both back ends.

A new release of DBOS that changes one of them fails here, with its name, and not somewhere in a recovery.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, SetWorkflowAttributes, SetWorkflowID

from kurt.config import Settings
from kurt.engine.interpreter.children import outcome_of
from kurt.errors import StepTimeoutError
from kurt.runtime import durable, names, operations, recovery
from kurt.runtime.ending import end_child
from kurt.runtime.engine import dbos_config, open_client, quiet_dbos
from kurt.runtime.queues import ensure_queues
from tests.support.dbos_rows import pretend, row
from tests.support.waiting import wait_until

QUEUE = "contract"
ME, DEAD = "session-here-1-aaaaaaaa", "session-there-2-bbbbbbbb"

go_on = threading.Event()
ran: list[str] = []


@DBOS.step(name="contract.one")
def one(word: str) -> str:
    ran.append(f"one {word}")
    return word


@DBOS.workflow(name="contract.simple")
def simple(word: str) -> str:
    return one(word)


@DBOS.workflow(name="contract.held")
def held(word: str) -> str:
    one(word)
    assert go_on.wait(20)
    return one(f"{word} again")


@DBOS.workflow(name="contract.parent")
def parent() -> None:
    with SetWorkflowID(f"{DBOS.workflow_id}.child"):
        DBOS.start_workflow(held, "child")
    held("own")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    go_on.clear()
    ran.clear()
    registry = recovery._get_or_create_dbos_registry()
    known = registry.workflow_info_map
    yield
    go_on.set()
    registry.workflow_info_map = known


@pytest.fixture
def client(database: Settings) -> Generator[DBOSClient]:
    with open_client(database) as client:
        ensure_queues(client, [QUEUE, names.DEFAULT_QUEUE])
        yield client


@contextmanager
def launched(
    settings: Settings, executor: str = ME, *, resolve: recovery.Resolver | None = None
) -> Generator[None]:
    """DBOS in this process, with the settings of an executor."""
    quiet_dbos()
    config = dbos_config(settings, executor)
    engine = config.get("system_database_engine")
    assert engine is not None
    DBOS(config=config)
    quiet_dbos()
    DBOS.listen_queues([QUEUE, names.items_queue(QUEUE)])
    if resolve is not None:
        recovery.install_resolver(resolve)
    DBOS.launch()
    try:
        yield
    finally:
        go_on.set()
        DBOS.destroy()
        engine.dispose()


def enqueue(client: DBOSClient, workflow: str, run_id: str, *arguments: Any) -> None:
    """Put a run on the queue, as Kurt does."""
    client.enqueue(
        {
            "workflow_name": workflow,
            "queue_name": QUEUE,
            "workflow_id": run_id,
            "app_version": names.APPLICATION_VERSION,
            "attributes": {names.ATTRIBUTES_KEY: {"queue": QUEUE}},
        },
        *arguments,
    )


def abandoned(client: DBOSClient, run_id: str, queue: str | None = QUEUE) -> None:
    """A run that a dead executor has left."""
    enqueue(client, "contract.simple", run_id, "word")
    pretend(client, run_id, status="PENDING", executor_id=DEAD, owner_xid="lost", queue_name=queue)


def result(client: DBOSClient, run_id: str) -> Any:
    """Wait for the end of a run; what it returned."""
    return client.retrieve_workflow(run_id).get_result(polling_interval_sec=0.05)


class TestRecovery:
    """`reenqueue_for_recovery` and what surrounds it."""

    def test_owners_are_those_of_pending_runs_and_of_private_queues(self, client: DBOSClient) -> None:
        database = recovery.database_of(client)
        assert recovery.pending_owners(database) == set()
        abandoned(client, "pending")
        enqueue(client, "contract.simple", "private", "word")
        pretend(client, "private", queue_name=names.private_queue("run-x-3-cccccccc"))
        enqueue(client, "contract.simple", "queued", "word")
        assert recovery.pending_owners(database) == {DEAD, "run-x-3-cccccccc"}

    def test_a_run_is_handed_back_once_and_only_if_its_owner_is_dead(self, client: DBOSClient) -> None:
        database = recovery.database_of(client)
        abandoned(client, "r")
        assert database.reenqueue_for_recovery("r", ["somebody-else"], QUEUE) is False
        assert row(client, "r").status == "PENDING"
        assert database.reenqueue_for_recovery("r", [DEAD], "other") is True
        found = row(client, "r")
        assert (found.status, found.queue_name, found.owner_xid) == ("ENQUEUED", QUEUE, None)
        assert database.reenqueue_for_recovery("r", [DEAD], QUEUE) is False

    def test_a_run_without_a_queue_goes_to_the_one_that_is_named(self, client: DBOSClient) -> None:
        abandoned(client, "r", queue=None)
        assert recovery.hand_back(recovery.database_of(client), [DEAD]) == ["r"]
        assert row(client, "r").queue_name == QUEUE

    def test_several_may_hand_back_the_same_runs_at_once(
        self, client: DBOSClient, database: Settings
    ) -> None:
        for number in range(20):
            abandoned(client, f"r{number}")
        moved: list[str] = []

        def reap() -> None:
            with open_client(database) as own:
                moved.extend(recovery.hand_back(recovery.database_of(own), [DEAD]))

        threads = [threading.Thread(target=reap) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(moved) == sorted(f"r{number}" for number in range(20))

    def test_what_waits_in_a_private_queue_of_a_dead_executor_goes_home(self, client: DBOSClient) -> None:
        private = names.private_queue(DEAD)
        client.register_queue(private)
        enqueue(client, "contract.simple", "r", "word")
        pretend(client, "r", queue_name=private)
        assert recovery.hand_back(recovery.database_of(client), [DEAD]) == ["r"]
        assert row(client, "r").queue_name == QUEUE
        assert private not in {queue.name for queue in client.list_queues()}

    def test_a_recovered_run_repeats_no_recorded_step(self, client: DBOSClient, database: Settings) -> None:
        enqueue(client, "contract.simple", "r", "word")
        with launched(database, DEAD):
            wait_until(lambda: row(client, "r").status == "SUCCESS", 20)
        pretend(client, "r", status="PENDING")  # as if it had died between its step and its end
        ran.clear()
        assert recovery.hand_back(recovery.database_of(client), [DEAD]) == ["r"]
        with launched(database):
            assert result(client, "r") == "word"
        assert ran == []
        assert (row(client, "r").executor_id, row(client, "r").recovery_attempts) == (ME, 2)

    def test_a_superseded_execution_records_nothing_more(
        self, client: DBOSClient, database: Settings
    ) -> None:
        with launched(database):
            with SetWorkflowID("r"):
                handle = DBOS.start_workflow(held, "word")
            wait_until(lambda: ran == ["one word"], 20)
            pretend(client, "r", executor_id=DEAD, owner_xid="another")
            go_on.set()
            wait_until(lambda: not recovery.active_runs(), 20)
            assert row(client, "r").status == "PENDING"
            assert operations_of(client, "r") == ["contract.one"]
            pretend(client, "r", status="SUCCESS")  # the execution waits for what the other one comes to
            assert handle.get_result() is None


def operations_of(client: DBOSClient, run_id: str) -> list[str]:
    """Names of the recorded steps of a run."""
    database = recovery.database_of(client)
    table = database.tables.operation_outputs
    query = (
        sa.select(table.c.function_name).where(table.c.workflow_uuid == run_id).order_by(table.c.function_id)
    )
    with database.engine.connect() as connection:
        return [row[0] for row in connection.execute(query)]


class TestExecution:
    """What an executor asks of the instance in its process."""

    def test_the_instance_has_the_database_and_knows_what_is_at_work(
        self, client: DBOSClient, database: Settings
    ) -> None:
        with launched(database):
            assert recovery.system_database().engine.url == recovery.database_of(client).engine.url
            assert recovery.active_runs() == []
            enqueue(client, "contract.held", "r", "word")
            wait_until(lambda: recovery.active_runs() == ["r"], 20)
            assert recovery.python_runs() == ["r"]
            assert recovery.status_of("r") == "PENDING"
            assert recovery.name_of("r") == "contract.held"
            assert recovery.first_argument(recovery.system_database(), "r") == "word"
            assert recovery.status_of("unknown") is None
            go_on.set()
            wait_until(lambda: recovery.active_runs() == [], 20)

    def test_an_executor_can_stop_taking_work(self, client: DBOSClient, database: Settings) -> None:
        with launched(database):
            enqueue(client, "contract.held", "first", "word")
            wait_until(lambda: recovery.active_runs() == ["first"], 20)
            recovery.stop_taking_work()
            wait_until(lambda: not pollers(), 10, what="the end of the threads that look at queues")
            enqueue(client, "contract.simple", "second", "word")
            go_on.set()  # what it has goes on
            wait_until(lambda: row(client, "first").status == "SUCCESS", 20)
            assert row(client, "second").status == "ENQUEUED"
            assert recovery.work_left(recovery.system_database(), [QUEUE])
            assert not recovery.work_left(recovery.system_database(), ["another"])

    def test_a_taken_run_asks_for_its_function_by_name(self, client: DBOSClient, database: Settings) -> None:
        asked: list[str] = []

        def resolve(name: str, *, child: bool = False) -> Callable[..., Any] | None:
            asked.append(name)
            return simple if name == "contract.nobody" else None

        with launched(database, resolve=resolve):
            enqueue(client, "contract.nobody", "r", "word")
            assert result(client, "r") == "word"
        assert "contract.nobody" in asked
        assert recovery.is_registered("contract.simple")
        assert not recovery.is_registered("contract.nobody")

    def test_a_run_that_is_given_back_is_taken_again(self, client: DBOSClient, database: Settings) -> None:
        tries: list[str] = []
        kept: list[str] = []
        deadline = int(time.time() + 3600) * 1000

        @DBOS.workflow(name="contract.picky")
        def picky() -> str:
            run_id = durable.current_run_id()
            tries.append(run_id)
            if len(tries) == 1:
                recovery.give_back(run_id)
                kept.append(row(client, run_id).deduplication_id)
            return "done"

        enqueue(client, "contract.picky", "r")
        pretend(client, "r", workflow_deadline_epoch_ms=deadline, deduplication_id="only one")
        with launched(database):
            wait_until(lambda: len(tries) == 2, 20)
            assert result(client, "r") == "done"
        assert row(client, "r").queue_name == QUEUE
        assert row(client, "r").workflow_deadline_epoch_ms == deadline
        assert kept == ["only one"]

    def test_a_step_knows_the_run_that_the_user_started(self, client: DBOSClient, database: Settings) -> None:
        places: list[Any] = []

        @DBOS.step(name="contract.where")
        def where() -> None:
            places.append(recovery.place())

        @DBOS.workflow(name="contract.lost")
        def lost() -> None:
            where()
            if not (DBOS.workflow_id or "").endswith(".child"):
                with SetWorkflowID(f"{DBOS.workflow_id}.child"):
                    DBOS.start_workflow(lost).get_result()

        assert recovery.place() is None
        with launched(database):
            enqueue(client, "contract.lost", "r")
            result(client, "r")
        assert places == [("r", "step-1"), ("r", "step-1")]


def pollers() -> list[str]:
    """Threads of this process that take work from the queue."""
    return [thread.name for thread in threading.enumerate() if thread.name == f"queue-worker-{QUEUE}"]


class TestInsideRuns:
    """What `kurt.runtime.durable` does beside a run."""

    def test_how_a_run_ended_is_read_without_a_number(self, client: DBOSClient, database: Settings) -> None:
        seen: list[Any] = []

        @DBOS.workflow(name="contract.bad")
        def bad() -> None:
            raise ValueError("it is bad")

        @DBOS.workflow(name="contract.looks")
        async def looks() -> None:
            await durable.start_child("contract.simple", "looks.good", ["word"], {"path": "good"})
            await durable.start_child("contract.bad", "looks.bad", [], {"path": "bad"})
            assert set(await durable.statuses(["looks.good", "looks.bad", "unknown"])) == {
                "looks.good",
                "looks.bad",
            }
            for run_id in ("looks.good", "looks.bad"):
                outcome = await outcome_of(run_id)
                seen.append((outcome.status, outcome.value, repr(outcome.error)))
            seen.append(await durable.outcome("looks"))
            seen.append(await durable.inputs_of("looks.good"))
            seen.append(await durable.checkpoints("looks.good", ["contract.one", "other"]))

        with launched(database):
            recovery.install_resolver(lambda name, *, child=False: None)
            enqueue(client, "contract.looks", "looks")
            result(client, "looks")
        assert seen[:2] == [("SUCCESS", "word", "None"), ("ERROR", None, "ValueError('it is bad')")]
        assert seen[2:] == [None, "word", {"contract.one": ["word"]}]
        assert operations_of(client, "looks") == ["contract.simple", "contract.bad"]
        assert row(client, "looks.good").attributes == {names.ATTRIBUTES_KEY: {"path": "good"}}
        assert row(client, "looks.good").parent_workflow_id == "looks"

    def test_a_child_that_its_parent_ends_has_failed_with_all_below_it(
        self, client: DBOSClient, database: Settings
    ) -> None:
        seen: list[Any] = []

        async def hang() -> None:
            ran.append("hangs")
            try:
                await asyncio.sleep(60)
            finally:
                ran.append("stopped")

        @DBOS.workflow(name="contract.below")
        async def below() -> None:
            await durable.Slot().run("hang", hang)

        @DBOS.workflow(name="contract.middle")
        async def middle() -> None:
            await durable.start_child("contract.below", "ends.below", [], {})
            await durable.start_child("contract.simple", "ends.done", ["word"], {})
            await outcome_of("ends.done")
            await durable.Slot().run("hang", hang)

        @DBOS.workflow(name="contract.ends")
        async def ends() -> None:
            await durable.start_child("contract.middle", "ends.middle", [], {})
            await asyncio.to_thread(wait_until, lambda: ran.count("hangs") == 2, 20)
            await end_child("ends.middle", StepTimeoutError("too long"))
            seen.append(ran.count("stopped"))
            for run_id in ("ends.middle", "ends.below"):
                outcome = await durable.outcome(run_id)
                seen.append(outcome and (outcome.status, repr(outcome.error)))

        with launched(database):
            recovery.install_resolver(lambda name, *, child=False: None)
            enqueue(client, "contract.ends", "ends")
            result(client, "ends")
        failed = ("ERROR", "StepTimeoutError('too long')")
        assert seen == [2, failed, failed]
        assert row(client, "ends.done").status == "SUCCESS"
        assert operations_of(client, "ends") == ["contract.middle"]

    def test_events_and_streams_are_written_without_a_number(
        self, client: DBOSClient, database: Settings
    ) -> None:
        @DBOS.workflow(name="contract.tells")
        async def tells() -> None:
            await asyncio.to_thread(durable.write_event, "tells", "colour", {"red": 1})
            await asyncio.to_thread(durable.write_event, "tells", "colour", {"red": 2})
            for number in range(3):
                await asyncio.to_thread(durable.append_stream, "tells", "numbers", number)

        with launched(database):
            enqueue(client, "contract.tells", "tells")
            result(client, "tells")
            assert client.get_event("tells", "colour", 5) == {"red": 2}
            assert list(client.read_stream("tells", "numbers")) == [0, 1, 2]
        assert operations_of(client, "tells") == []

    def test_a_child_takes_a_message_from_the_mailbox_of_its_run(
        self, client: DBOSClient, database: Settings
    ) -> None:
        got: list[Any] = []

        @DBOS.workflow(name="contract.listens")
        async def listens(topic: str) -> None:
            until = time.time() + 20
            for _ in range(2):
                await durable.take_message("root", topic, until)
                got.append(await durable.receive(topic, 0))

        @DBOS.workflow(name="contract.root")
        async def root() -> None:
            await durable.start_child("contract.listens", "root.child", ["go"], {})

        with launched(database):
            recovery.install_resolver(lambda name, *, child=False: None)
            enqueue(client, "contract.root", "root")
            result(client, "root")
            for message, topic in (("not this", "other"), ("first", "go"), ("second", "go"), ("third", "go")):
                client.send("root", message, topic)
            result(client, "root.child")
        assert got == ["first", "second"]
        table = recovery.database_of(client).tables.notifications
        with recovery.database_of(client).engine.connect() as connection:
            rows = connection.execute(sa.select(table.c.destination_uuid, table.c.consumed)).fetchall()
        left = sorted((destination, bool(consumed)) for destination, consumed in rows)
        assert left == [("root", False), ("root", False), ("root.child", True), ("root.child", True)]

    def test_reserved_numbers_do_not_depend_on_the_order_of_work(
        self, client: DBOSClient, database: Settings
    ) -> None:
        @DBOS.workflow(name="contract.reserves")
        async def reserves() -> list[str]:
            slots = [durable.Slot() for _ in range(3)]
            durable.burn(2)
            last = durable.Slot()

            async def word(number: int) -> str:
                await asyncio.sleep(0.1 * (3 - number))
                return f"word {number}"

            async def work(number: int) -> str:
                return await slots[number].run(f"slot-{number}", lambda: word(number))

            words = await asyncio.gather(*[work(number) for number in (2, 0, 1)])
            return [*words, await last.run("last", lambda: word(3))]

        with launched(database):
            enqueue(client, "contract.reserves", "r")
            words = result(client, "r")
        assert words == ["word 2", "word 0", "word 1", "word 3"]
        table = recovery.database_of(client).tables.operation_outputs
        with recovery.database_of(client).engine.connect() as connection:
            rows = connection.execute(sa.select(table.c.function_name, table.c.function_id)).fetchall()
        numbers = {row[0]: row[1] for row in rows}
        first = numbers["slot-0"]
        assert numbers == {"slot-0": first, "slot-1": first + 1, "slot-2": first + 2, "last": first + 5}


class TestSteering:
    """What `kurt.runtime.operations` does to runs from outside."""

    def test_cancelling_reaches_the_children(self, client: DBOSClient, database: Settings) -> None:
        with launched(database):
            with SetWorkflowAttributes({names.ATTRIBUTES_KEY: {"queue": QUEUE}}):
                enqueue(client, "contract.parent", "p")
            wait_until(lambda: sorted(ran) == ["one child", "one own"], 20)
            family = [(member.id, member.parent, member.status) for member in operations.family(client, "p")]
            assert family[0] == ("p", None, "PENDING")
            assert ("p.child", "p", "PENDING") in family
            operations.cancel(client, "p")
            assert {member.status for member in operations.family(client, "p")} == {"CANCELLED"}
            go_on.set()
            wait_until(lambda: not recovery.active_runs(), 20)
        assert sorted(ran) == ["one child", "one own"]

    def test_a_resumed_run_goes_to_the_queue_that_is_named(
        self, client: DBOSClient, database: Settings
    ) -> None:
        enqueue(client, "contract.simple", "r", "word")
        client.cancel_workflow("r")
        assert operations.resume(client, "r", alive=set()) == ["r"]
        assert (row(client, "r").status, row(client, "r").queue_name) == ("ENQUEUED", QUEUE)
        client.cancel_workflow("r")
        assert operations.resume(client, "r", alive=set(), private="elsewhere") == ["r"]
        assert row(client, "r").queue_name == "elsewhere"
        operations.cancel(client, "r")
        assert operations.delete(client, "r") == ["r"]
        assert operations_of(client, "r") == []
