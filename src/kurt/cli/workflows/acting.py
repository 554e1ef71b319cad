"""`kurt workflows follow`, `wait`, `cancel`, `resume`, `retry`, `fork`, `send`, `delete`: acting on runs that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import complete_run_id, run_id_argument
from kurt.cli.session import current
from kurt.cli.workflows import views
from kurt.cli.workflows.data_param import Data, data_option

if TYPE_CHECKING:
    from kurt.types import Json


def _takes_up(params: dict[str, Any]) -> Any:
    """The run that the command executes in its own process."""
    from kurt.engine.starts import RunStart

    return None if params["background"] is True else RunStart(workflow=None)


def _run_view(run: dict[str, Any]) -> Any:
    return views.submitted_lines(run) if "log" in run else views.run_lines(run)


@command("follow", view=views.run_lines, epilog="kurt workflows follow 01k")
@run_id_argument
@click.option(
    "--wait", is_flag=True, help="Stay also while the run waits in its queue; it is what follow does anyway."
)
def follow_cmd(run_id: str, wait: bool) -> Any:
    """Stay with a run until it ends.

    Shows its steps and its log, and ends with the run's own exit status. Ctrl-C leaves the run alone.
    """
    from kurt.app.runs import failure_of
    from kurt.cli.watching import follow

    del wait
    run = follow(current().settings(), run_id)
    return Outcome(run.to_json(), error=failure_of(run))


@command("wait", view=views.run_lines, epilog="kurt workflows wait 01k --timeout 5m")
@run_id_argument
@click.option("--timeout", metavar="TIME", help="Give up after this time; the run goes on.")
def wait_cmd(run_id: str, timeout: str | None) -> Any:
    """Wait for the end of a run.

    Prints nothing until then, unless no worker will go on with the run, or it waits for people. Ends with the run's own
    exit status.
    """
    from kurt.app.runs import failure_of, wait
    from kurt.app.times import seconds
    from kurt.cli.output import warn

    run = wait(current().settings(), run_id, limit=seconds(timeout) if timeout else None, tell=warn)
    return Outcome(run.to_json(), error=failure_of(run))


@command("cancel", view=views.runs_table, epilog="kurt workflows cancel 01k 01m")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...", shell_complete=complete_run_id)
def cancel_cmd(run_ids: tuple[str, ...]) -> Json:
    """Cancel runs and their children.

    Steps at work are stopped within two seconds, with their child processes. `resume` continues a cancelled run.
    """
    from kurt.app.steering import cancel

    return [run.to_json() for run in cancel(current().settings(), run_ids)]


@command(
    "resume",
    view=_run_view,
    starts_run=_takes_up,
    epilog="kurt workflows resume 01k\nkurt workflows resume 01k --background",
)
@run_id_argument
@click.option("--background", is_flag=True, help="Hand the run to a worker.")
def resume_cmd(run_id: str, background: bool) -> Any:
    """Continue a run where it stopped.

    For runs that were interrupted, cancelled or are stuck, and for those that spent their budget, once it is raised.
    Finished steps and rows are not repeated.
    """
    from kurt.app import steering
    from kurt.cli.watching import outcome, watched

    settings = current().settings()
    if background:
        return steering.resume_in_background(settings, run_id).to_json()
    with watched(run_id) as watching:
        run = watching.ended(steering.resume_here(settings, run_id, watch=watching.watch))
    return outcome(run)


@command(
    "retry",
    view=_run_view,
    starts_run=_takes_up,
    epilog="kurt workflows retry 01k\nkurt workflows retry 01k --failed-rows\nkurt workflows retry 01k --background",
)
@run_id_argument
@click.option("--failed-rows", is_flag=True, help="Only if rows of a batch step failed: ask for those again.")
@click.option("--background", is_flag=True, help="Hand the run to a worker.")
def retry_cmd(run_id: str, failed_rows: bool, background: bool) -> Any:
    """Repeat what failed in a run, and what depends on it.

    The run keeps its id. Steps, items and rows that succeeded are not repeated.
    """
    from kurt.app import steering
    from kurt.cli.watching import outcome, watched

    settings = current().settings()
    if background:
        return steering.retry_in_background(settings, run_id, failed_rows=failed_rows).to_json()
    with watched(run_id) as watching:
        run = watching.ended(
            steering.retry_here(settings, run_id, watch=watching.watch, failed_rows=failed_rows)
        )
    return outcome(run)


@command(
    "fork",
    view=_run_view,
    starts_run=_takes_up,
    epilog="kurt workflows fork 01k --from report\nkurt workflows fork 01k --from fetch --input limit=5 --background",
)
@run_id_argument
@click.option(
    "--from", "start", metavar="STEP", help="The first step that runs again.  [default: all of them]"
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="Another value for an input.")
@click.option("--background", is_flag=True, help="Hand the new run to a worker.")
def fork_cmd(run_id: str, start: str | None, inputs: tuple[str, ...], background: bool) -> Any:
    """Start a new run from a step of another.

    Steps before it are taken over with their values; so are the finished items of a fan-out at which it starts.
    """
    from kurt.app import steering
    from kurt.cli.watching import outcome, watched

    settings = current().settings()
    if background:
        return steering.fork_in_background(settings, run_id, start=start, texts=inputs).to_json()
    with watched(run_id) as watching:
        run = watching.ended(
            steering.fork_here(settings, run_id, start=start, texts=inputs, watch=watching.watch)
        )
    return outcome(run)


@command("send", epilog='kurt workflows send 01k --topic approved --data \'{"by": "ana"}\'')
@run_id_argument
@click.option("--topic", required=True, help="The topic for which the run waits.")
@data_option(required=False, help="The message.  [default: null]")
@click.option("--idempotency-key", metavar="KEY", help="A repeat with the same key sends nothing more.")
def send_cmd(run_id: str, topic: str, data: Data | None, idempotency_key: str | None) -> Json:
    """Send a message to a run that waits for one.

    A message that comes early waits for the run. If no worker is alive, one is started.
    """
    from kurt.app.steering import send
    from kurt.cli.output import warn

    # What begins like JSON and is none has a typing error; a run should not get it as a text.
    message = data.load(plain_text=not data.text.startswith(("{", "["))) if data is not None else None
    run = send(current().settings(), run_id, message, topic=topic, idempotency_key=idempotency_key)
    waited_for = [str(wait["topic"]) for wait in run.waits if wait.get("kind") == "message"]
    if waited_for and topic not in waited_for:
        warn(f"the run waits for a message on {', '.join(waited_for)} now; it keeps this one for later")
    return {"run_id": run.id, "topic": topic, "sent": True}


@command("delete", epilog="kurt workflows delete 01k 01m")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...", shell_complete=complete_run_id)
def delete_cmd(run_ids: tuple[str, ...]) -> Json:
    """Delete finished runs.

    Everything that is recorded of them goes, with their children and logs.
    """
    from kurt.app.steering import delete

    return [{"run_id": run_id, "deleted": True} for run_id in delete(current().settings(), run_ids)]
