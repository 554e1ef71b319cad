"""Schedules with real workers: every time is started once, whoever serves, dies or comes back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kurt.config import load_settings
from kurt.db.engine import system_engine
from kurt.runtime.schedules import ScheduleStore
from tests.support import durability
from tests.support.chaos import Chaos
from tests.support.cli import Kurt
from tests.support.durability import Account
from tests.support.processes import Spawned, executors
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

BACKENDS = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)

NOTED = """
name: noted
inputs: {{at: {{type: string, required: true}}, seconds: {{type: float, default: 0}}}}
schedule: {{cron: "{cron}", {more}inputs: {{at: "${{tick.at}}", seconds: {seconds}}}}}
steps:
  - {{name: note, type: python, call: "noting:note", args: ["${{run.id}}", "${{at}}", "${{seconds}}"]}}
outputs: {{at: "${{at}}"}}
"""

NOTING = """
import time

import effects


def note(run, at, seconds):
    name = at.replace(":", ".")
    effects.mark("begin", run, name)
    time.sleep(seconds)
    effects.mark("end", run, name)
    return f"fx:{name}"
"""

EVERY_SECOND = "* * * * * *"
NEVER_NOW = "0 0 1 1 *"


@pytest.fixture(autouse=True)
def files(project: Path) -> None:
    durability.furnish(project)
    (project / "noting.py").write_text(NOTING)


def declare(project: Path, cron: str = EVERY_SECOND, *, seconds: float = 0, more: str = "") -> Path:
    """Write the workflow that notes for which time it runs."""
    path = project / "workflows" / "noted.yaml"
    path.write_text(NOTED.format(cron=cron, seconds=seconds, more=more))
    return path


def label(at: str) -> str:
    """The name of the effect for a time."""
    return at.replace(":", ".")


def ticks(kurt: Kurt, limit: int = 500) -> list[dict[str, Any]]:
    """What became of the times of the schedule, the oldest first."""
    return kurt.json("schedules", "ticks", "noted", "--limit", str(limit))[::-1]


def ended(kurt: Kurt, count: int, limit: float = 60) -> list[dict[str, Any]]:
    """The ticks as soon as so many runs have succeeded."""

    def look() -> list[dict[str, Any]] | None:
        found = ticks(kurt)
        return found if sum(tick["status"] == "succeeded" for tick in found) >= count else None

    return wait_until(look, limit, what=f"{count} runs that have succeeded", pause=0.3) or []


def worker_of(kurt: Kurt, spawn_kurt: Spawn) -> Spawned:
    """A worker that serves."""
    worker = spawn_kurt("worker", "start")
    wait_until(lambda: is_serving(kurt, worker), 30, what="the worker")
    return worker


def is_serving(kurt: Kurt, worker: Spawned) -> bool:
    return worker.pid in durability.live(kurt.project, kurt.environ.get("DATABASE_URL"))


def seconds_apart(found: list[dict[str, Any]]) -> set[float]:
    moments = [datetime.fromisoformat(tick["at"]) for tick in found]
    return {(after - before).total_seconds() for before, after in pairwise(moments)}


@BACKENDS
def test_several_workers_start_each_time_once_and_soon(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str | None
) -> None:
    declare(project, more="overlap: queue, ")
    for worker in [spawn_kurt("worker", "start") for _ in range(3)]:
        wait_until(lambda worker=worker: is_serving(kurt, worker), 30, what="three workers")
    (made,) = kurt.json("schedules", "create", "noted")
    assert (made["action"], made["cron"]) == ("created", EVERY_SECOND)
    ended(kurt, 6)
    kurt("schedules", "pause", "noted")
    wait_until(lambda: is_quiet(kurt), 60, what="the end of the last run", pause=0.3)
    assert {tick["kind"] for tick in ticks(kurt)} == {"regular"}
    assert {tick["status"] for tick in ticks(kurt)} <= {
        "succeeded",
        "waiting",
    }  # what waits is held by the pause
    found = [tick for tick in ticks(kurt) if tick["run_id"]]
    assert seconds_apart(found) == {1.0}
    begun = [mark for mark in durability.marks(project) if mark.what == "begin"]
    assert [(mark.run, mark.name) for mark in begun] == [
        (tick["run_id"], label(tick["at"])) for tick in found
    ]
    late = begun[0].at - datetime.fromisoformat(found[0]["at"]).timestamp()
    assert late < 15  # half a second to see it; the rest is what a busy machine takes to start it
    run = kurt.json("workflows", "status", found[0]["run_id"])
    assert run["outputs"] == {"at": found[0]["at"]}
    assert run["schedule"] == {"name": "noted", "at": found[0]["at"]}


def is_quiet(kurt: Kurt) -> bool:
    """Whether every run that has begun belongs to a tick and is over."""
    over = [tick["run_id"] for tick in ticks(kurt) if tick["status"] == "succeeded"]
    return {mark.run for mark in durability.marks(kurt.project)} == set(over) and not at_work(kurt)


def spans(project: Path) -> list[tuple[float, float]]:
    """When each run's step began and ended, in the order of their begin; the end of a cancelled one is open."""
    begun = {mark.run: mark.at for mark in durability.marks(project) if mark.what == "begin"}
    over = {mark.run: mark.at for mark in durability.marks(project) if mark.what == "end"}
    return sorted((at, over.get(run, at)) for run, at in begun.items())


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel"])
def test_overlap_does_what_its_name_says(kurt: Kurt, spawn_kurt: Spawn, project: Path, overlap: str) -> None:
    declare(project, seconds=2.5, more=f"overlap: {overlap}, ")
    worker_of(kurt, spawn_kurt)
    kurt("schedules", "create", "noted")
    wait_until(lambda: len(durability.begun(project)) >= 3, 60, what="three runs")
    kurt("schedules", "pause", "noted")
    if overlap == "queue":  # what waits goes on when the schedule does
        kurt("schedules", "resume", "noted")
        wait_until(lambda: len(durability.begun(project)) >= 4, 30, what="a fourth run")
        kurt("schedules", "pause", "noted")
    wait_until(lambda: not at_work(kurt), 30, what="the end of the last run", pause=0.3)
    states = Counter(tick["status"] for tick in ticks(kurt))
    apart = [after[0] - before[1] for before, after in pairwise(spans(project))]
    if overlap == "cancel":
        assert states["cancelled"] >= 2
        assert states["succeeded"] <= 2
        assert not {"skipped", "waiting"} & states.keys()
        return
    assert min(apart) > 0
    assert set(states) == {"succeeded", {"skip": "skipped", "queue": "waiting"}[overlap]}
    why = [tick["reason"] for tick in ticks(kurt) if tick["status"] in {"skipped", "waiting"}]
    known = ("is not over", "has not begun", "the schedule is paused", "earlier times come first")
    assert all(reason.endswith(known) for reason in why), why


