"""Tables for people: aligned, without borders, whole values in a pipe, as wide as the screen on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

GAP = "  "
_HARMLESS = "\u00a0\u202f\u3000\u200d\ufe0f"  # spaces, and what joins emoji
_SHORTEST = 8  # no column is made narrower on a terminal
_STATES = {
    "ok": "32",
    "succeeded": "32",
    "running": "36",
    "scheduled": "33",
    "queued": "33",
    "waiting": "33",
    "warn": "33",
    "interrupted": "35",
    "cached": "36",
    "skipped": "2",
    "cancelled": "2",
    "failed": "31",
    "fail": "31",
    "stuck": "31",
}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its heading.
        kind: `text`, `number` (to the right), `state` (coloured) or `time` (local time on a terminal, UTC in a pipe);
            empty finds out by the values.
        shrink: whether long values may be cut on a terminal; never for ids and paths.
    """

    name: str
    kind: str = ""
    shrink: bool = False


class Table:
    """Rows under headings.

    Attributes:
        columns: the headings.
        rows: one value a column; None is shown as nothing.
        header: whether the headings are shown.
        empty: what is shown in place of a table without rows.
    """

    def __init__(
        self,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Any]],
        *,
        header: bool = True,
        empty: str = "",
    ) -> None:
        self.columns = [Column(column) if isinstance(column, str) else column for column in columns]
        self.rows = rows
        self.header = header
        self.empty = empty

    def render(self, *, terminal: bool, colour: bool, width: int | None = None) -> str:
        """The table as text.

        Args:
            terminal: somebody looks at it: local time, long texts cut to the screen.
            colour: escape codes for headings and states.
            width: columns of the screen; asked from the terminal by default.
        """
        if not self.rows:
            return self.empty
        kinds = [column.kind or _kind(row[at] for row in self.rows) for at, column in enumerate(self.columns)]
        cells = [
            [_text(value, kind, terminal) for value, kind in zip(row, kinds, strict=True)]
            for row in self.rows
        ]
        head = [column.name.upper().replace("_", " ") for column in self.columns]
        widths = [
            max(_width(row[at]) for row in ([head] if self.header else []) + cells) for at in range(len(head))
        ]
        if terminal:
            widths = self._fitted(widths, width or _screen_width())
        lines = [_line(head, widths, kinds, colour and "1")] if self.header else []
        lines += [_line(row, widths, kinds, colour and "state") for row in cells]
        return "\n".join(lines)

    def _fitted(self, widths: list[int], screen: int) -> list[int]:
        """Narrower widths for the columns that may shrink, the widest first."""
        fitted = list(widths)
        may_shrink = [at for at, column in enumerate(self.columns) if column.shrink]
        excess = sum(fitted) + len(GAP) * (len(fitted) - 1) - screen
        while excess > 0 and may_shrink:
            widest = max(may_shrink, key=lambda at: fitted[at])
            step = min(excess, fitted[widest] - _SHORTEST)
            if step <= 0:
                break
            others = [fitted[at] for at in may_shrink if fitted[at] < fitted[widest]]
            step = min(step, max(1, fitted[widest] - max(others))) if others else step
            fitted[widest] -= step
            excess -= step
        return fitted


def _screen_width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _kind(values: Any) -> str:
    given = [value for value in values if value is not None]
    numbers = [value for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
    return "number" if given and len(numbers) == len(given) else "text"


def _text(value: Any, kind: str, terminal: bool) -> str:
    if value is None:
        return ""
    if kind == "time":
        return time_text(value, terminal=terminal)
    text = value if isinstance(value, str) else str(value)
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    """Control characters by name: a title must not move the cursor, turn the text or start a line of its own."""
    if character.isprintable() or character in _HARMLESS:
        return character
    return character.encode("unicode_escape").decode()


def time_text(value: Any, *, terminal: bool) -> str:
    """A point in time, given as an aware datetime or as ISO 8601 text: local on a terminal, else UTC."""
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if terminal:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _cut(text: str, width: int) -> str:
    """A text of at most `width` columns, with `…` where something is missing."""
    if len(text) <= width and _width(text) <= width:
        return text
    kept = text[: width - 1]  # at most: wide characters need more
    while _width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def _line(cells: list[str], widths: list[int], kinds: list[str], style: str | bool) -> str:
    """One line; trailing spaces are left out."""
    parts: list[str] = []
    for text, width, kind in zip(cells, widths, kinds, strict=True):
        shown = _cut(text, width)
        padding = " " * (width - _width(shown))
        code = _STATES.get(text.partition(" ")[0]) if style == "state" and kind == "state" else style
        if style and code and code != "state":
            shown = f"\x1b[{code}m{shown}\x1b[0m"
        parts.append(padding + shown if kind == "number" else shown + padding)
    return GAP.join(parts).rstrip()
