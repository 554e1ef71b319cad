"""The command line that the fields of a `cli` step mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.references import as_text
from kurt.engine.processes.child import resolve
from kurt.handoff import Handoff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kurt.types import Json


def command_line(
    command: Sequence[str], args: Mapping[str, Json], argv: Sequence[Json]
) -> tuple[list[str], Handoff]:
    """The words of a command line, without `kurt`, and the objects that some of them stand for.

    The options of the command decide how a value is written; they are found from the working directory's project.

    Args:
        command: the command's own words.
        args: options by name.
        argv: positional arguments.

    Raises:
        KurtError: the command cannot be imported.
    """
    options = _options(resolve("kurt.cli.main:cli"), command)
    handoff = Handoff()
    words = [*command]
    for key, value in args.items():
        words += option_words(key, value, options.get(flag_of(key)), handoff)
    if argv:
        words += ["--", *map(as_text, argv)]
    return words, handoff


def flag_of(key: str) -> str:
    """The option that a key of `args` means: `max_depth` is `--max-depth`."""
    return f"--{key.replace('_', '-')}"


def option_words(key: str, value: Json, option: Any, handoff: Handoff) -> list[str]:
    """An option as words of a command line.

    Args:
        key: the option's name in the file.
        value: true is a flag, false and null are left out, a list repeats an option that may be repeated.
        option: click's own description of the option, None when there is no such option.
        handoff: takes what goes to the command as an object.
    """
    flag = flag_of(key)
    if getattr(getattr(option, "type", None), "takes_objects", False):
        return [f"{flag}={handoff.token(value)}"]  # null and false too: they are data
    if value is None or value is False:
        return []
    if value is True:
        # `flag_value` is a text for options that may stand without a value.
        is_flag = option is None or option.is_flag or isinstance(option.flag_value, str)
        return [flag] if is_flag else [f"{flag}=true"]
    if isinstance(value, list) and (option is None or option.multiple):
        return [f"{flag}={as_text(item)}" for item in value]
    return [f"{flag}={as_text(value)}"]


def _options(command: Any, words: Sequence[str]) -> dict[str, Any]:
    """The options of a command, found by its words; empty when there is no such command."""
    import click  # noqa: PLC0415 - only workers that run commands need it

    context = click.Context(command)
    for word in words:
        if not isinstance(command, click.Group):
            return {}
        command = command.get_command(context, word)
        if command is None:
            return {}
        context = click.Context(command, parent=context, info_name=word)
    return {name: option for option in command.get_params(context) for name in option.opts}
