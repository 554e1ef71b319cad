"""`kurt workflows run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import add_background_options, complete_workflow_file
from kurt.cli.session import current
from kurt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.app.targets import Prepared
    from kurt.config import Settings
    from kurt.runtime.enqueue import Placement

_ONLY_QUEUED = (
    "priority",
    "dedup_id",
    "on_duplicate",
    "at",
    "delay",
    "debounce",
    "debounce_key",
    "debounce_max",
    "partition_key",
)
"""Options that say something about a place in a queue."""


def _placement_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where, when and how often the run is to start."""
    options = [
        click.option("--queue", metavar="NAME", help="The named queue.  [default: the file's, else default]"),
        click.option("--timeout", metavar="TIME", help="Cancel the run when it takes longer, such as 2h."),
        click.option("--run-id", metavar="ID", help="Id of the run; a repeat gives the run that exists."),
        click.option(
            "--dedup-id", metavar="ID", help="While a run with this id is on the queue, start no second."
        ),
        click.option(
            "--on-duplicate",
            type=click.Choice(["reject", "return-existing"]),
            help="What a second run with the same --dedup-id gets.  [default: reject]",
        ),
        click.option("--in", "delay", metavar="TIME", help="Start after this time, such as 10m."),
        click.option("--at", metavar="WHEN", help="Start at this time, such as 2026-11-21T07:00:00Z."),
        click.option("--debounce", metavar="TIME", help="Start when no further request came for this time."),
        click.option(
            "--debounce-key", metavar="KEY", help="Requests with the same key are one; with --debounce."
        ),
        click.option(
            "--debounce-max", metavar="TIME", help="Start after this time all the same; with --debounce."
        ),
        click.option("--partition-key", metavar="KEY", help="The key, on a partitioned queue."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What the command line asks for."""

    target: str
    inputs: tuple[str, ...]
    inputs_file: str | None
    background: bool
    dry_run: bool
    run_id: str | None
    mock_llm: bool
    no_cache: bool
    options: dict[str, Any]


def _view(result: dict[str, Any]) -> Any:
    """A plan, a submission, or how the run ended."""
    from kurt.cli.workflows import views

    if "plan" in result:
        from kurt.app.plan import plan_lines

        return plan_lines(result)
    if "log" in result:
        return views.submitted_lines(result)
    return _outputs(result)


def _outputs(run: dict[str, Any]) -> list[str]:
    """The outputs of a run for people: text as it is, everything else as JSON."""
    import json

    outputs = run.get("outputs")
    if not isinstance(outputs, dict):
        return [json.dumps(outputs, ensure_ascii=False, indent=2)] if outputs is not None else []
    return [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)}"
        for name, value in outputs.items()
    ]


_AS_CHILD = {
    "background": "remove it: the step waits for the run; a run of its own starts by a step of type `run`",
    "dry_run": "write true or false: what the step does must be known before it runs",
    "no_cache": "write --no-cache where the whole run is started",
    "mock_llm": "remove it: a child pretends where its run does",
    "inputs_file": "read the file in a step before, and give its values with `input`",
    "run_id": "remove it: the id follows from that of the run and from the step",
    "timeout": "write `timeout:` beside the step's `args`",
}
"""What to do instead of options that say how a run of its own is started."""


def _starts(params: dict[str, Any]) -> Any:
    """The run that the command executes."""
    from kurt.engine.starts import RunStart

    if params["dry_run"] is True:
        return None
    given = [name for name in (*_AS_CHILD, "queue", *_ONLY_QUEUED) if params.get(name) not in (None, False)]
    queue = "remove it: a child goes with its run, and takes no place in a queue"
    return RunStart(
        workflow=_file_or_name(params["target"]),
        named_by="target",
        texts=tuple(params["inputs"]),
        misplaced={name: _AS_CHILD.get(name, queue) for name in given},
        elsewhere=params["background"] is True,
    )


def _file_or_name(target: str) -> str:
    """The file that a word means, seen from the project's root, else the word itself."""
    settings = current().settings()
    named = [settings.workflows_dir / f"{target}{suffix}" for suffix in (".yaml", ".yml")]
    for path in (settings.root / target, *named):
        if path.is_file():
            inside = path.is_relative_to(settings.root)
            return f"./{path.relative_to(settings.root)}" if inside else str(path)
    return target


@command(
    "run",
    view=_view,
    starts_run=_starts,
    epilog="kurt workflows run workflows/quickstart.yaml\n"
    "kurt workflows run pages --input limit=5 --input 'urls=[a, b]'\n"
    "kurt workflows run pages --background --queue default --priority 1\n"
    "kurt workflows run pages --dry-run\n"
    "kurt workflows run pages --mock-llm",
)
@click.argument("target", metavar="FILE|NAME", shell_complete=complete_workflow_file)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; may be repeated.")
@click.option(
    "--inputs-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Inputs as YAML or JSON; - for stdin.",
)
@click.option(
    "--mock-llm",
    is_flag=True,
    help="Call no model: make up answers that fit their schemas. The run is marked as mocked.",
)
@click.option(
    "--no-cache", is_flag=True, help="Use no values that earlier runs have kept; what is made anew is kept."
)
@_placement_options
@add_background_options()
def run_cmd(
    target: str,
    inputs: tuple[str, ...],
    inputs_file: str | None,
    background: bool,
    dry_run: bool,
    run_id: str | None,
    mock_llm: bool,
    no_cache: bool,
    **options: Any,
) -> Any:
    """Run a workflow file or a registered workflow.

    In the foreground the run works in this process, with a live view; Ctrl-C cancels it. With --background it is put on
    a queue and a worker takes it up.
    """
    request = _Request(
        target=target,
        inputs=inputs,
        inputs_file=inputs_file,
        background=background,
        dry_run=dry_run,
        run_id=run_id,
        mock_llm=mock_llm,
        no_cache=no_cache,
        options=options,
    )
    return _run(current().settings(), request)


def _run(settings: Settings, request: _Request) -> Any:
    from kurt.app.inputs import read_inputs_file
    from kurt.app.targets import prepare
    from kurt.runtime.mocked import asked_by_environment

    _check_options(request)
    given = read_inputs_file(request.inputs_file) if request.inputs_file else {}
    if request.dry_run:
        return _plan(settings, request, given)
    mock = {"llm": True} if request.mock_llm or asked_by_environment() else None
    prepared = prepare(settings, request.target, texts=request.inputs, given=given, mock=mock)
    if request.no_cache:
        prepared = prepared.without_cache()
    placement = _placement(settings, prepared, request)
    if request.background:
        from kurt.app.runs import submit

        return submit(settings, prepared, placement, run_id=request.run_id).to_json()
    return _foreground(settings, prepared, placement, request.run_id)


def _plan(settings: Settings, request: _Request, given: dict[str, Any]) -> dict[str, Any]:
    from kurt.app.plan import plan_run

    return plan_run(settings, request.target, texts=request.inputs, given=given, options=request.options)


def _check_options(request: _Request) -> None:
    options = request.options
    if not request.background:
        chosen = [name for name in _ONLY_QUEUED if options.get(name) is not None]
        if chosen:
            flag = {"delay": "--in"}.get(chosen[0], "--" + chosen[0].replace("_", "-"))
            raise UsageError(
                f"{flag} is about a place in a queue, and a foreground run has none", hint="add --background"
            )


def _placement(settings: Settings, prepared: Prepared, request: _Request) -> Placement:
    from kurt.app.placement import placement_from

    return placement_from(settings, prepared, {**request.options, "run_id": request.run_id})


def _foreground(settings: Settings, prepared: Prepared, placement: Placement, run_id: str | None) -> Outcome:
    from kurt.app.runs import run_here
    from kurt.cli.watching import outcome, watched

    mocked = prepared.attributes.get("mocked") or ()
    with watched(prepared.name, steps=prepared.steps, mocked=mocked) as watching:
        run = watching.ended(run_here(settings, prepared, placement, run_id=run_id, watch=watching.watch))
    return outcome(run)
