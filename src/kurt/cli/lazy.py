"""Commands that are imported when they are needed: help and completion only know their names and one line of help."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from kurt.errors import KurtError

if TYPE_CHECKING:
    from typing import Any


class Lazy(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        target: where it is, as `package.module:attribute`.
        help: its one-line help; the same as the command's own.
    """

    target: str
    help: str


def load(target: str) -> Any:
    """The object that `package.module:attribute` names.

    Raises:
        KurtError: there is no such module or attribute.
    """
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise KurtError(
            f"{target} cannot be loaded: no module {error.name!r}",
            hint="install Kurt again: pip install kurt",
        ) from error
    except AttributeError as error:
        raise KurtError(f"{target} cannot be loaded: {error}") from error


def load_command(target: str) -> click.Command:
    """The command that `package.module:attribute` names."""
    command = load(target)
    if not isinstance(command, click.Command):
        raise KurtError(f"{target} is no click command but {type(command).__name__}")
    return command
