"""The parameters of a command from the fields of a step, before references in them are replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.types import Json

Place = tuple[str | int, ...]


class Fields:
    """The fields of a `cli` step for one command.

    Args:
        ctx: of the command.
        args: options by name.
        argv: positional arguments.
        from_command: how many of these stand in `command`.
    """

    def __init__(
        self, ctx: click.Context, args: Mapping[str, Json], argv: Sequence[Json], from_command: int
    ) -> None:
        self._ctx = ctx
        self._args = args
        self._argv = list(argv)
        self._from_command = from_command
        self._places: dict[str, Place] = {}

    def read(self) -> tuple[dict[str, Any], dict[str, Place]]:
        """The parameters by name, with texts that hold references as they are; and where each stands in the step.

        Raises:
            UsageError: there is no such option, too many arguments or too few, or a value does not fit.
        """
        found = self._ctx.command.get_params(self._ctx)
        options = {
            name: option for option in found if isinstance(option, click.Option) for name in option.opts
        }
        given: dict[str, Json] = {}
        for key, value in self._args.items():
            option = options.get(f"--{key.replace('_', '-')}")
            if option is None:
                raise UsageError(f"`{self._ctx.command_path}` has no option `{key}`", hint="kurt ... --help")
            self._places[str(option.name)] = ("args", key)
            given[str(option.name)] = value
        given |= self._arguments([one for one in found if isinstance(one, click.Argument)])
        params = {
            str(one.name): self._value(one, given.get(str(one.name))) for one in found if one.expose_value
        }
        return params, self._places

    def _arguments(self, arguments: Sequence[click.Argument]) -> dict[str, Json]:
        rest = list(self._argv)
        given: dict[str, Json] = {}
        for argument in arguments:
            if not rest:
                break
            position = len(self._argv) - len(rest)
            place: Place = ("argv", position - self._from_command)
            self._places[str(argument.name)] = ("command",) if position < self._from_command else place
            given[str(argument.name)] = rest if argument.nargs == -1 else rest[0]
            rest = [] if argument.nargs == -1 else rest[1:]
        if rest:
            raise UsageError(f"`{self._ctx.command_path}` takes no argument {rest[0]!r}")
        return given

    def _value(self, param: click.Parameter, value: Json) -> Any:
        if value is None or value is False:
            if param.required:
                raise UsageError(f"`{self._ctx.command_path}` needs {param.human_readable_name}")
            return self._default(param)
        if isinstance(param, click.Option) and param.is_flag:
            return value
        many = param.multiple or param.nargs == -1
        values = value if isinstance(value, list) else [value]
        if _has_reference(value):
            return tuple(values) if many else value
        try:
            return param.type_cast_value(self._ctx, [_word(one) for one in values] if many else _word(value))
        except click.UsageError as error:
            raise UsageError(error.format_message()) from error

    def _default(self, param: click.Parameter) -> Any:
        default = param.get_default(self._ctx)
        if isinstance(param, click.Option) and param.is_flag:
            return bool(default is True)
        known = default is not None and type(default).__name__ != "Sentinel"
        if not known:
            return () if param.multiple or param.nargs == -1 else None
        return param.type_cast_value(self._ctx, default)


def _word(value: Json) -> str:
    from kurt.engine.expressions.references import as_text

    return as_text(value)


def _has_reference(value: Json) -> bool:
    from kurt.engine.expressions.references import has_references

    return has_references(value)
