"""`kurt schedules`: workflows that run by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, group
from kurt.cli.options import complete_schedule, complete_schedule_or_file
from kurt.cli.output import hint_line
from kurt.cli.session import current
from kurt.cli.table import Column, Table
from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.app.schedules.files import Wanted
    from kurt.config import Settings
    from kurt.types import Json, JsonObject

NOT_SERVED = "no live worker, so nothing is started; it begins with: kurt worker start"
"""Said wherever schedules are shown that nobody serves."""


def schedules_table(schedules: list[dict[str, Any]]) -> Table:
    """Schedules as a table: the time of the next tick and, in a list, what became of the last one."""
    columns = [
        Column("name", shrink=True),
        Column("workflow", shrink=True),
        Column("cron"),
        Column("timezone"),
        Column("status", "state"),
        Column("next", "time"),
    ]
    names = ("name", "workflow", "cron", "timezone")
    rows = [
        [*(one[name] for name in names), one.get("action") or one["status"], one["next_at"]]
        for one in schedules
    ]
    if any("last" in one for one in schedules):
        columns += [Column("last", "state"), Column("last run")]
        rows = [
            [*row, _last(one), (one["last"] or {}).get("run_id")]
            for row, one in zip(rows, schedules, strict=True)
        ]
    return Table(columns, rows, empty="no schedules; make one with: kurt schedules create FILE")


def _last(schedule: dict[str, Any]) -> str:
    """What became of the last tick, and how many wait."""
    last, waiting = schedule.get("last"), schedule.get("waiting")
    said = last["status"] if last else ""
    return f"{said} ({waiting} waiting)" if waiting and (waiting > 1 or said != "waiting") else said


def ticks_table(ticks: list[dict[str, Any]]) -> Table:
    """Ticks as a table."""
    columns = [
        Column("for"),
        Column("kind"),
        Column("state", "state"),
        Column("run id"),
        Column("reason", shrink=True),
    ]
    rows = [[tick["local"], tick["kind"], tick["status"], tick["run_id"], _reason(tick)] for tick in ticks]
    return Table(columns, rows, empty="nothing was due yet")


def _reason(tick: dict[str, Any]) -> str | None:
    error = tick.get("error")
    if not error:
        return tick["reason"]
    faults = [_fault(fault) for fault in error.get("errors") or []]
    return "; ".join([error["message"], *faults, *([f"hint: {error['hint']}"] if error.get("hint") else [])])


def _fault(fault: dict[str, Any]) -> str:
    place = ":".join(str(fault[key]) for key in ("file", "line", "column") if fault.get(key) is not None)
    return f"{place}: {fault['message']}" if place else fault["message"]


def times_table(times: list[dict[str, Any]]) -> Table:
    """Times to come as a table."""
    columns = [Column("schedule", shrink=True), Column("local"), Column("day"), Column("utc")]
    rows = [[one["schedule"], one["local"], one["weekday"], one["at"]] for one in times]
    if all(one["schedule"] is None for one in times):
        columns, rows = columns[1:], [row[1:] for row in rows]
    return Table(columns, rows)


def _backfilled(found: dict[str, Any]) -> list[str]:
    """What a backfill did, or would do."""
    asked, there, name = found["asked"], found["there"], found["schedule"]
    verb = "would be started" if found["dry_run"] else "will be started, one after the other"
    lines = [f"{asked} run{'' if asked == 1 else 's'} of {name!r} {verb}"]
    if found["dry_run"]:
        lines += [f"  {one['at']}" for one in found["times"] if one["asked"]]
    if there:
        lines.append(f"{there} time{' has its run' if there == 1 else 's have their runs'} already")
    return [*lines, f"Ticks: kurt schedules ticks {name}"]


def _deleted(found: list[JsonObject]) -> list[str]:
    return [f"deleted {one['name']}" for one in found]


@group(
    "schedules",
    epilog="kurt schedules create workflows/digest.yaml\nkurt schedules list\nkurt schedules next workflows/digest.yaml",
)
def schedules_group() -> None:
    """Run workflows by themselves at certain times."""


@schedules_group.command(
    "create",
    view=schedules_table,
    epilog="kurt schedules create workflows/digest.yaml\n"
    "kurt schedules create digest --workflow workflows/digest.yaml --cron '0 7 * * 1' --timezone Europe/Paris\n"
    "kurt schedules create daily --workflow fetch --cron @daily --input 'url=https://example.com'",
)
@click.argument("target", metavar="FILE|NAME", shell_complete=complete_schedule_or_file)
@click.option(
    "--workflow", metavar="FILE|NAME", help="What to run; then the argument is the schedule's name."
)
@click.option("--cron", metavar="EXPRESSION", help="When: minute hour day month weekday, or @daily and such.")
@click.option("--timezone", metavar="ZONE", help="The zone whose clock --cron means.  [default: UTC]")
@click.option(
    "--overlap", type=click.Choice(["skip", "queue", "cancel"]), help="When the last run is not over."
)
@click.option("--catch-up", is_flag=True, help="Start also what was due while no worker lived.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; may be repeated.")
@click.option("--queue", metavar="NAME", help="Queue of the runs.  [default: the file's, else default]")
@click.option("--priority", type=click.IntRange(1, 2**31 - 1), help="Priority of the runs; 1 comes first.")
@click.option("--replace", is_flag=True, help="Change the schedule of that name.")
@click.option("--no-worker", is_flag=True, help="Start no worker.")
def create_cmd(target: str, replace: bool, no_worker: bool, **given: Any) -> Outcome:
    """Register the schedules of a workflow file, or make one of a name.

    A file's schedules may be registered again after a change. Times are served by any worker; one is started if none lives.
    """
    from kurt.app.schedules import managing
    from kurt.app.schedules.files import from_file
    from kurt.app.schedules.listing import is_served, schedule_json

    settings = current().settings()
    named = {name: value for name, value in given.items() if value not in (None, False, ())}
    if "workflow" in named:
        wanted = [_wanted(settings, target, named)]
    elif named:
        option = "--" + {"inputs": "input"}.get(next(iter(named)), next(iter(named))).replace("_", "-")
        raise UsageError(
            f"{option} is for a schedule that stands in no file",
            hint=f"write it into the `schedule:` of {target}, or add --workflow FILE",
        )
    else:
        wanted = from_file(settings, target)
    made = managing.create(settings, wanted, may_replace=replace or "workflow" not in named)
    if not no_worker:
        managing.serve(settings)
    shown = [{**schedule_json(schedule), "action": action} for schedule, action in made]
    return Outcome(shown, closing=[] if is_served(settings) else [hint_line(NOT_SERVED)])


def _wanted(settings: Settings, name: str, given: dict[str, Any]) -> Wanted:
    from kurt.app.schedules.files import Wanted, inputs_from
    from kurt.app.schedules.starting import example_scope

    if "cron" not in given:
        raise UsageError("it is not said when", hint="add --cron '0 7 * * 1'")
    texts = given.pop("inputs", ())
    scope = example_scope(name, given.get("timezone", "UTC"))
    inputs = inputs_from(settings, given["workflow"], texts, scope)
    return Wanted(name=name, inputs=inputs, **given)


@schedules_group.command("list", view=schedules_table, epilog="kurt schedules list --format json")
def list_cmd() -> Outcome:
    """List the schedules with their next time and what became of the last."""
    from kurt.app.schedules.listing import described

    found = described(current().settings())
    unserved = any(one["status"] == "active" and not one["served"] for one in found)
    return Outcome(found, closing=[hint_line(NOT_SERVED)] if unserved else [])


@schedules_group.command("ticks", view=ticks_table, epilog="kurt schedules ticks digest")
@click.argument("name", shell_complete=complete_schedule)
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest first."
)
def ticks_cmd(name: str, limit: int) -> Json:
    """Show what became of the times at which a schedule was due."""
    from kurt.app.schedules.listing import ticks

    return ticks(current().settings(), name, limit)


@schedules_group.command(
    "next",
    view=times_table,
    epilog="kurt schedules next workflows/digest.yaml\nkurt schedules next digest --count 3\n"
    "kurt schedules next --cron '30 2 * * *' --timezone Europe/Paris --from 2026-10-24",
)
@click.argument("target", metavar="[FILE|NAME]", required=False, shell_complete=complete_schedule_or_file)
@click.option("--cron", metavar="EXPRESSION", help="An expression in place of a schedule.")
@click.option("--timezone", metavar="ZONE", help="The zone whose clock --cron means.  [default: UTC]")
@click.option("--count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many times.")
@click.option("--from", "start", metavar="WHEN", help="From this date or time on.  [default: now]")
def next_cmd(
    target: str | None, cron: str | None, timezone: str | None, count: int, start: str | None
) -> Json:
    """Show the next times of a file's schedules, of one by its name, or of a cron expression."""
    from kurt.app.schedules.upcoming import checked_cron, upcoming

    if timezone is not None and cron is None:
        raise UsageError("--timezone says more about --cron", hint="add --cron '0 7 * * 1'")
    given = checked_cron(cron, timezone or "UTC") if cron is not None else None
    return upcoming(current().settings(), target, given, count=count, start=start)


