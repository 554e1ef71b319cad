"""The live view on a terminal: drawn with rich, which is imported only here."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from kurt.cli.live_board import LOG_LINES
from kurt.engine.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from kurt.cli.live_board import Board, Picture, Row

PICTURES_A_SECOND: Final = 8
"""How often the screen is drawn."""

_SYMBOLS: Final = {
    "succeeded": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "running": ("●", "*", "cyan"),
    "retrying": ("↻", "~", "yellow"),
    "cached": ("✓", "+", "cyan"),
    "skipped": ("↷", "-", "dim"),
    "cancelled": ("■", "!", "yellow"),
    "cancelling": ("■", "!", "yellow"),
    "waiting": ("○", ".", "dim"),
    "waits": ("◆", "?", "yellow"),
    "queued": ("○", ".", "yellow"),
    "not run": ("○", ".", "dim"),
}
_OTHER: Final = ("·", " ", "dim")
_BAR: Final = 24
_SHORTEST_BAR: Final = 8
_NARROW: Final = 60
_STATE: Final = 9  # columns of the longest state
_TIME: Final = 7  # columns of a time, and what is between it and the rest


class Screen:
    """Draws a board several times a second, and once more when it closes.

    Args:
        board: what to draw.
        stream: the terminal.
        colour: whether colours and styles may be used.
    """

    def __init__(self, board: Board, stream: TextIO, *, colour: bool) -> None:
        self._board = board
        self._final = False
        self._unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
        self.console = Console(
            file=stream,
            force_terminal=True,
            color_system="auto" if colour else None,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=PICTURES_A_SECOND,
            # What goes to stdout must not land on the terminal of stderr.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )

    def open(self) -> None:
        """Begin to draw."""
        self._live.start()

    def close(self) -> None:
        """Draw the last picture, without the log, and leave it on the screen."""
        self._final = True
        self._live.stop()

    def refresh(self) -> None:
        """Draw at once."""
        self._live.refresh()

    def render(self) -> RenderableType:
        """The picture of this moment."""
        width, height = self.console.width, self.console.height
        limit = max(3, height - LOG_LINES - 4)
        picture = self._board.picture(limit=limit, log=not self._final)
        names = _name_columns(picture.rows, width)
        lines = [self._title(picture), *(self._line(depth, row, names, width) for depth, row in picture.rows)]
        if picture.log:
            lines.append(Text(""))
            lines += [self._log_line(step, text, width) for step, text in picture.log]
        for line in lines:
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)

    def _title(self, picture: Picture) -> Text:
        text = Text().append(picture.name, style="bold")
        _, _, style = _SYMBOLS.get(picture.status, _OTHER)
        text.append(f"  {picture.status}", style=style)
        seconds = picture.seconds if picture.is_over else int(picture.seconds)
        return text.append(f"  {format_duration(seconds)}").append(f"  {picture.run_id}", style="dim")

    def _line(self, depth: int, row: Row, names: int, width: int) -> Text:
        if not row.state:
            return Text(f"{'  ' * depth}  {row.path}", style="dim")
        symbol, ascii_symbol, style = _SYMBOLS.get(row.state, _OTHER)
        columns = names - 2 * depth
        line = Text("  " * depth).append(symbol if self._unicode else ascii_symbol, style=style)
        line.append(f" {shortened(row.path, columns):<{columns}}")
        if row.done is None or width >= _NARROW:
            line.append(f"  {row.state:<{_STATE}}", style=style)
        facts = "".join(f"  {fact}" for fact in _facts(row, self._board.now()))
        if row.done is not None and width >= _NARROW:
            line.append(self._bar(row, row.done, width - line.cell_len - _number_columns(row) - _TIME - 4))
        line.append(facts)
        if row.detail:
            line.append(f"  {row.detail}", style=style)
        return line

    def _bar(self, row: Row, done: int, columns: int) -> str:
        """The bar of a fan-out, in as many columns as there are; nothing where it would tell nothing."""
        size = min(_BAR, columns)
        if size < _SHORTEST_BAR:
            return ""
        full = size if not row.total else size * done // row.total
        filled, empty = ("━", "╌") if self._unicode else ("#", ".")
        return f"  {filled * full}{empty * (size - full)}"

    def _log_line(self, step: str, text: str, width: int) -> Text:
        """A line of the log; what a program says has more room than the name of the step."""
        name = f"[{shortened(step, max(10, width // 4))}] " if step else ""
        return Text(f"{'│' if self._unicode else '|'} {name}{text}", style="dim")


def _name_columns(rows: Sequence[tuple[int, Row]], width: int) -> int:
    """Columns for the names of steps: what the longest needs, unless numbers or bars would have no room."""
    needed = max((len(row.path) + 2 * depth for depth, row in rows if row.state), default=0)
    numbers = max((_number_columns(row) for _, row in rows), default=0)
    beside = 4 + _TIME + (_STATE + 4 + _SHORTEST_BAR if width >= _NARROW else 0)
    room = width - beside - numbers if numbers else width
    return min(needed, max(10, min(width * 2 // 5, room)))


def _facts(row: Row, now: float) -> list[str]:
    """How far a step is: numbers, time, attempt. What is at work shows whole seconds: digits that flicker say nothing."""
    age = row.age(now)
    shown = None if age is None else format_duration(age if row.has_ended else int(age))
    return [
        fact for fact in (_numbers(row), shown, f"attempt {row.attempt}" if row.attempt > 1 else "") if fact
    ]


def _numbers(row: Row) -> str:
    """How many items of a fan-out are done, and how many of them have failed."""
    if row.done is None:
        return ""
    return f"{row.done}/{row.total}" + (f", {row.failed} failed" if row.failed else "")


def _number_columns(row: Row) -> int:
    """Columns that the numbers of a fan-out will need: what stands beside them must not move while they grow."""
    return (
        0
        if row.done is None
        else len(_numbers(replace(row, done=row.total, failed=row.failed and row.total)))
    )


def shortened(text: str, width: int) -> str:
    """The text in so many columns; what is left out is in the middle, names differ at their ends too."""
    if len(text) <= width:
        return text
    end = max(0, (width - 1) // 2)
    return f"{text[: max(1, width - 1 - end)]}…{text[len(text) - end :]}"