def at_work(kurt: Kurt) -> list[str]:
    return [tick["run_id"] for tick in ticks(kurt) if tick["status"] in {"queued", "running", "interrupted"}]


@pytest.mark.chaos
@pytest.mark.timeout(900)
@BACKENDS
def test_no_time_is_lost_or_doubled_when_workers_are_killed(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, chaos: Chaos, url: str | None
) -> None:
    declare(project, more="overlap: queue, catch_up: true, ")
    account = Account(project, url)
    kurt("schedules", "create", "noted", "--no-worker")
    for _ in range(chaos.rounds):
        victim = worker_of(kurt, spawn_kurt)
        known = len(durability.marks(project))
        wait_until(lambda known=known: len(durability.marks(project)) > known, 40, what="a run")
        time.sleep(chaos.moment(2.5))
        account.kill(victim)
    worker_of(kurt, spawn_kurt)
    last = datetime.now(UTC) + timedelta(seconds=2)
    wait_until(
        lambda: datetime.fromisoformat(ticks(kurt, 1)[-1]["at"]) > last, 60, what="a later tick", pause=0.3
    )
    kurt("schedules", "pause", "noted")
    kurt("schedules", "resume", "noted")  # those that wait are held while it is paused
    found = [tick for tick in ended_all(kurt, last) if datetime.fromisoformat(tick["at"]) <= last]
    assert {tick["status"] for tick in found} == {"succeeded"}
    assert seconds_apart(found) == {1.0}
    assert len({tick["run_id"] for tick in found}) == len(found)
    account.check({tick["run_id"]: [label(tick["at"])] for tick in found})


def ended_all(kurt: Kurt, until: datetime) -> list[dict[str, Any]]:
    """The ticks as soon as those until a time have ended."""

    def look() -> list[dict[str, Any]] | None:
        found = ticks(kurt)
        early = [tick for tick in found if datetime.fromisoformat(tick["at"]) <= until]
        return found if {tick["status"] for tick in early} == {"succeeded"} else None

    return wait_until(look, 120, what="the end of the runs until then", pause=0.5) or []


