"""`kurt gc`: removing old runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import command
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.types import Json


def _view(result: dict[str, Any]) -> list[str]:
    verb = "would remove" if result["dry_run"] else "removed"
    values = f", and {result['value_count']} kept values" if result["value_count"] else ""
    return [f"{verb} {result['run_count']} runs and {result['log_count']} worker logs{values}"]


@command(
    "gc",
    view=_view,
    epilog="kurt gc --dry-run\nkurt gc --keep 7d\nkurt gc --keep-count 1000\nkurt gc --cache",
)
@click.option(
    "--keep", metavar="TIME", help="Keep what ended within this time.  [default: GC.KEEP_DAYS days]"
)
@click.option(
    "--keep-count", type=click.IntRange(0), metavar="N", help="Keep at most the newest N finished runs."
)
@click.option("--cache", is_flag=True, help="Remove all values of steps that are kept for later runs, too.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
def gc_cmd(keep: str | None, keep_count: int | None, cache: bool, dry_run: bool) -> Json:
    """Remove old finished runs.

    With their steps, children, events and logs, the logs of workers that are gone, and values of steps that were kept
    for later runs and count no more. Runs that are not over stay.
    """
    from kurt.app.gc import collect
    from kurt.app.times import seconds

    settings = current().settings()
    days = settings.get("GC.KEEP_DAYS")
    kept = seconds(keep) if keep else 86_400.0 * float(30 if days is None else days)
    return collect(settings, keep_seconds=kept, keep_count=keep_count, dry_run=dry_run, cache=cache).to_json()
