"""`kurt notify`: who is told of runs."""

from __future__ import annotations

from typing import Any

import click

from kurt.cli.command import Outcome, group
from kurt.cli.output import Column, Table
from kurt.cli.session import current


def notices_table(rows: list[dict[str, Any]]) -> Table:
    """What became of each notification, its remedy below it."""
    cells: list[list[str]] = []
    for row in rows:
        cells.append([row["type"], row["from"], row["state"], row["to"] or row["error"] or ""])
        if row["hint"]:
            cells.append(["", "", "", f"hint: {row['hint']}"])
    columns = [Column("type"), Column("from"), Column("state", "state"), Column("detail")]
    return Table(columns, cells, empty="nobody is told: name somebody by `notify` in a file, or by NOTIFY.*")


@group("notify", epilog="kurt notify test")
def notify_group() -> None:
    """Try out who is told of runs."""


@notify_group.command(
    "test",
    view=notices_table,
    epilog="kurt notify test\nkurt notify test workflows/report.yaml --event success --format json",
)
@click.argument("file", required=False)
@click.option(
    "--event",
    type=click.Choice(["failure", "success", "waiting"]),
    default="failure",
    show_default=True,
    help="What is said to have happened.",
)
def test_cmd(file: str | None, event: Any) -> Outcome:
    """Tell everybody named by the settings, and by FILE, that nothing has happened.

    Exits 1 if somebody could not be told.
    """
    from kurt.app.notifying import try_out

    rows = try_out(current().settings(), file, event)
    return Outcome(rows, exit_code=1 if any(row["state"] == "failed" for row in rows) else 0)