def test_a_time_that_cannot_be_started_is_seen_and_can_be_asked_for_again(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    file = declare(project, more="overlap: queue, ")
    worker_of(kurt, spawn_kurt)
    kurt("schedules", "create", "noted")
    ended(kurt, 1)
    good = file.read_text()
    file.write_text(good.replace("type: python, call", "type: python, cal"))
    seen = wait_until(lambda: [tick for tick in ticks(kurt) if tick["status"] == "failed"], 30)
    assert seen[0]["run_id"] is None
    assert seen[0]["error"]["code"] == "definition"
    assert "unknown key `cal`" in str(seen[0]["error"]["errors"])
    assert kurt.json("schedules", "list")[0]["last"]["status"] in {"failed", "succeeded"}
    shown = kurt("schedules", "ticks", "noted").stdout
    assert "workflows/noted.yaml:6:" in shown
    assert "did you mean `call`?" in shown
    file.unlink()
    gone = wait_until(lambda: [tick for tick in ticks(kurt) if "there is no" in str(tick["error"])], 30)
    assert gone[0]["error"]["code"] == "not_found"
    file.write_text(good)
    wait_until(lambda: ticks(kurt, 1)[0]["status"] == "succeeded", 30, pause=0.3)
    kurt("schedules", "pause", "noted")
    broken = [tick for tick in ticks(kurt) if tick["status"] == "failed"]
    asked = kurt.json("schedules", "backfill", "noted", "--from", broken[0]["at"], "--to", broken[-1]["at"])
    assert asked["asked"] == len(broken)
    times = {tick["at"] for tick in broken}

    def mended() -> bool:
        again = [tick for tick in ticks(kurt) if tick["at"] in times]
        return {(tick["status"], tick["kind"]) for tick in again} == {("succeeded", "backfill")}

    wait_until(mended, 90, pause=0.5)


@pytest.fixture
def store(project: Path) -> Iterator[ScheduleStore]:
    engine = system_engine(load_settings(project, environ={}))
    yield ScheduleStore(engine)
    engine.dispose()


def set_back(store: ScheduleStore, hours: int) -> datetime:
    """Let the schedule be due since that many hours, as if no worker had lived; the first of these times."""
    (schedule,) = store.all()
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=hours)
    store.change(schedule, due_at=int(first.timestamp() * 1000))
    return first


def beware_of_the_full_hour() -> None:
    """These tests count whole hours: begin where no hour ends in their middle, and the last is not just over."""
    while not 61 < time.time() % 3600 < 3550:
        time.sleep(1)


@pytest.mark.timeout(300)
def test_what_was_due_without_a_worker_is_missed_and_told(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, store: ScheduleStore
) -> None:
    beware_of_the_full_hour()
    declare(project, "@hourly")
    kurt("schedules", "create", "noted", "--no-worker")
    first = set_back(store, 4)
    worker_of(kurt, spawn_kurt)
    (missed,) = wait_until(lambda: ticks(kurt), 20)
    assert (missed["status"], missed["count"], missed["run_id"]) == ("missed", 5, None)
    assert missed["reason"].startswith(f"5 times since {first.isoformat().replace('+00:00', 'Z')} passed")
    assert durability.begun(project) == {}


@pytest.mark.timeout(300)
def test_what_was_due_without_a_worker_is_caught_up_in_order(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, store: ScheduleStore
) -> None:
    beware_of_the_full_hour()
    declare(project, "@hourly", seconds=0.3, more="catch_up: true, ")
    kurt("schedules", "create", "noted", "--no-worker")
    first = set_back(store, 4)
    worker_of(kurt, spawn_kurt)
    found = ended(kurt, 5)
    assert [tick["kind"] for tick in found] == ["late"] * 5
    wanted = [f"{(first + timedelta(hours=hour)):%Y-%m-%dT%H.00.00Z}" for hour in range(5)]
    assert [mark.name for mark in durability.marks(project) if mark.what == "begin"] == wanted
    assert all(after[0] >= before[1] for before, after in pairwise(spans(project)))


