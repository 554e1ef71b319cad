"""The read side agrees with DBOS's own client, on both back ends, over runs that DBOS itself made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kurt.config import Settings
from kurt.errors import AmbiguousIdError, NotFoundError, UsageError
from kurt.runtime import serializer
from kurt.runtime.engine import open_client
from kurt.runtime.reading import jsonable
from kurt.runtime.runs import QueueDepth, RunQuery, RunReader, open_reader
from kurt.runtime.states import STATES
from tests.support.database import BACKENDS, project_settings
from tests.support.postgres import Server

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class World:
    """A filled database.

    Attributes:
        settings: its project.
        executor: the executor that lives.
    """

    settings: Settings
    executor: str


@pytest.fixture(scope="module", params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    server: Server | None = (
        request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    )
    name = server.create() if server else ""
    url = server.url(name) if server else ""
    command = [sys.executable, "-m", "tests.support.reader_world", str(root), url]
    settings = project_settings(root, url)
    assert subprocess.run([*command, "dead"], cwd=ROOT, check=False).returncode == 9
    with subprocess.Popen(
        [*command, "live"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        word, executor = process.stdout.readline().split()
        assert word == "ready"
        yield World(settings, executor)
    if server:
        server.drop(name)


@pytest.fixture
def reader(world: World) -> Iterator[RunReader]:
    with open_reader(world.settings) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> Iterator[Any]:
    with open_client(world.settings) as opened:
        yield opened


def ids(reader: RunReader, **query: Any) -> list[str]:
    return [run.id for run in reader.list(RunQuery(**query))]


def milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def test_the_list_agrees_with_the_client(reader: RunReader, client: Any) -> None:
    theirs = {run.workflow_id: run for run in client.list_workflows(has_parent=False)}
    ours = {run.id: run for run in reader.list()}
    assert ours.keys() == theirs.keys()
    for run_id, run in ours.items():
        their = theirs[run_id]
        assert run.workflow == their.name
        assert milliseconds(run.created_at) == their.created_at
        assert milliseconds(run.completed_at) == their.completed_at
        assert run.executor_id == their.executor_id
        assert run.forked_from == their.forked_from
        assert run.app_version == their.app_version
        assert run.priority == (their.priority or 0)
        assert run.parent_id is None
        assert run.attributes == (their.attributes or {}).get("kurt", {})
        assert (run.error is None) == (their.error is None)


def test_results_agree_with_the_client(reader: RunReader, client: Any) -> None:
    for their in client.list_workflows():
        run = reader.result(their.workflow_id)
        assert run.outputs == their.output
        if their.error is None:
            assert run.error is None
        else:
            assert run.error == {"type": type(their.error).__name__, "message": str(their.error)}


def test_steps_agree_with_the_client(reader: RunReader, client: Any) -> None:
    for their in client.list_workflows():
        theirs = [
            step
            for step in client.list_workflow_steps(their.workflow_id)
            if not step["function_name"].startswith("DBOS.")
        ]
        ours = reader.steps(their.workflow_id, values=True)
        assert [step.path for step in ours] == [step["function_name"] for step in theirs]
        for our, step in zip(ours, theirs, strict=True):
            assert our.value == step["output"]
            assert our.child_run_id == step["child_workflow_id"]
            assert milliseconds(our.started_at) == step["started_at_epoch_ms"]
            assert milliseconds(our.completed_at) == step["completed_at_epoch_ms"]
            assert our.status == ("failed" if step["error"] is not None else "succeeded")
            assert (our.error or {}).get("message") == (str(step["error"]) if step["error"] else None)


def test_values_of_steps_are_read_on_request_only(reader: RunReader) -> None:
    assert all(step.value is None for step in reader.steps("good-1"))
    assert reader.steps("good-1", values=True)[0].value["raw"] == b"\x00\xff"


def test_events_agree_with_the_client(reader: RunReader, client: Any) -> None:
    events = reader.events("good-1")
    assert events == {"colour": {"green": [1, None]}}
    assert events["colour"] == client.get_event("good-1", "colour", timeout_seconds=0)
    assert reader.events("waiting")["waiting_for"] == {"topic": "approval"}
    assert reader.events("nobody") == {}


def test_streams_agree_with_the_client(reader: RunReader, client: Any) -> None:
    theirs = list(client.read_stream("good-1", "progress"))
    page = reader.stream("good-1", "progress")
    assert page.items == theirs
    assert (page.next_offset, page.has_more, page.closed) == (4, False, True)
    assert reader.streams("good-1") == {"logs": 1, "progress": 4}
    assert reader.streams("bad-1") == {}


def test_pages_of_a_stream_follow_each_other(reader: RunReader) -> None:
    first = reader.stream("good-1", "progress", 0, 2)
    assert ([item["number"] for item in first.items], first.next_offset, first.has_more) == ([0, 2], 2, True)
    second = reader.stream("good-1", "progress", first.next_offset, 2)
    assert ([item["number"] for item in second.items], second.closed) == ([4], True)
    beyond = reader.stream("good-1", "logs", 1)
    assert (beyond.items, beyond.next_offset, beyond.has_more, beyond.closed) == ([], 1, False, False)
    assert reader.stream("good-1", "nothing").items == []
    assert reader.stream("nobody", "logs").next_offset == 0


SHOWN = {
    "good-1": "succeeded",
    "good-2": "succeeded",
    "bad-1": "failed",
    "parent": "succeeded",
    "live": "running",
    "dead": "interrupted",
    "waiting": "waiting",
    "queued-1": "queued",
    "queued-2": "queued",
    "copy": "queued",
    "late": "scheduled",
    "gone": "cancelled",
}


def test_states_are_those_of_the_table(reader: RunReader) -> None:
    assert {run.id: run.status for run in reader.list()} == SHOWN
    assert reader.get("dead").status == "interrupted"
    assert reader.get("live").status == "running"


@pytest.mark.parametrize("state", STATES)
def test_a_list_of_one_state_holds_exactly_those(reader: RunReader, state: str) -> None:
    expected = {run_id for run_id, shown in SHOWN.items() if shown == state}
    assert set(ids(reader, status=(state,))) == expected


@pytest.mark.parametrize(
    "states",
    [
        ("running", "queued"),
        ("interrupted", "waiting"),
        ("running", "waiting", "interrupted"),
        ("failed", "cancelled"),
        STATES,
    ],
)
def test_a_list_of_several_states_is_one_list(reader: RunReader, states: tuple[str, ...]) -> None:
    every = [run.id for run in reader.list()]
    expected = [run_id for run_id in every if SHOWN[run_id] in states]
    assert ids(reader, status=states) == expected
    assert ids(reader, status=states, limit=2, offset=1) == expected[1:3]
    assert ids(reader, status=states, reverse=True) == expected[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "Good one"}, {"good-1", "good-2", "copy"}),
        ({"name": "reader.blocked"}, {"live", "dead", "waiting"}),
        ({"name": "nothing"}, set()),
        ({"user": "ann"}, {"good-1", "bad-1", "copy"}),
        ({"workspace": "w2"}, {"good-2"}),
        ({"user": "ann", "workspace": "w1", "status": ("failed",)}, {"bad-1"}),
        ({"queue": "fast"}, {"good-1", "queued-1", "gone"}),
        ({"queue": "default"}, {"queued-2", "late", "copy"}),
        ({"parent": "parent"}, {"parent.child"}),
        ({"forked_from": "good-1"}, {"copy"}),
        ({"prefix": "good"}, {"good-1", "good-2"}),
        ({"prefix": "g%"}, set()),
        ({"prefix": "parent."}, set()),
        ({"version": "kurt-0"}, set()),
        ({"limit": 0}, set()),
    ],
)
def test_filters(reader: RunReader, query: dict[str, Any], expected: set[str]) -> None:
    assert set(ids(reader, **query)) == expected


def test_filter_by_executor(world: World, reader: RunReader) -> None:
    assert set(ids(reader, executor=world.executor)) == {
        "good-1",
        "good-2",
        "bad-1",
        "parent",
        "live",
        "waiting",
    }


def test_filter_by_time(reader: RunReader) -> None:
    runs = reader.list(RunQuery(reverse=True))
    third = runs[2].created_at
    assert ids(reader, since=third, reverse=True) == [run.id for run in runs if run.created_at >= third]
    assert ids(reader, until=third, reverse=True) == [run.id for run in runs if run.created_at < third]
    assert ids(reader, since=datetime.now(UTC) + timedelta(days=1)) == []


def test_newest_first_and_pages(reader: RunReader) -> None:
    runs = reader.list()
    assert [run.created_at for run in runs] == sorted((run.created_at for run in runs), reverse=True)
    every = [run.id for run in runs]
    assert ids(reader, limit=3) + ids(reader, limit=100, offset=3) == every
    assert ids(reader, limit=None, offset=2) == every[2:]
    assert ids(reader, reverse=True) == every[::-1]


@pytest.mark.parametrize("query", [{"status": ("done",)}, {"limit": -1}, {"since": datetime(2026, 1, 1)}])  # noqa: DTZ001 - what is refused
def test_what_makes_no_sense_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RunQuery(**query)


def test_an_id_is_found_whole_or_by_its_beginning(reader: RunReader) -> None:
    assert reader.get("good-1").id == "good-1"
    assert reader.get("bad").id == "bad-1"
    assert reader.get("parent").id == "parent"  # exact, although a child's id begins so
    assert reader.get("parent.child").parent_id == "parent"
    for unknown in ("nobody", "parent.c", "", "%", "good-1\n"):
        with pytest.raises(NotFoundError) as caught:
            reader.get(unknown)
        assert caught.value.hint == "kurt workflows list"
    with pytest.raises(AmbiguousIdError, match="good-1, good-2"):
        reader.get("good")
    with pytest.raises(NotFoundError):
        reader.result("bad")
    with pytest.raises(NotFoundError):
        reader.steps("bad")


def test_children(reader: RunReader) -> None:
    (child,) = reader.children("parent")
    assert (child.id, child.workflow, child.status) == ("parent.child", "reader.child", "succeeded")
    (step,) = reader.steps("parent")
    assert step.child_run_id == "parent.child"


def test_what_is_on_the_queues(reader: RunReader) -> None:
    assert reader.queue_depths() == [QueueDepth("default", 2, 0), QueueDepth("fast", 1, 0)]


def test_counts(reader: RunReader) -> None:
    expected = {state: list(SHOWN.values()).count(state) for state in SHOWN.values()}
    assert reader.counts() == expected


def test_owners_of_unfinished_runs(world: World, reader: RunReader) -> None:
    owners = reader.pending_owners()
    assert owners.pop(world.executor) == 2
    assert list(owners.values()) == [1]


def test_times_and_queues_of_runs(reader: RunReader) -> None:
    late = reader.get("late")
    assert late.scheduled_for is not None
    assert timedelta(minutes=59) < late.scheduled_for - late.created_at < timedelta(minutes=61)
    assert late.started_at is None
    good = reader.get("good-1")
    assert good.started_at == good.created_at  # it was on no queue
    assert good.seconds is not None
    assert good.seconds > 0
    assert reader.get("gone").started_at is None
    assert reader.get("live").seconds is None
    assert (reader.get("queued-1").queue, reader.get("queued-1").priority) == ("fast", 7)


def test_everything_can_be_printed(reader: RunReader) -> None:
    for run in reader.list():
        shown = reader.get(run.id).to_json()
        assert serializer.loads(serializer.dumps(shown)) == shown
        for step in reader.steps(run.id, values=True):
            assert jsonable(step.to_json()) == step.to_json()
    assert reader.get("good-1").to_json()["outputs"][0] == {
        "number": 0,
        "raw": "AP8=",
        "at": "2026-01-02T03:04:05.000Z",
    }
    assert reader.get("good-1").to_json()["created_at"].endswith("Z")
    assert reader.stream("good-1", "logs").to_json() == {
        "items": ["only line"],
        "next_offset": 1,
        "has_more": False,
        "closed": False,
    }


def test_reading_loads_neither_dbos_nor_sqlalchemy(world: World) -> None:
    code = (
        "import sys; from pathlib import Path; from kurt.config import load_settings\n"
        "from kurt.runtime.runs import open_reader\n"
        "settings = load_settings(Path(sys.argv[1]), environ={'DATABASE_URL': sys.argv[2]})\n"
        "with open_reader(settings) as reader:\n"
        "    assert len(reader.list()) == 12\n"
        "    reader.get('good-1'); reader.steps('good-1'); reader.events('good-1'); reader.stream('good-1', 'logs')\n"
        "heavy = {'dbos', 'sqlalchemy', 'pydantic', 'alembic', 'rich', 'yaml', 'click'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    url = "" if world.settings.is_sqlite else world.settings.database_url
    done = subprocess.run([sys.executable, "-c", code, str(world.settings.root), url], check=False)
    assert done.returncode == 0
