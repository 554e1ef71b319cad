"""Options and arguments that many commands share, and their completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from kurt.cli.lazy import load
from kurt.cli.session import FORMATS, current

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

F = TypeVar("F", bound="Callable[..., Any] | click.Command")

COMPLETION_SECONDS = 0.3
"""How long completion may look for names; a shell that waits for its user is worse than no names."""


def _remember(_ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Write a global option into the session, wherever on the command line it stands."""
    if value is not None and value is not False:
        setattr(current(), str(param.name), value)


def format_option(function: F) -> F:
    """`--format table|json|jsonl` for a click command; commands made with `kurt.cli.command` have it already."""
    if isinstance(function, click.Command):
        add_options(function, [new_format_option()])
        return function  # pyright: ignore[reportReturnType] - the command itself, changed in place
    return click.option("--format", cls=_FormatOption)(function)


def new_format_option(*, hidden: bool = False) -> click.Option:
    """The option `--format` by itself."""
    return _FormatOption(["--format"], hidden=hidden)


class _FormatOption(click.Option):
    """`--format`, which writes into the session."""

    def __init__(self, param_decls: list[str], **attrs: Any) -> None:
        super().__init__(
            param_decls,
            type=click.Choice(FORMATS),
            expose_value=False,
            callback=_remember,
            help="How the result is printed; table, or what KURT_FORMAT says, by default.",
            **attrs,
        )


def global_options(*, hidden: bool) -> list[click.Option]:
    """The options that every command takes; only the root command shows them in its help."""
    return [
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_remember,
            hidden=hidden,
            help="Colours: on a terminal only, always or never; NO_COLOR is honoured.",
        ),
        click.Option(
            ["--quiet", "-q"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            hidden=hidden,
            help="No progress and no hints, only results and errors.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            hidden=hidden,
            help="Show the traceback of an error.",
        ),
        click.Option(
            ["--project"],
            type=click.Path(exists=True, file_okay=False),
            metavar="DIR",
            expose_value=False,
            callback=_remember,
            hidden=hidden,
            help="The project's folder, or one below it.  [default: the working directory]",
        ),
        *(
            click.Option(
                [f"--{name}"],
                metavar="ID",
                expose_value=False,
                callback=_remember,
                hidden=hidden,
                help=f"Whose runs to show and to start: those of this {name} only.",
            )
            for name in ("user", "workspace")
        ),
    ]


def add_options(command: click.Command, options: list[click.Option]) -> None:
    """Give a command the options whose names it has not taken itself."""
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    command.params += [option for option in options if taken.isdisjoint(option.opts)]


def add_background_options(*, dry_run: bool = True) -> Callable[[F], F]:
    """The options of every command that starts a run; its callback gets `background`, `priority` and `dry_run`.

    Use it below or above the command's decorator:

        @command("fetch")
        @add_background_options()
        def fetch_cmd(background: bool, priority: int | None, dry_run: bool) -> dict[str, Any]:
            return run_fetch(config, background=background, priority=priority, dry_run=dry_run)

    Args:
        dry_run: whether the command has `--dry-run` too.
    """

    def decorate(function: F) -> F:
        if dry_run:
            function = click.option(
                "--dry-run", is_flag=True, help="Show what would be done, and do nothing."
            )(function)
        function = click.option(
            "--priority",
            type=click.IntRange(1, 2**31 - 1),
            metavar="N",
            help="Place in the queue: 1 comes first, none comes before all numbers.",
        )(function)
        function = click.option(
            "--background", is_flag=True, help="Hand the run to a worker and print its id at once."
        )(function)
        return format_option(function)

    return decorate


def run_id_argument(function: F) -> F:
    """The argument `RUN_ID`: an id or a prefix that fits one run only; the callback gets `run_id`."""
    return click.argument("run_id", metavar="RUN_ID", shell_complete=complete_run_id)(function)


def complete_run_id(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of the newest runs that begin so; read-only, and nothing if it takes too long."""
    return _items(lambda: load("kurt.cli.complete:recent_runs")(current().settings(), incomplete))


def complete_schedule(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of schedules."""
    return _items(lambda: load("kurt.cli.complete:schedules")(current().settings(), incomplete))


def complete_schedule_or_file(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of schedules, then workflow files."""
    return complete_schedule(ctx, param, incomplete) + complete_workflow_file(ctx, param, incomplete)


def complete_workflow_file(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The project's workflow files that begin so, else files in general."""
    from click.shell_completion import CompletionItem

    found = _items(lambda: load("kurt.cli.complete:workflow_files")(current().settings(), incomplete))
    return found or [CompletionItem(incomplete, type="file")]


def _items(find: Callable[[], list[tuple[str, str]]]) -> list[CompletionItem]:
    """Names with their descriptions, if they are found in time and without an error."""
    import contextvars
    import queue
    import threading

    from click.shell_completion import CompletionItem

    found: queue.SimpleQueue[list[tuple[str, str]]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found.put(find())
        except Exception:  # noqa: BLE001 - whatever is wrong: the shell gets no names, and the command says why
            found.put([])

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), daemon=True).start()
    try:
        names = found.get(timeout=COMPLETION_SECONDS)
    except queue.Empty:
        return []
    return [CompletionItem(name, help=description) for name, description in names]
