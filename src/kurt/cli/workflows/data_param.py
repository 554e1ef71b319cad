"""`--data`: JSON text, `@file`, `-` for stdin, or an object that another part of this process hands over."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kurt.handoff import received

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.types import Json

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Data:
    """The value of `--data`, not yet read: a command line may be looked at without being executed.

    Attributes:
        text: what stands on the command line.
        is_object: whether `value` was handed over in this process.
        value: that object.
    """

    text: str
    is_object: bool = False
    value: Json = None

    def load(self, *, plain_text: bool = False) -> Json:
        """The data.

        Args:
            plain_text: take text that is not JSON as a string.

        Raises:
            UsageError: the text is not JSON.
            NotFoundError: there is no such file.
            DataError: the file or stdin cannot be read.
        """
        if self.is_object:
            return self.value
        if self.text == "-":
            return _from_stdin(plain_text=plain_text)
        if self.text.startswith("@"):
            return _from_file(self.text[1:])
        return _from_argument(self.text, plain_text=plain_text)


class DataParam(click.ParamType[Data]):
    """Gives a `Data`."""

    name = "data"
    takes_objects = True
    """A `cli` step hands its value over as it is, see `kurt.handoff`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Data:  # noqa: ARG002 - click's
        """Keep what was given until the command asks for it."""
        if isinstance(value, Data):
            return value
        found, handed_over = received(value)
        return Data(str(value), found, handed_over)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's
        """What the help shows as its value."""
        return "JSON|@FILE|-"


def data_option(*, required: bool = True, help: str) -> Callable[[Any], Any]:  # noqa: A002 - as in click
    """The option `--data`; without it a required one is stdin."""
    return click.option("--data", type=DataParam(), default="-" if required else None, help=help)


def _from_argument(text: str, *, plain_text: bool) -> Json:
    from kurt.app.primitives.codecs import json
    from kurt.errors import DataError, UsageError

    try:
        return json.parse(text, "--data")
    except DataError as error:
        if plain_text:
            return text
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise UsageError(
            f"--data {shown!r} is not JSON: {error.message}",
            hint="write text in quotes ('\"like this\"'), a file as @FILE, stdin as -",
        ) from None


def _from_file(path: str) -> Json:
    from kurt.app.primitives.read import read

    return read(path)


def _from_stdin(*, plain_text: bool) -> Json:
    from kurt.app.primitives.codecs import json, jsonl
    from kurt.app.primitives.read import decode, read_bytes
    from kurt.errors import DataError, UsageError

    if sys.stdin.isatty():
        raise UsageError("there is no data", hint="give --data JSON or --data @FILE, or pipe it in")
    text = decode(read_bytes(sys.stdin.buffer, "stdin"), "stdin")
    try:
        return json.parse(text, "stdin")
    except DataError as error:
        if text.strip().count("\n"):
            try:
                return jsonl.parse(text, "stdin")
            except DataError:
                pass  # what is wrong with it as JSON says more
        if plain_text:
            return text
        if not text.strip():
            raise DataError(
                "stdin is empty, so there is no data", hint="give --data JSON or --data @FILE"
            ) from None
        hint = "other formats: kurt workflows read - --format csv | kurt workflows ... --data -"
        raise DataError(error.message, hint=hint) from None
