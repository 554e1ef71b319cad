"""Commands and groups of `kurt`: the callback returns its result, and one place prints it.

    @command("list", view=runs_table, epilog="kurt workflows list --status failed")
    def list_cmd(...) -> list[dict[str, Any]]:
        ...

The same command gives a table to a person, JSON to a script and a value to a step of type `cli`; also when it is
invoked alone, as by click's test runner. With `standalone_mode=False` it prints nothing and returns its result.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from kurt.cli import session as sessions
from kurt.cli.errors import report
from kurt.cli.lazy import Lazy, load, load_command
from kurt.cli.options import add_options, global_options, new_format_option
from kurt.cli.output import echo_progress, print_result, warn
from kurt.errors import KurtError, StepError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from kurt.config import Settings

View = Callable[[Any], Any]
"""Makes a `Table`, a text or a list of lines of a result, for people."""

StartsRun = Callable[[dict[str, Any]], Any]
"""Tells of a command's parameters which run they start: a `kurt.engine.starts.RunStart`, or None."""

P = ParamSpec("P")

_DONE = "kurt.printed"


class Outcome:
    """A result together with how the command ends.

    Attributes:
        value: what is printed and returned.
        error: printed after the result; its exit status is the command's.
        exit_code: the exit status.
        printed: the command has written its result itself.
        closing: lines for people, written to stderr after the result.
    """

    __slots__ = ("closing", "error", "exit_code", "printed", "value")

    def __init__(
        self,
        value: Any,
        *,
        error: KurtError | None = None,
        exit_code: int = 0,
        printed: bool = False,
        closing: Sequence[str] = (),
    ) -> None:
        self.value = value
        self.printed = printed
        self.closing = closing
        self.error = error
        self.exit_code = error.exit_code if error else exit_code


class _Program(click.Command):
    """What commands and groups have in common: a session, results that are printed once, errors as Kurt shows them."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command; it prints its result and ends the process unless `standalone_mode` is false."""
        words = list(sys.argv[1:] if args is None else args)
        with sessions.opened(sessions.Session(words, on_settings=_tell_warnings)) as session:
            if not standalone_mode:
                silent = nullcontext() if sessions.forced_mode() else sessions.rendering(sessions.SILENT)
                with silent:
                    extra["windows_expand_args"] = windows_expand_args
                    return super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
            name = prog_name or self.name or "kurt"
            self._main_shell_completion(extra, name, complete_var)
            sys.exit(self._exit_code(session, name, words, extra))

    def _exit_code(
        self, session: sessions.Session, name: str, words: list[str], extra: dict[str, Any]
    ) -> int:
        """Run the command as a program does and return its exit status."""
        try:
            with self.make_context(name, words, **extra) as ctx:
                self.invoke(ctx)
        except click.exceptions.Exit as end:
            return end.exit_code
        except Exception as error:  # noqa: BLE001 - the outermost place: every error is shown, none is lost
            return report(error, session)
        except KeyboardInterrupt as error:
            return report(error, session)
        return 0

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Understand the command line; errors name the command from here on."""
        sessions.current().command = f"{parent.command_path} {info_name}" if parent else str(info_name)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The examples, line by line."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")

    def finish(self, ctx: click.Context, result: Any, view: View | str | None) -> Any:
        """Print a result, once a command line, and end as it says."""
        if ctx.meta.get(_DONE):
            return result
        ctx.meta[_DONE] = True
        outcome = result if isinstance(result, Outcome) else Outcome(result)
        if sessions.current_mode() == sessions.SILENT:
            return _silent(ctx, outcome)
        if not outcome.printed:
            print_result(outcome.value, load(view) if isinstance(view, str) else view)
        for line in outcome.closing:
            echo_progress(line)
        if outcome.error is not None:
            raise outcome.error
        if outcome.exit_code:
            ctx.exit(outcome.exit_code)
        return outcome.value


class KurtCommand(_Program):
    """A command whose callback returns its result.

    Attributes:
        view: makes what people see of the result, or its import string.
        starts_run: for a command that executes a run: given its parameters, what it starts, or None when these only
            look. A step of type `cli` has that run as a child; its own process is no executor.
    """

    def __init__(
        self, *args: Any, view: View | str | None = None, starts_run: StartsRun | None = None, **attrs: Any
    ) -> None:
        _short_help_flag(attrs)
        super().__init__(*args, **attrs)
        self.view = view
        self.starts_run = starts_run
        add_options(self, [new_format_option(), *global_options(hidden=True)])

    def invoke(self, ctx: click.Context) -> Any:
        """Call the callback and print what it returns."""
        sessions.current().check()
        ctx.color = _click_colour()
        self._refuse_in_step(ctx)
        return self.finish(ctx, super().invoke(ctx), self.view)

    def _refuse_in_step(self, ctx: click.Context) -> None:
        if not sessions.in_step.get() or not executes_run(self.starts_run, ctx.params):
            return
        raise UsageError(
            f"`{ctx.command_path}` executes a run, which needs a process of its own",
            hint="use a step of type `workflow`, or add `background: true` to its args",
        )


def executes_run(starts_run: StartsRun | None, params: dict[str, Any]) -> bool:
    """Whether a command with these parameters executes a run in its own process."""
    start = None if starts_run is None else starts_run(params)
    return start is not None and not getattr(start, "elsewhere", False)


class KurtGroup(_Program, click.Group):
    """A group of commands, some of which are imported only when they are called.

    Attributes:
        lazy: those commands by name.
        shows_global_options: whether the help lists the options that every command takes.
    """

    command_class = KurtCommand
    group_class = type
    shows_global_options = False

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **attrs: Any) -> None:
        _short_help_flag(attrs)
        super().__init__(*args, **attrs)
        self.lazy = dict(lazy or {})
        hidden = not self.shows_global_options
        add_options(self, [new_format_option(hidden=hidden), *global_options(hidden=hidden)])

    def entries(self, ctx: click.Context) -> dict[str, str]:  # noqa: ARG002 - the root looks for the project in it
        """Names of all commands with their one-line help; imports none of them."""
        names = {name: lazy.help for name, lazy in self.lazy.items()}
        for name, command in self.commands.items():
            if not command.hidden:
                names[name] = command.get_short_help_str(limit=200)
        return names

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(self.entries(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; imports it if need be.

        Raises:
            KurtError: it cannot be imported.
        """
        if cmd_name in self.lazy:
            return load_command(self.lazy[cmd_name].target)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; unknown ones are answered with names that are close."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            names = self.list_commands(ctx)
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help."""
        rows = list(self.entries(ctx).items())
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands and options that begin so; imports none of them."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text)
            for name, text in self.entries(ctx).items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; the result of one that was made with plain click is printed here."""
        ctx.color = _click_colour()
        result = super().invoke(ctx)
        return result if result is None else self.finish(ctx, result, None)


