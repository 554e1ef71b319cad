"""`kurt workflows stats`: what the models have cost; loads neither DBOS nor SQLAlchemy."""

from __future__ import annotations

from typing import Any

import click

from kurt.cli.command import command
from kurt.cli.options import complete_run_id
from kurt.cli.session import current
from kurt.cli.table import Column, Table

BY = ("step", "model", "provider", "user", "workspace", "run", "operation", "error")


def stats_table(found: dict[str, Any]) -> Table:
    """A row for each group and one for all of them."""
    by = found["by"]
    columns = [
        *(Column(name, shrink=name != "run") for name in by),
        *(
            Column(name, "number")
            for name in ("calls", "failed", "cached", "tokens in", "tokens out", "seconds", "cost $")
        ),
    ]
    total = found["total"]
    if not total.get("calls"):
        return Table(columns, [], empty="no calls of models")
    rows = [_row(group, [group[name] or "-" for name in by]) for group in found["groups"]]
    if by and len(rows) != 1:
        rows.append(_row(total, ["total", *[""] * (len(by) - 1)]))
    return Table(columns, rows or [_row(total, [])])


def _row(stats: dict[str, Any], names: list[str]) -> list[Any]:
    average = stats["average_ms"]
    return [
        *names,
        stats["calls"],
        stats["failed"] + stats["cut"],
        stats["cache_hits"],
        stats["tokens_in"],
        stats["tokens_out"],
        None if average is None else f"{average / 1000:.2f}",
        _cost(stats),
    ]


def _cost(stats: dict[str, Any]) -> str:
    """Dollars, and how many calls have no known price."""
    known = "" if stats["cost"] is None else f"{stats['cost']:.4f}"
    unknown = f"{stats['unpriced']} unpriced" if stats["unpriced"] else ""
    return " + ".join(part for part in (known, unknown) if part) or "0"


@command(
    "stats",
    view=stats_table,
    epilog="kurt workflows stats\nkurt workflows stats --by workspace --by model --since 7d\n"
    "kurt workflows stats --by run --workspace acme --format json",
)
@click.argument("run_id", metavar="[RUN_ID]", required=False, shell_complete=complete_run_id)
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(BY),
    help="What to count by, repeatable.  [default: step and model]",
)
@click.option("--step", help="Only steps of this name.")
@click.option("--since", metavar="WHEN", help="Begun at this time or later: a time, or 7d for a week ago.")
@click.option("--until", metavar="WHEN", help="Begun before this time.")
def stats_cmd(
    run_id: str | None, by: tuple[str, ...], step: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    """Show calls of models, their tokens and their cost.

    Of one run, or of all. Attempts that failed are counted too; what is unpriced has no known price, which is not
    the same as free.
    """
    from kurt.app.spending import call_stats

    chosen = tuple(dict.fromkeys(by)) or ("step", "model")
    return call_stats(current().settings(), run_id, by=chosen, step=step, since=since, until=until)
