"""A process that fills a database with runs of every kind, by DBOS itself, and then lives on as their executor.

Run as `python -m tests.support.reader_world ROOT URL MODE`. With the mode `live` it makes all runs, prints `ready` and
waits; with `dead` it leaves a run unfinished and dies as kill -9 would have it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowAttributes, SetWorkflowID

from kurt.config import Settings, load_settings
from kurt.db.migrate import ensure_schema
from kurt.runtime import names
from kurt.runtime.engine import dbos_config, open_client, quiet_dbos
from kurt.runtime.leases import open_lease


@DBOS.step()
def double(number: int) -> dict[str, Any]:
    return {"number": number * 2, "raw": b"\x00\xff", "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}


@DBOS.step()
def explode() -> None:
    raise ValueError("it exploded: \u0000 é 'quoted'")


@DBOS.workflow(name="reader.good")
def good(count: int) -> list[Any]:
    DBOS.set_event("colour", {"red": 1})
    DBOS.set_event("colour", {"green": [1, None]})
    values = [double(number) for number in range(count)]
    for value in values:
        DBOS.write_stream("progress", value)
    DBOS.write_stream("logs", "only line")
    DBOS.close_stream("progress")
    try:
        explode()
    except ValueError:
        values.append({"number": -1})
    return [*values, {"$kurt": "not a tag"}]


@DBOS.workflow(name="reader.bad")
def bad() -> None:
    double(1)
    explode()


@DBOS.workflow(name="reader.parent")
def parent() -> str:
    with SetWorkflowID("parent.child"):
        return DBOS.start_workflow(child).get_result()


@DBOS.workflow(name="reader.child")
def child() -> str:
    double(3)
    return "from the child"


@DBOS.workflow(name="reader.blocked")
def blocked(waiting: bool) -> Any:
    double(1)
    if waiting:
        DBOS.set_event("waiting_for", {"topic": "approval"})
    DBOS.set_event("began", True)
    return DBOS.recv("never", timeout_seconds=600)


def attributes(workflow: str, **more: Any) -> SetWorkflowAttributes:
    return SetWorkflowAttributes({names.ATTRIBUTES_KEY: {"kind": "python", "workflow": workflow, **more}})


def main(root: str, url: str, mode: str) -> None:
    settings = load_settings(Path(root), environ={"DATABASE_URL": url} if url else {})
    ensure_schema(settings)
    quiet_dbos()
    lease = open_lease(settings, "session", {"queues": []})
    lease.acquire()
    DBOS(config=dbos_config(settings, lease.id))
    DBOS.listen_queues([])
    DBOS.launch()
    if mode == "dead":
        begin("dead", blocked, False)
        lease.release()
        os._exit(9)
    fill(settings)
    sys.stdout.write(f"ready {lease.id}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


def fill(settings: Settings) -> None:
    with SetWorkflowID("good-1"), attributes("Good one", user_id="ann", workspace_id="w1", queue="fast"):
        good(3)
    with SetWorkflowID("good-2"), attributes("Good one", user_id="bob", workspace_id="w2"):
        good(0)
    failing = attributes("Bad one", user_id="ann", workspace_id="w1")
    with SetWorkflowID("bad-1"), failing, contextlib.suppress(ValueError):
        bad()
    with SetWorkflowID("parent"):
        parent()
    begin("live", blocked, False)
    begin("waiting", blocked, True)
    enqueue(settings)


def begin(run_id: str, function: Any, waiting: bool) -> None:
    with SetWorkflowID(run_id), attributes("Blocked"):
        DBOS.start_workflow(function, waiting)
    while not DBOS.get_event(run_id, "began", timeout_seconds=10):
        time.sleep(0.01)


def enqueue(settings: Settings) -> None:
    with open_client(settings) as client:
        client.register_queue("default")
        client.register_queue("fast")
        options: dict[str, Any] = {"workflow_name": "reader.good", "app_version": names.APPLICATION_VERSION}
        more = {"attributes": {names.ATTRIBUTES_KEY: {"workflow": "Queued", "queue": "fast"}}}
        client.enqueue({**options, **more, "queue_name": "fast", "workflow_id": "queued-1", "priority": 7}, 1)
        client.enqueue({**options, "queue_name": "default", "workflow_id": "queued-2"}, 1)
        client.enqueue({**options, "queue_name": "default", "workflow_id": "late", "delay_seconds": 3600}, 1)
        client.enqueue({**options, **more, "queue_name": "fast", "workflow_id": "gone"}, 1)
        client.cancel_workflow("gone")
        with SetWorkflowID("copy"):
            client.fork_workflow("good-1", 1, queue_name="default")


if __name__ == "__main__":
    main(*sys.argv[1:])