def command(
    name: str | None = None,
    *,
    view: View | str | None = None,
    epilog: str | None = None,
    starts_run: StartsRun | None = None,
    **attrs: Any,
) -> Callable[[Callable[..., Any]], KurtCommand]:
    """Make a command of a function that returns its result: a JSON value, an object with `to_json()`, an iterator of
    such, or an `Outcome`.

    Args:
        name: the command's name; that of the function by default.
        view: makes a `Table`, a text or lines of the result for people, or its import string; by default objects
            are shown as lines and lists of objects as a table.
        epilog: examples for the help, one a line.
        starts_run: see `KurtCommand`.
        attrs: what `click.command` takes.
    """
    return click.command(name, cls=KurtCommand, view=view, epilog=epilog, starts_run=starts_run, **attrs)


def group(
    name: str | None = None,
    *,
    lazy: Mapping[str, Lazy] | None = None,
    epilog: str | None = None,
    **attrs: Any,
) -> Callable[[Callable[..., Any]], KurtGroup]:
    """Make a group of commands of a function, whose docstring is the help.

    Args:
        name: the group's name; that of the function by default.
        lazy: commands that are imported when they are called.
        epilog: examples for the help, one a line.
        attrs: what `click.group` takes.
    """
    return click.group(name, cls=KurtGroup, lazy=lazy, epilog=epilog, **attrs)


def _silent(ctx: click.Context, outcome: Outcome) -> Any:
    """The result for a caller in this process, or an error where the command would have failed."""
    value = list(outcome.value) if hasattr(outcome.value, "__next__") else outcome.value
    if outcome.error is not None:
        raise outcome.error
    if outcome.exit_code:
        raise StepError(
            f"`{ctx.command_path}` ended with exit status {outcome.exit_code}",
            type="CommandFailed",
            details={"exit_code": outcome.exit_code, "result": value},
        )
    return value


def _tell_warnings(settings: Settings) -> None:
    for warning in settings.warnings:
        warn(warning)


def _short_help_flag(attrs: dict[str, Any]) -> None:
    """`-h` beside `--help`."""
    settings = attrs.setdefault("context_settings", {})
    settings.setdefault("help_option_names", ["-h", "--help"])


def _click_colour() -> bool | None:
    """What click's own output does about colour: it does not know `NO_COLOR`."""
    choice = sessions.current().color
    if choice != "auto":
        return choice == "always"
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