@pytest.mark.timeout(300)
@BACKENDS
def test_a_month_with_a_change_of_the_clocks_is_filled_in_once(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str | None
) -> None:
    file = declare(project, "30 2 * * *", more="timezone: Europe/Paris, ")
    file.write_text(file.read_text().replace("${tick.at}", "${tick.date}T${tick.time}"))
    worker_of(kurt, spawn_kurt)
    kurt("schedules", "create", "noted")
    words = ["schedules", "backfill", "noted", "--from", "2026-10-01", "--to", "2026-10-31"]
    shown = kurt.json(*words, "--dry-run")
    assert (shown["asked"], shown["there"], len(shown["times"])) == (31, 0, 31)
    assert ticks(kurt) == []
    asked = kurt.json(*words)
    assert (asked["asked"], asked["there"]) == (31, 0)
    found = ended(kurt, 31, limit=200)
    begun = [mark.name for mark in durability.marks(project) if mark.what == "begin"]
    assert begun == [f"2026-10-{day:02}T02.30.00" for day in range(1, 32)]
    assert [tick["run_id"] for tick in found] == [one["run_id"] for one in asked["times"]]
    assert {tick["local"][-6:] for tick in found} == {"+02:00", "+01:00"}
    again = kurt.json(*words)
    assert (again["asked"], again["there"]) == (0, 31)
    more = kurt.json(*words[:-1], "2026-11-02")
    assert (more["asked"], more["there"]) == (2, 31)
    ended(kurt, 33)


def test_pause_resume_trigger_and_delete(kurt: Kurt, project: Path) -> None:
    declare(project, NEVER_NOW)
    (made,) = kurt.json("schedules", "create", "noted")
    assert (made["status"], made["declared"]) == ("active", True)
    assert executors(project)  # a worker was started, which stays for the schedule
    (listed,) = kurt.json("schedules", "list")
    assert (listed["served"], listed["last"], listed["waiting"]) == (True, None, 0)
    (paused,) = kurt.json("schedules", "pause", "noted")
    assert (paused["status"], paused["next_at"]) == ("paused", None)
    run = kurt.json("schedules", "trigger", "noted")["run_id"]
    assert kurt.json("workflows", "wait", run)["status"] == "succeeded"
    (tick,) = ticks(kurt)
    assert (tick["kind"], tick["run_id"], tick["status"]) == ("trigger", run, "succeeded")
    (resumed,) = kurt.json("schedules", "resume", "noted")
    assert (resumed["status"], resumed["next_at"]) == ("active", made["next_at"])
    kurt("worker", "stop", "--all")
    unserved = kurt("schedules", "list")
    assert "no live worker" in unserved.stderr
    assert kurt.json("schedules", "list")[0]["served"] is False
    assert kurt.json("schedules", "delete", "noted") == [{"name": "noted", "deleted": True}]
    assert kurt.json("schedules", "list") == []
    assert kurt.json("workflows", "status", run)["status"] == "succeeded"


def test_a_worker_without_work_stays_while_there_is_a_schedule(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    declare(project, NEVER_NOW)
    kurt("schedules", "create", "noted", "--no-worker")
    first = spawn_kurt("worker", "start", "--idle-exit", "1s")
    wait_until(lambda: first.pid in executors(project).values(), 20)
    second = spawn_kurt("worker", "start", "--idle-exit", "1s")
    wait_until(lambda: second.pid in executors(project).values(), 20)
    wait_until(lambda: not second.running, 20, what="the end of the worker that nobody needs")
    assert first.running
    kurt("schedules", "pause", "noted")
    wait_until(lambda: not first.running, 20, what="the end of the other one")


TALLY = """
from dbos import DBOS


@DBOS.workflow()
def tally_workflow(day: str, n: int = 1) -> str:
    return f"{n} on {day}"
"""


def test_a_python_workflow_on_a_queue_that_no_worker_serves_yet(
    kurt: Kurt, spawn_kurt: Spawn, project: Path
) -> None:
    module = project / "workflows" / "tally"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "workflow.py").write_text(TALLY)
    kurt("queues", "create", "gpu")
    worker = worker_of(kurt, spawn_kurt)
    words = [
        "--workflow",
        "tally",
        "--cron",
        "*/2 * * * * *",
        "--queue",
        "gpu",
        "--input",
        "day=${tick.date}",
    ]
    kurt("--user", "ann", "schedules", "create", "noted", *words, "--input", "n=5")
    first = ended(kurt, 1)[0]["run_id"]
    kurt("schedules", "delete", "noted")
    run = kurt.json("workflows", "status", first)
    day = datetime.fromisoformat(run["schedule"]["at"]).date().isoformat()
    assert (run["outputs"], run["queue"], run["user_id"]) == (f"5 on {day}", "gpu", "ann")
    assert run["executor_id"] not in {name for name, pid in executors(project).items() if pid == worker.pid}