@schedules_group.command("pause", view=schedules_table, epilog="kurt schedules pause digest")
@click.argument("name", shell_complete=complete_schedule)
def pause_cmd(name: str) -> Json:
    """Start nothing until the schedule is resumed; what is due meanwhile is left out."""
    from kurt.app.schedules.listing import schedule_json
    from kurt.app.schedules.managing import pause

    return [schedule_json(pause(current().settings(), name))]


@schedules_group.command("resume", view=schedules_table, epilog="kurt schedules resume digest")
@click.argument("name", shell_complete=complete_schedule)
@click.option("--no-worker", is_flag=True, help="Start no worker.")
def resume_cmd(name: str, no_worker: bool) -> Outcome:
    """Go on with the next time from now."""
    from kurt.app.schedules.listing import is_served, schedule_json
    from kurt.app.schedules.managing import resume, serve

    settings = current().settings()
    schedule = resume(settings, name)
    if not no_worker:
        serve(settings)
    return Outcome([schedule_json(schedule)], closing=[] if is_served(settings) else [hint_line(NOT_SERVED)])


@schedules_group.command(
    "trigger", view="kurt.cli.workflows.views:submitted_lines", epilog="kurt schedules trigger digest"
)
@click.argument("name", shell_complete=complete_schedule)
def trigger_cmd(name: str) -> Json:
    """Start a run of the schedule now, whatever is at work, and also while it is paused."""
    from kurt.app.schedules.managing import trigger

    return trigger(current().settings(), name).to_json()


