"""Running a command inside this process, for steps of type `cli` and for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kurt.cli import session as sessions
from kurt.cli.fields import Fields
from kurt.cli.main import cli
from kurt.cli.output import to_jsonable
from kurt.cli.streams import captured
from kurt.engine.starts import RunStart, Started
from kurt.errors import KurtError, StepError, UsageError
from kurt.handoff import Handoff

if TYPE_CHECKING:
    from kurt.types import Json


class Resolved(NamedTuple):
    """A command line that was understood, not executed.

    Attributes:
        command: the click command.
        path: its full name, such as `kurt workflows read`.
        params: the values of its parameters by name.
        starts_run: tells of the parameters which run the command starts; None for a command that starts none.
    """

    command: click.Command
    path: str
    params: dict[str, Any]
    starts_run: Any


def invoke(
    argv: Sequence[str],
    project_root: str,
    objects: Mapping[str, Json] | None = None,
    *,
    stdin: str | None = None,
) -> Json:
    """Run a command of `kurt` and return its result, what `--format json` would print.

    A command of plain click that returns nothing but prints gives what it printed: the JSON value if it is one,
    else the text. Relative paths start at the working directory. Several may run at once, in different threads.

    Args:
        argv: the words after `kurt`.
        project_root: the project that the command is about.
        objects: values that `kurt.handoff.Handoff` has put into `argv` by their tokens.
        stdin: what the command finds on stdin, and then its output goes nowhere else; by default it has the stdin
            and stdout of this process.

    Raises:
        KurtError: what the command raised; `UsageError` where the words are not understood, `StepError` where it
            ended with an exit status other than 0.
    """
    own = captured(stdin=stdin, echo=stdin is None)
    token = sessions.in_step.set(True)
    try:
        with Handoff(objects), own as output, sessions.rendering(sessions.SILENT):
            result = _call(["--project", project_root, *argv])
    finally:
        sessions.in_step.reset(token)
    return to_jsonable(result) if result is not None else _value_of(output.text())


def resolve(argv: Sequence[str], project_root: str, objects: Mapping[str, Json] | None = None) -> Resolved:
    """Understand a command line without executing it.

    Args:
        argv: the words after `kurt`.
        project_root: the project that the command is about.
        objects: see `invoke`.

    Raises:
        UsageError: there is no such command, or it does not take these words.
    """
    words = ["--project", project_root, *argv]
    with Handoff(objects), sessions.opened(sessions.Session(words)), sessions.rendering(sessions.SILENT):
        try:
            ctx = cli.make_context("kurt", words)
            while isinstance(ctx.command, click.Group):
                rest = [*ctx._protected_args, *ctx.args]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - click has no other way
                name, found, rest = ctx.command.resolve_command(ctx, rest)
                assert found is not None  # noqa: S101 - resolve_command raises where there is none
                ctx = found.make_context(name, rest, parent=ctx)
        except click.ClickException as error:
            raise UsageError(error.format_message()) from error
    return Resolved(ctx.command, ctx.command_path, ctx.params, getattr(ctx.command, "starts_run", None))


def run_started_by(
    words: Sequence[str], args: Mapping[str, Json], argv: Sequence[Json], project_root: str
) -> Started | None:
    """The run that the fields of a `cli` step start, None for a command that starts none or does not exist.

    Args:
        words: the words of `command`.
        args: options by name; values may hold references.
        argv: positional arguments.
        project_root: the project's root.

    Raises:
        UsageError: the command does not take these fields.
    """
    with sessions.opened(sessions.Session()) as session, sessions.rendering(sessions.SILENT):
        session.project = project_root
        try:
            ctx, rest = _found(words)
        except KurtError:  # it cannot be imported, which the step itself will tell
            return None
        starts_run = getattr(ctx.command, "starts_run", None)
        if starts_run is None:
            return None
        params, places = Fields(ctx, args, [*rest, *argv], len(rest)).read()
        start = starts_run(params)
    return Started(start, ctx.command_path, places) if isinstance(start, RunStart) else None


def _found(words: Sequence[str]) -> tuple[click.Context, list[str]]:
    """The context of a command by its words, and the words that are left; that of a group if there is no such command."""
    ctx = click.Context(cli, info_name="kurt")
    for index, word in enumerate(words):
        found = ctx.command.get_command(ctx, word) if isinstance(ctx.command, click.Group) else None
        if found is None:
            return ctx, list(words[index:])
        ctx = click.Context(found, parent=ctx, info_name=word)
    return ctx, []


def _call(words: list[str]) -> Any:
    try:
        return cli.main(words, "kurt", standalone_mode=False)
    except click.UsageError as error:
        raise UsageError(error.format_message()) from error
    except click.ClickException as error:
        raise KurtError(error.format_message()) from error
    except (click.Abort, SystemExit) as error:
        code = error.code if isinstance(error, SystemExit) else 1
        if code in (None, 0):
            return None
        raise StepError(
            f"`kurt {words[2] if len(words) > 2 else ''}` ended with exit status {code}",
            type="CommandFailed",
            details={"exit_code": code},
        ) from error


def _value_of(text: str) -> Json:
    """What a command printed: JSON if it is, else the text; None if it printed nothing."""
    import json

    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
