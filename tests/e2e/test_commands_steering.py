"""`kurt workflows cancel|resume|send|delete`, `kurt gc` and `kurt queues` on runs of the real engine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.language import Language, working
from tests.support.processes import is_alive
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def language(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Language]:
    queues = {
        "other": [],
        "parted": ["--partition-concurrency", "1"],
        "duo": ["--worker-concurrency", "2"],
        "keyed": ["--partition-worker-concurrency", "1"],
        "rated": ["--partition-rate", "1/2"],
        "paced": ["--rate", "1/2"],
    }
    with working(_template, home, tmp_path_factory.mktemp("language"), queues=queues) as language:
        yield language


@pytest.fixture
def here(language: Language) -> Command:
    return language.here


HOLD = """
    inputs: {{name: string}}
    steps:
      - {{name: a, type: python, call: "probe:mark", args: ["{0}-a"]}}
      - {{name: hold, wait: {{message: go}}}}
      - {{name: b, type: python, call: "probe:mark", args: ["{0}-b", "${{steps.hold}}"]}}
    outputs: {{b: "${{steps.b}}"}}
    """


def held(language: Language, name: str, **options: Any) -> str:
    """A run that waits for a message, after its first step."""
    run_id = language.start(HOLD.format(name), {"name": name}, **options)
    language.until(run_id, "waiting")
    return run_id


def test_cancel_stops_the_processes_of_a_run_and_its_children(language: Language, here: Command) -> None:
    run_id = language.start(
        """
        steps:
          - name: items
            foreach: {items: [1, 2], max_concurrent: 2}
            steps:
              - {name: one, type: script, code: result = 1}
              - {name: slow, type: run, command: 'echo $$ > slow-${item}.pid; sleep 300 & wait'}
          - {name: after, type: python, call: "probe:mark", args: [cancel-after]}
        finally: [{type: python, call: "probe:mark", args: [cancel-finally]}]
        """.replace(
            "'echo $$ > slow-${item}.pid; sleep 300 & wait'",
            "[sh, -c, 'echo $$ > $0; sleep 300 & wait', 'slow-${item}.pid']",
        )
    )
    files = [language.root / f"slow-{n}.pid" for n in (1, 2)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), 30, what="the slow steps")
    pids = [int(file.read_text()) for file in files]
    assert all(map(is_alive, pids))
    (shown,) = here.json("workflows", "cancel", run_id)
    assert (shown["run_id"], shown["status"]) == (run_id, "cancelled")
    wait_until(lambda: not any(map(is_alive, pids)), 10, what="the end of the processes")
    children = here.json("workflows", "list", "--parent", run_id)
    assert {child["status"] for child in children} == {"cancelled"}
    assert language.marks("cancel-after") == language.marks("cancel-finally") == 0
    error = here("workflows", "cancel", run_id, "--format", "json", code=1).error()
    assert (error["code"], error["hint"]) == ("conflict", f"kurt workflows status {run_id}")
    assert "was cancelled" in here("workflows", "wait", run_id, code=1).stderr


def test_cancel_several_and_none_if_one_is_unknown(language: Language, here: Command) -> None:
    ids = [language.start(HOLD.format(f"cs{n}"), {"name": "x"}, delay="1h") for n in range(3)]
    assert here("workflows", "cancel", *ids, "no-such-run", code=3).stdout == ""
    assert {language.client.get(run_id).status for run_id in ids} == {"scheduled"}
    table = here("workflows", "cancel", *ids)
    assert table.stdout.count("cancelled") == 3


def test_cancel_one_item(language: Language, here: Command) -> None:
    run_id = language.start(
        """
        steps:
          - name: items
            foreach: {items: [1, 2], key: "k${item}", on_item_error: collect}
            steps:
              - {name: one, type: python, call: "probe:mark", args: ["ci-${item}"]}
              - {name: hold, wait: {message: "go-${item}"}}
        outputs: {items: "${steps.items}"}
        """
    )
    wait_until(lambda: language.marks("ci-1") + language.marks("ci-2") == 2, 30, what="both items")
    (first,) = (
        one["run_id"]
        for one in here.json("workflows", "list", "--parent", run_id, "--reverse", "--limit", "1")
    )
    here("workflows", "cancel", first)
    language.client.send(run_id, "two", topic="go-2")
    run = language.client.wait(run_id, timeout=60)
    assert run.status == "succeeded", run.error
    assert run.outputs["items"][0]["error"]["type"] == "Cancelled"
    assert run.outputs["items"][1] == "two"
    assert run.summary == {"items": 2, "items_failed": 1}
    language.client.retry(run_id)
    language.client.send(run_id, "one", topic="go-1")
    assert language.client.result(run_id, timeout=60) == {"items": ["one", "two"]}
    assert (language.marks("ci-1"), language.marks("ci-2")) == (1, 1)


def test_resume_goes_on_where_the_run_stopped(language: Language, here: Command) -> None:
    run_id = held(language, "rs")
    error = here("workflows", "resume", run_id, "--background", "--format", "json", code=1).error()
    assert error["hint"] == f"kurt workflows follow {run_id}", "it is at work"
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    submitted = here.json("workflows", "resume", run_id, "--background")
    assert submitted["run_id"] == run_id
    language.until(run_id, "waiting")
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    foreground = language.kurt.spawn("workflows", "resume", run_id, "--format", "json")
    language.until(run_id, "waiting")
    language.client.send(run_id, "hello", topic="go")
    assert foreground.wait(30) == 0
    assert '"status": "succeeded"' in foreground.stdout
    assert (language.marks("rs-a"), language.marks("rs-b")) == (1, 1)
    for finished, verb in (
        (run_id, "fork"),
        (language.run("steps: [{type: script, code: 1/0}]").id, "retry"),
    ):
        error = here("workflows", "resume", finished, "--background", "--format", "json", code=1).error()
        assert (error["code"], error["hint"]) == ("conflict", f"kurt workflows {verb} {finished}")


def test_resume_retry_and_fork_keep_the_queue(language: Language, here: Command) -> None:
    run_id = held(language, "kq", queue="other", priority=3)
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    assert here.json("workflows", "resume", run_id, "--background")["queue"] == "other"
    language.until(run_id, "waiting")
    forked = here.json("workflows", "fork", run_id, "--from", "hold", "--background")
    assert forked["queue"] == "other"
    run = language.until(forked["run_id"], "waiting")
    assert (run.queue, run.priority) == ("other", 3)
    language.client.cancel(run_id, forked["run_id"])


def test_a_partitioned_queue_keeps_its_key(language: Language, here: Command) -> None:
    bad = "steps: [{name: a, type: python, call: 'probe:broken', args: [pk]}, {name: b, type: script, code: result = 2}]\noutputs: {b: '${steps.b}'}"
    failed = language.run(bad, queue="parted", partition_key="k")
    assert failed.status == "failed"
    language.mend("pk")
    assert here.json("workflows", "retry", failed.id, "--background")["queue"] == "parted"
    assert language.client.result(failed.id, timeout=30) == {"b": 2}
    forked = here.json("workflows", "fork", failed.id, "--from", "b", "--background")["run_id"]
    assert language.client.result(forked, timeout=30) == {"b": 2}
    run_id = held(language, "pq", queue="parted", partition_key="k")
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    here("workflows", "resume", run_id, "--background")
    language.until(run_id, "waiting")
    language.client.send(run_id, 1, topic="go")
    assert language.client.wait(run_id, timeout=30).status == "succeeded"


def test_send(language: Language, here: Command, tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text('{"from": "a file"}')
    for data, expected in (
        (["--data", '{"n": [1, null]}'], {"n": [1, None]}),
        (["--data", "plain words"], "plain words"),
        (["--data", f"@{file}"], {"from": "a file"}),
        ([], None),
    ):
        run_id = held(language, "snd")
        other = here("workflows", "send", run_id, "--topic", "goo")
        assert "warning: the run waits for a message on go now; it keeps this one for later" in other.stderr
        sent = here.json("workflows", "send", run_id, "--topic", "go", *data)
        assert sent == {"run_id": run_id, "topic": "go", "sent": True}
        assert language.client.result(run_id, timeout=30) == {"b": expected}
    error = here("workflows", "send", run_id, "--topic", "go", "--format", "json", code=1).error()
    assert (error["code"], error["hint"]) == ("conflict", f"kurt workflows status {run_id}")
    assert "--topic" in here("workflows", "send", run_id, code=2).stderr
    broken = here("workflows", "send", run_id, "--topic", "go", "--data", '{"n": 1', code=2).stderr
    assert "is not JSON" in broken
    assert "write text in quotes" in broken


def test_a_message_is_sent_once_for_one_key(language: Language, here: Command) -> None:
    run_id = language.start(
        """
        steps:
          - {name: one, wait: {message: go}}
          - {name: two, wait: {message: go, timeout: 1s}, on_error: skip}
        outputs: {both: ["${steps.one}", "${steps.two}"]}
        """,
    )
    for n in (1, 2):
        here("workflows", "send", run_id, "--topic", "go", "--data", str(n), "--idempotency-key", "k")
    assert language.client.result(run_id, timeout=30) == {"both": [1, None]}


def test_delete(language: Language, here: Command) -> None:
    done = language.run(
        "steps: [{name: items, foreach: {items: [1]}, steps: [{type: script, code: result = 1}, {type: script, code: result = 2}]}]"
    )
    waiting = held(language, "del")
    children = [one.id for one in language.client.list(parent=done.id)]
    assert children
    log = language.root / ".kurt" / "logs" / f"workflow-{done.id}.log"
    assert log.exists()
    error = here("workflows", "delete", waiting, "--format", "json", code=1).error()
    assert error["hint"] == f"kurt workflows cancel {waiting}"
    assert here("workflows", "delete", done.id, "nobody", code=3).stdout == ""
    assert here.json("workflows", "delete", done.id) == [{"run_id": done.id, "deleted": True}]
    for gone in (done.id, *children):
        assert here("workflows", "status", gone, code=3).stdout == ""
    assert not log.exists()
    language.client.cancel(waiting)


def test_gc(language: Language, here: Command) -> None:
    for run in language.client.list(status=["succeeded", "failed", "cancelled"], limit=1000):
        language.client.delete(run.id)
    old = [language.run("name: gc\nsteps: [{type: script, code: ''}]").id for _ in range(3)]
    waiting = held(language, "gc")
    stale = language.root / ".kurt" / "logs" / "worker-gone-1-00000000.log"
    stale.write_text("x")
    os.utime(stale, (time.time() - 90 * 86_400,) * 2)
    everything = {
        "dry_run": True,
        "runs": [],
        "logs": [stale.name],
        "run_count": 0,
        "log_count": 1,
        "value_count": 0,
    }
    assert here.json("gc", "--dry-run") == everything, "young runs are kept"
    assert set(here.json("gc", "--keep", "0s", "--dry-run")["runs"]) == set(old)
    assert here("gc", "--keep-count", "2", "--dry-run").stdout == "would remove 1 runs and 1 worker logs\n"
    assert here.json("gc", "--keep-count", "2")["runs"] == old[:1]
    assert not stale.exists()
    assert here.json("gc", "--keep", "0s")["run_count"] == 2
    assert [run.id for run in language.client.list(limit=1000)] == [waiting]
    assert not (language.root / ".kurt" / "logs" / f"workflow-{old[0]}.log").exists()
    kept = language.kurt.json("gc", "--dry-run", env={"KURT_GC__KEEP_DAYS": "0"})
    assert kept["run_count"] == 0, "what is not over is never removed"
    assert "'soon'" in here("gc", "--keep", "soon", code=2).stderr
    language.client.cancel(waiting)


def _serves(language: Language, here: Command, queue: str) -> bool:
    """Whether a detached worker of this queue alone has said that it serves."""
    logs = language.root / ".kurt" / "logs"
    mine = [worker["id"] for worker in here.json("worker", "list") if worker["queues"] == [queue]]
    return any(
        "serves" in (logs / f"{one}.log").read_text() for one in mine if (logs / f"{one}.log").is_file()
    )


def test_queues(language: Language, here: Command) -> None:
    made = here.json(
        "queues", "create", "gpu", "--concurrency", "2", "--worker-concurrency", "1", "--rate", "10/60"
    )
    assert made["name"] == "gpu"
    assert (made["concurrency"], made["worker_concurrency"], made["rate"]) == (
        2,
        1,
        {"limit": 10, "period": 60.0},
    )
    assert here("queues", "create", "gpu", code=1).stdout == ""
    assert here("queues", "create", "no good", code=2).stdout == ""
    assert "is not a rate" in here("queues", "create", "x", "--rate", "often", code=2).stderr
    listed = {queue["name"]: queue for queue in here.json("queues", "list")}
    assert listed["gpu"] == made
    assert {"default", "other", "parted"} <= listed.keys()
    assert not any(name.startswith(("executor.", "_dbos")) or name.endswith(".items") for name in listed)
    changed = here.json("queues", "update", "gpu", "--concurrency", "5")
    assert (changed["concurrency"], changed["worker_concurrency"], changed["rate"]) == (5, None, None)
    table = here("queues", "list").stdout
    assert "gpu" in table
    run_id = language.start("steps: [{type: script, code: ''}]", queue="gpu", delay="1h")
    # The worker that was started for the queue makes sure of its queue; it must have done so before the queue goes.
    wait_until(lambda: _serves(language, here, "gpu"), 30, what="the worker of the queue")
    assert here("queues", "delete", "gpu", code=1).stdout == "", "it holds a run"
    language.client.cancel(run_id)
    assert here.json("queues", "delete", "gpu") == {"name": "gpu", "deleted": True}
    for argv in (["delete", "gpu"], ["update", "gpu", "--concurrency", "1"]):
        assert here("queues", *argv, "--format", "json", code=3).error()["code"] == "not_found"
    assert here("queues", "delete", "default", code=1).stdout == ""


def test_the_limits_of_queues_hold(language: Language) -> None:
    def submit(queue: str, *, key: str | None = None) -> str:
        return language.start(
            "name: limits\nsteps: [{name: w, wait: {message: go}}]", queue=queue, partition_key=key
        )

    def at_work(ids: list[str]) -> int:
        return sum(language.client.get(run_id).status == "waiting" for run_id in ids)

    duo = [submit("duo") for _ in range(3)]
    keyed = [submit("keyed", key=key) for key in ("a", "a", "b")]
    rated = [submit("rated", key=key) for key in ("a", "a", "b")]
    paced = [submit("paced") for _ in range(2)]
    wait_until(lambda: (at_work(duo), at_work(keyed)) == (2, 2), 30, what="two runs of each queue")
    wait_until(lambda: at_work(rated) == 3 and at_work(paced) == 2, 30, what="all runs of the paced queues")
    assert (at_work(duo), at_work(keyed)) == (2, 2), "no more than the limit"
    begun = {run_id: language.client.get(run_id).started_at for run_id in (*rated, *paced)}
    times = [moment.timestamp() for moment in begun.values() if moment]
    assert abs(times[1] - times[0]) >= 1.9, "one in two seconds for each key"
    assert abs(times[2] - min(times[:2])) < 1.9, "but the other key does not wait"
    assert abs(times[4] - times[3]) >= 1.9
    for run_id in (*duo, *keyed, *rated, *paced):
        language.client.send(run_id, None, topic="go")
    for run_id in (*duo, *keyed):
        assert language.client.wait(run_id, timeout=30).status == "succeeded"
