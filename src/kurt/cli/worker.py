"""`kurt worker`: processes that serve queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import group
from kurt.cli.output import echo_progress
from kurt.cli.session import current
from kurt.cli.table import Column, Table
from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.runtime.leases import ExecutorInfo
    from kurt.types import Json


def workers_table(executors: list[dict[str, Any]]) -> Table:
    """Live executors as a table."""
    columns = [Column("id"), Column("kind"), Column("pid", "number"), Column("host"), Column("queues")]
    rows = [
        [item["id"], item["kind"], item["pid"], item["host"], ",".join(item.get("queues") or [])]
        for item in executors
    ]
    return Table([*columns], rows, empty="no executor is alive; start one with: kurt worker start")


def _stopped_table(executors: list[dict[str, Any]]) -> Table | str:
    """The workers that were stopped, if there were any."""
    return workers_table(executors) if executors else ""


@group("worker", epilog="kurt worker start --queues default\nkurt worker list\nkurt worker stop --all")
def worker_group() -> None:
    """Start, list and stop workers."""


@worker_group.command(
    "start",
    epilog="kurt worker start\nkurt worker start --queues default,gpu --concurrency 4 --processes 2",
)
@click.option("--queues", default="default", show_default=True, help="Queues to serve, separated by commas.")
@click.option(
    "--concurrency", type=click.IntRange(1), help="Steps at work at once.  [default: WORKER.CONCURRENCY]"
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes."
)
@click.option("--idle-exit", metavar="TIME", help="End after this time without work, such as 60s.")
@click.option("--grace", metavar="TIME", help="Time for steps at work at the end.  [default: WORKER.GRACE]")
@click.option("--detached", is_flag=True, hidden=True, help="Log to a file; used by --background.")
def start_cmd(
    queues: str,
    concurrency: int | None,
    processes: int,
    idle_exit: str | None,
    grace: str | None,
    detached: bool,
) -> None:
    """Serve queues until stopped.

    SIGTERM or Ctrl-C drains the worker: steps at work get their grace period, the rest is taken up by the next worker.
    """
    from kurt.app.times import seconds
    from kurt.app.worker import WorkerPlan, start

    settings = current().settings()
    plan = WorkerPlan(
        queues=_queue_names(queues),
        concurrency=concurrency or _number(settings.get("WORKER.CONCURRENCY"), 10),
        processes=processes,
        idle_exit=seconds(idle_exit) if idle_exit else None,
        grace=seconds(grace) if grace else float(settings.get("WORKER.GRACE") or 10),
        detached=detached,
    )
    start(settings, plan)


def _queue_names(text: str) -> list[str]:
    from kurt.runtime.queues import check_queue_name

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--queues names no queue", hint="leave it out, or write --queues default,reports")
    return [check_queue_name(name) for name in dict.fromkeys(names)]


def _number(value: Any, default: int) -> int:
    return int(value) if value else default


@worker_group.command("list", view=workers_table, epilog="kurt worker list --format json")
def list_cmd() -> Json:
    """List live executors: workers, foreground runs, sessions."""
    from kurt.app.worker import workers

    return [_described(executor) for executor in workers(current().settings())]


def _described(executor: ExecutorInfo) -> Json:
    """An executor with the same keys whatever its kind."""
    return {"queues": [], "concurrency": None, "run_id": None, **executor.to_json()}


@worker_group.command(
    "stop", view=_stopped_table, epilog="kurt worker stop --all\nkurt worker stop worker-host-1234"
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everyone", is_flag=True, help="All workers of the project on this machine.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they have ended.")
def stop_cmd(ids: tuple[str, ...], everyone: bool, no_wait: bool) -> Json:
    """Drain workers and wait until they have ended."""
    from kurt.app.worker import stop

    if not ids and not everyone:
        raise UsageError(
            "it is not said which workers are to stop",
            hint="kurt worker stop --all, or name some of `kurt worker list`",
        )
    stopped = stop(current().settings(), ids, everyone=everyone, wait=not no_wait)
    how = "told to end" if no_wait else "ended"
    echo_progress(
        f"{len(stopped)} worker{'' if len(stopped) == 1 else 's'} {how}" if stopped else "no worker is alive"
    )
    return [_described(worker) for worker in stopped]