@schedules_group.command(
    "backfill",
    view=_backfilled,
    epilog="kurt schedules backfill digest --from 2026-10-01 --to 2026-10-31\n"
    "kurt schedules backfill digest --from 2026-10-01 --to 2026-10-31 --dry-run",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("--from", "start", metavar="WHEN", required=True, help="From this date or time on.")
@click.option("--to", "end", metavar="WHEN", required=True, help="Until this date or time, included.")
@click.option("--dry-run", is_flag=True, help="Only show the times.")
@click.option("--no-worker", is_flag=True, help="Start no worker.")
def backfill_cmd(name: str, start: str, end: str, dry_run: bool, no_worker: bool) -> Json:
    """Start the runs of past times, one after the other; times for which there is a run are left alone."""
    from kurt.app.schedules import managing
    from kurt.runtime.schedule_types import iso

    settings = current().settings()
    found = managing.backfill(settings, name, start, end, dry_run=dry_run)
    if found.asked and not dry_run and not no_worker:
        managing.serve(settings)
    asked = set(found.asked)
    return {
        "schedule": found.schedule.name,
        "dry_run": dry_run,
        "asked": len(asked),
        "there": len(found.times) - len(asked),
        "times": [
            {"at": iso(at), "run_id": found.schedule.run_id(at), "asked": at in asked} for at in found.times
        ],
    }


@schedules_group.command("delete", view=_deleted, epilog="kurt schedules delete digest")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_schedule)
def delete_cmd(names: tuple[str, ...]) -> Json:
    """Remove schedules; runs that they have started stay."""
    from kurt.app.schedules.managing import delete

    return [{"name": one.name, "deleted": True} for one in delete(current().settings(), names)]
