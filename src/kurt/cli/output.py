"""The one place that writes: results to stdout; progress, hints and warnings to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from kurt.cli.session import JSON, JSONL, SILENT, TABLE, current, current_mode, rendering
from kurt.cli.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kurt.types import Json

__all__ = [
    "Column",
    "Table",
    "colours",
    "echo_progress",
    "hint",
    "hint_line",
    "paint",
    "print_result",
    "rendering",
    "to_jsonable",
    "warn",
    "write_error_line",
]

Lines = str | list[str] | Table
"""What a view gives for people."""

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}


def colours(stream: TextIO) -> bool:
    """Whether text for `stream` is coloured: as `--color` says, else on a terminal without `NO_COLOR`."""
    choice = current().color
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, *styles: str, on: bool) -> str:
    """`text` in the given styles if `on`: `bold`, `dim` or a colour."""
    if not on or not styles:
        return text
    return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[0m"


def echo_progress(text: str) -> None:
    """One line about the progress of long work, for people; nothing with `--quiet` and in JSON modes."""
    _for_people(text)


def hint(text: str) -> None:
    """What to do next, for people; nothing with `--quiet` and in JSON modes."""
    _for_people(hint_line(text))


def hint_line(text: str) -> str:
    """A hint as it is written."""
    return f"{paint('hint:', 'cyan', on=colours(sys.stderr))} {text}"


def warn(text: str) -> None:
    """Something that may be wrong; shown with `--quiet` too, not in JSON modes."""
    if current_mode() == TABLE:
        write_error_line(f"{paint('warning:', 'yellow', 'bold', on=colours(sys.stderr))} {text}")


def write_error_line(text: str) -> None:
    """A line on stderr; a reader that has gone away is no error."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def print_result(result: Any, view: Callable[[Any], Lines] | None = None) -> None:
    """Write a command's result to stdout in the current mode.

    Args:
        result: a JSON value, an object with `to_json()`, or an iterator of such, whose items are written as they
            come.
        view: what people see of the result, or of each item of an iterator.

    Raises:
        OSError: stdout cannot be written. A reader that has closed the pipe (`| head`) is no error.
    """
    mode = current_mode()
    if mode == SILENT:
        return
    try:
        for piece in _pieces(result, view, mode):
            _write(piece)
    except BrokenPipeError:
        discard_stdout()
    except OSError:
        discard_stdout()
        raise


def _write(text: str) -> None:
    """Text to stdout; a character that its encoding lacks is written as an escape, never refused."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def discard_stdout() -> None:
    """Send what is still buffered, and all that follows, to nowhere: the interpreter flushes once more at its end."""
    if sys.stdout is sys.__stdout__:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def to_jsonable(value: Any) -> Json:
    """A result as plain JSON: objects by their `to_json()`, times in UTC as ISO 8601, NaN as null.

    Raises:
        TypeError: a value has no JSON form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # NaN and the infinities have no JSON form
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    return _object_to_jsonable(value)


def _object_to_jsonable(value: Any) -> Json:
    if hasattr(value, "to_json"):
        return to_jsonable(value.to_json())
    if hasattr(value, "isoformat"):
        return _iso(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, set | frozenset):
        return [to_jsonable(item) for item in sorted(value)]
    if hasattr(value, "__next__"):
        return [to_jsonable(item) for item in value]
    raise TypeError(f"a command returned {type(value).__name__}, which has no JSON form")


def _iso(value: Any) -> str:
    """A date or time; a time with a zone as UTC with `Z`."""
    if getattr(value, "tzinfo", None) is None or not hasattr(value, "astimezone"):
        return value.isoformat()
    from datetime import UTC

    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pieces(result: Any, view: Callable[[Any], Lines] | None, mode: str) -> Iterator[str]:
    """The text of a result; an iterator gives one piece an item, but `json` needs them all."""
    streams = hasattr(result, "__next__")
    if mode == JSON:
        yield _dump(to_jsonable(result), indent=2 if sys.stdout.isatty() else None) + "\n"
    elif mode == JSONL:
        items = result if streams or isinstance(result, list | tuple) else [result]
        for item in items:
            yield _dump(to_jsonable(item)) + "\n"
    else:
        for item in result if streams else [result]:
            text = _for_eyes(item, view)
            if text:
                yield text if text.endswith("\n") else text + "\n"


def _dump(value: Json, *, indent: int | None = None) -> str:
    import json

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not unicode, indent=indent)


def _for_eyes(result: Any, view: Callable[[Any], Lines] | None) -> str:
    shown = view(result) if view else default_view(to_jsonable(result))
    if isinstance(shown, Table):
        return shown.render(terminal=sys.stdout.isatty(), colour=colours(sys.stdout))
    return shown if isinstance(shown, str) else "\n".join(shown)


def default_view(value: Json) -> Lines:
    """How a result without a view of its own is shown: text as it is, objects as lines, lists of objects as a table."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return Table(["key", "value"], [[key, _cell(item)] for key, item in value.items()], header=False)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        columns = list(dict.fromkeys(key for item in value for key in item))
        return Table(columns, [[_cell(item.get(column)) for column in columns] for item in value])
    if isinstance(value, list):
        return [str(_cell(item)) for item in value]
    return _dump(value)


def _cell(value: Json) -> Json:
    return _dump(value) if isinstance(value, dict | list | bool) else value


def _for_people(text: str) -> None:
    if not current().quiet and current_mode() == TABLE:
        write_error_line(text)
