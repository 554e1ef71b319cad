"""`kurt queues`: named queues and what bounds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import group
from kurt.cli.session import current
from kurt.cli.table import Column, Table
from kurt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.runtime.queues import QueueLimits
    from kurt.types import Json

_LIMITS = (
    "concurrency",
    "worker_concurrency",
    "rate",
    "partition_concurrency",
    "partition_worker_concurrency",
    "partition_rate",
)


def queues_table(queues: list[dict[str, Any]]) -> Table:
    """Queues with their limits as a table."""
    shown = [name for name in _LIMITS if any(queue.get(name) is not None for queue in queues)]
    rows = [[queue["name"], *[_cell(queue.get(name)) for name in shown]] for queue in queues]
    return Table(
        [Column("name"), *[Column(name.replace("_", " ")) for name in shown]], rows, empty="no queues"
    )


def _cell(value: Any) -> Any:
    return f"{value['limit']}/{value['period']:g}s" if isinstance(value, dict) else value


def queue_view(queue: dict[str, Any]) -> Table:
    """One queue as a table of one row."""
    return queues_table([queue])


def _limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that bound a queue."""
    options = [
        click.option("--concurrency", type=click.IntRange(1), help="Runs at work at once over all workers."),
        click.option(
            "--worker-concurrency", type=click.IntRange(1), help="Runs at work at once in one worker."
        ),
        click.option(
            "--rate", metavar="N/SEC", help="At most N runs started within SEC seconds, such as 10/60."
        ),
        click.option(
            "--partition-concurrency", type=click.IntRange(1), help="As --concurrency, for one key."
        ),
        click.option(
            "--partition-worker-concurrency",
            type=click.IntRange(1),
            help="As --worker-concurrency, for one key.",
        ),
        click.option("--partition-rate", metavar="N/SEC", help="As --rate, for one partition key."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _limits(given: dict[str, Any]) -> QueueLimits:
    from kurt.runtime.queues import QueueLimits

    return QueueLimits(
        concurrency=given["concurrency"],
        worker_concurrency=given["worker_concurrency"],
        rate=_rate(given["rate"]),
        partition_concurrency=given["partition_concurrency"],
        partition_worker_concurrency=given["partition_worker_concurrency"],
        partition_rate=_rate(given["partition_rate"]),
    )


def _rate(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    number, _, period = text.partition("/")
    try:
        rate = int(number), float(period or 1)
    except ValueError:
        rate = (0, 0.0)
    if rate[0] < 1 or rate[1] <= 0:
        raise UsageError(f"{text!r} is not a rate", hint="write N/SEC, such as 10/60 for ten runs a minute")
    return rate


@group("queues", epilog="kurt queues list\nkurt queues create gpu --concurrency 1")
def queues_group() -> None:
    """Create, list, change and delete queues."""


@queues_group.command("list", view=queues_table, epilog="kurt queues list --format json")
def list_cmd() -> Json:
    """List the queues."""
    from kurt.app.queues import list_all

    return [queue.to_json() for queue in list_all(current().settings())]


@queues_group.command(
    "create",
    view=queue_view,
    epilog="kurt queues create gpu --concurrency 1\nkurt queues create api --rate 10/60",
)
@click.argument("name")
@_limit_options
def create_cmd(name: str, **given: Any) -> Json:
    """Create a queue."""
    from kurt.app.queues import create

    return create(current().settings(), name, _limits(given)).to_json()


@queues_group.command("update", view=queue_view, epilog="kurt queues update gpu --concurrency 2")
@click.argument("name")
@_limit_options
def update_cmd(name: str, **given: Any) -> Json:
    """Replace the limits of a queue; workers follow at once, limits that are not given are lifted."""
    from kurt.app.queues import update

    return update(current().settings(), name, _limits(given)).to_json()


@queues_group.command("delete", epilog="kurt queues delete gpu")
@click.argument("name")
def delete_cmd(name: str) -> Json:
    """Delete an empty queue."""
    from kurt.app.queues import delete

    delete(current().settings(), name)
    return {"name": name, "deleted": True}
