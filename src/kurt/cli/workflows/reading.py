"""`kurt workflows list`, `status`, `steps`, `logs`, `events`, `stream`, `result`: what has happened.

None of them loads DBOS or SQLAlchemy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import run_id_argument
from kurt.cli.output import hint
from kurt.cli.session import TABLE, current, current_mode
from kurt.cli.workflows import views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kurt.types import Json

STATES = (
    "scheduled",
    "queued",
    "running",
    "interrupted",
    "waiting",
    "succeeded",
    "failed",
    "cancelled",
    "stuck",
)


@command(
    "list",
    view=views.runs_table,
    epilog="kurt workflows list --status failed --since 1d\n"
    "kurt workflows list --name pages --limit 5 --format json\n"
    "kurt workflows list --files",
)
@click.option(
    "--status", multiple=True, type=click.Choice(STATES), help="Only runs in this state; repeatable."
)
@click.option("--name", help="Only runs of this workflow.")
@click.option("--queue", help="Only runs of this queue.")
@click.option("--user", help="Only runs of this user.")
@click.option("--workspace", help="Only runs of this workspace.")
@click.option("--version", "app_version", help="Only runs of this version of the interpreter.")
@click.option("--parent", metavar="ID", help="The children of a run.")
@click.option("--forked-from", metavar="ID", help="Runs that were forked from this one.")
@click.option(
    "--since", metavar="WHEN", help="Created at this time or later: a time, or 2h for two hours ago."
)
@click.option("--until", metavar="WHEN", help="Created before this time.")
@click.option("--prefix", help="Ids that begin so.")
@click.option("--executor", help="Runs that this executor has or had.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Runs at most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many first.")
@click.option("--reverse", is_flag=True, help="The oldest first.")
@click.option("--files", is_flag=True, help="List the workflows that can be run in place of runs.")
def list_cmd(files: bool, **filters: Any) -> Json:
    """List runs, the newest first."""
    settings = current().settings()
    if files:
        from kurt.app.catalogue import runnable

        return runnable(settings)
    from kurt.app.reading import list_runs

    runs = [run.to_json() for run in list_runs(settings, filters)]
    if not runs and not settings.is_project:
        hint(
            f"there is no kurt.config in {settings.root} or above it; go to a project, or make one: kurt init"
        )
    return runs


@command("status", view=views.run_lines, epilog="kurt workflows status 01k --format json")
@run_id_argument
def status_cmd(run_id: str) -> Json:
    """Show one run."""
    from kurt.app.reading import get_run

    return get_run(current().settings(), run_id).to_json()


@command("steps", view=views.steps_table, epilog="kurt workflows steps 01k --values --format json")
@run_id_argument
@click.option("--values", is_flag=True, help="Show the value of each step too; in JSON only.")
def steps_cmd(run_id: str, values: bool) -> Json:
    """Show the steps of a run."""
    from kurt.app.reading import get_steps

    return [step.to_json() for step in get_steps(current().settings(), run_id, values=values)]


@command("logs", epilog="kurt workflows logs 01k --tail 50\nkurt workflows logs 01k --step fetch")
@run_id_argument
@click.option("--tail", type=click.IntRange(1), metavar="N", help="Only the last N lines.")
@click.option("--step", metavar="PATH", help="Only lines of this step.")
@click.option("--level", type=click.Choice(["debug", "info", "warn", "error"]), help="This level and above.")
def logs_cmd(run_id: str, tail: int | None, step: str | None, level: str | None) -> Iterator[Json]:
    """Print the log of a run.

    On a machine that has not executed the run, what is stored of the log is read from the database. Colours of
    programs are shown on a terminal only.
    """
    from kurt.app.reading import log_lines
    from kurt.cli.output import colours
    from kurt.runtime.terminal import plain

    lines = log_lines(current().settings(), run_id, tail_count=tail, step=step, level=level)
    coloured = current_mode() == TABLE and colours(sys.stdout)
    yield from lines if coloured else map(plain, lines)


@command("events", epilog="kurt workflows events 01k --format json")
@run_id_argument
def events_cmd(run_id: str) -> Json:
    """Show the events of a run."""
    from kurt.app.reading import get_events

    return get_events(current().settings(), run_id)


@command(
    "stream", view=views.stream_lines, epilog="kurt workflows stream 01k progress --offset 100 --limit 50"
)
@run_id_argument
@click.argument("key")
@click.option("--offset", type=click.IntRange(0), default=0, help="The first entry to show.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Entries at most."
)
def stream_cmd(run_id: str, key: str, offset: int, limit: int) -> Json:
    """Read a stream of a run.

    Kurt writes `progress`, what has changed and when, and `logs`, the run's log in pieces; steps may write others.
    """
    from kurt.app.reading import get_stream

    return get_stream(current().settings(), run_id, key, offset=offset, limit=limit).to_json()


@command("result", epilog="kurt workflows result 01k --format json")
@run_id_argument
def result_cmd(run_id: str) -> Json:
    """Print the outputs of a run.

    Ends with status 1 when the run is not over or did not succeed.
    """
    from kurt.app.reading import get_run
    from kurt.app.runs import failure_of

    run = get_run(current().settings(), run_id)
    return Outcome(run.outputs, error=failure_of(run))
