"""What libyaml's errors mean and how to mend them."""

from __future__ import annotations

import re
from typing import Any

from kurt.errors import Fault

_QUOTE_REFERENCE = 'quote the reference: "${name}"'
_UNQUOTED_REFERENCE = re.compile(r"""[\[{,:]\s*\$\{""")

_REMEDIES = (
    ("cannot start any token", "quote the value"),
    ("mapping values are not allowed", "quote the value if it holds `: `, or mend the indentation"),
    ("could not find expected ':'", "each key needs a colon and a space after it"),
    ("did not find expected ',' or", "close the bracket, or put a comma between the items"),
    ("did not find expected key", "mend the indentation, or quote the whole value"),
    ("did not find expected '-' indicator", "mend the indentation of this list item"),
    ("did not find expected <document start>", "mend the indentation"),
    ("block sequence entries are not allowed", "put the list on lines of its own below its key"),
    ("unexpected end of stream", "close the quote or the bracket"),
    ("unknown escape character", "use single quotes, in which a backslash is only a backslash"),
    ("undefined tag handle", "remove the tag"),
    ("control characters are not allowed", "remove the control character"),
)


def syntax_fault(error: Any, text: str, file: str) -> Fault:
    """The fault for an error of the YAML reader, with its place and a remedy.

    Args:
        error: a `yaml.YAMLError`.
        text: the text that was read.
        file: the name to report.
    """
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    line, column = _place(error, text)
    at_line = text.split("\n")[line - 1] if line and line <= text.count("\n") + 1 else ""
    return Fault(f"not valid YAML: {problem}", _remedy(problem, at_line, column), file, line, column)


def _place(error: Any, text: str) -> tuple[int | None, int | None]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return mark.line + 1, mark.column + 1
    position = getattr(error, "position", None)
    if position is None:
        return None, None
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _remedy(problem: str, line: str, column: int | None) -> str:
    if (column and line[column - 1 : column] == "\t") or line.lstrip(" ").startswith("\t"):
        return "indent with spaces, not with tabs"
    if _UNQUOTED_REFERENCE.search(line):
        return _QUOTE_REFERENCE
    return next((remedy for part, remedy in _REMEDIES if part in problem), "mend the line")
