"""Reading `kurt.config` and `.env`: lines of `KEY=value`.

Values may stand bare (up to a ` #`), in single quotes (as they are) or in double quotes, where backslash-n,
backslash-quote and the like are understood and the text may go over several lines. Nothing is ever expanded:
`$HOME` stays `$HOME`.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from kurt.errors import ConfigError

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=")
_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'([^'\n]*)'")
_QUOTE = re.compile(r"[ \t]*(['\"])")
_COMMENT = re.compile(r"\s#")
_REST = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|$)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_BLANK = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|$)")


class Entry(NamedTuple):
    """One assignment of a file.

    Attributes:
        key: the name before the `=`, as written.
        value: the text without its quotes.
        line: 1-based line of the assignment.
    """

    key: str
    value: str
    line: int


def read_config_file(path: str) -> list[Entry]:
    """The settings of a `kurt.config`; none if there is no such file.

    Raises:
        ConfigError: the file cannot be read, a line is not `KEY=value`, or a key is set twice.
    """
    entries = _read(path, _SETTING)
    first: dict[str, Entry] = {}
    for entry in entries:
        before = first.setdefault(entry.key.upper(), entry)
        if before is not entry:
            raise ConfigError(
                f"{shown(path)}:{entry.line}: {entry.key} is set twice",
                hint=f"remove this line or line {before.line}",
            )
    return entries


def read_env_file(path: str) -> list[Entry]:
    """The variables of a `.env`; none if there is no such file. The last of several lines for one name counts.

    Raises:
        ConfigError: the file cannot be read, or a line is not `NAME=value`.
    """
    return _read(path, _VARIABLE)


def shown(path: str) -> str:
    """A path as messages show it: from the working directory where it lies below that, else absolute."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working directory was removed
        return path
    return path if relative.startswith(os.pardir) else relative


def _read(path: str, key_form: re.Pattern[str]) -> list[Entry]:
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123 - pathlib is slow to import
            return _parse(file.read(), path, key_form)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except UnicodeDecodeError:
        raise ConfigError(f"{shown(path)} is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be read: {error.strerror}") from None


def _parse(text: str, path: str, key_form: re.Pattern[str]) -> list[Entry]:
    entries: list[Entry] = []
    position, line = 0, 1
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank is not None:
            end = blank.end()
        else:
            entry, end = _assignment(text, position, f"{shown(path)}:{line}", key_form)
            entries.append(entry._replace(line=line))
        line += text.count("\n", position, end)
        position = end
    return entries


def _assignment(text: str, position: int, place: str, key_form: re.Pattern[str]) -> tuple[Entry, int]:
    """The assignment at `position`, and where the next line begins."""
    start = _ASSIGNMENT.match(text, position)
    if start is None:
        raise ConfigError(f"{place}: not an assignment", hint="write KEY=value, or # before a comment")
    key = start[1]
    if key_form.fullmatch(key) is None:
        raise ConfigError(f"{place}: {key!r} is not a name", hint="use letters, digits and underscores")
    value, end = _value(text, start.end(), place)
    rest = _REST.match(text, end)
    if rest is None:
        raise ConfigError(
            f"{place}: text after the closing quote of {key}", hint="remove it, or put # before it"
        )
    return Entry(key, value, 0), rest.end()


def _value(text: str, position: int, place: str) -> tuple[str, int]:
    """The value at `position` without its quotes, and where it ends."""
    quoted = _QUOTE.match(text, position)
    if quoted is None:
        return _bare(text, position)
    quote = quoted[1]
    match = (_DOUBLE_QUOTED if quote == '"' else _SINGLE_QUOTED).match(text, quoted.end() - 1)
    if match is None:
        raise ConfigError(f"{place}: the quote is never closed", hint=f"add {quote} at the end of the value")
    value = match[1]
    return (_ESCAPE.sub(_unescape, value) if quote == '"' else value), match.end()


def _bare(text: str, position: int) -> tuple[str, int]:
    """A value without quotes: up to the end of the line or to a `#` after a space."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    comment = _COMMENT.search(text, position, end)
    return text[position : comment.start() if comment else end].strip(), comment.start() if comment else end


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])
