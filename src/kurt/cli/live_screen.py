"""The live view on a terminal: drawn with rich, which is imported only here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from kurt.cli.live_board import LOG_LINES
from kurt.engine.durations import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kurt.cli.live_board import Board, Picture, Row

PICTURES_A_SECOND: Final = 8
"""How often the screen is drawn."""

_SYMBOLS: Final = {
    "succeeded": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "running": ("●", "*", "cyan"),
    "retrying": ("↻", "~", "yellow"),
    "skipped": ("↷", "-", "dim"),
    "cancelled": ("■", "!", "yellow"),
    "waiting": ("○", ".", "dim"),
    "queued": ("○", ".", "yellow"),
}
_OTHER: Final = ("·", " ", "dim")
_BAR: Final = 24
_NARROW: Final = 60
_STATE: Final = 9  # columns of the longest state


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
        lines = [self._title(picture)]
        names = max((len(row.path) + 2 * depth for depth, row in picture.rows if row.state), default=0)
        names = min(names, max(10, width * 2 // 5))
        lines += [self._line(depth, row, names, width) for depth, row in picture.rows]
        if picture.log:
            lines.append(Text(""))
            mark = "│ " if self._unicode else "| "
            lines += [Text(mark + line, style="dim") for line in picture.log]
        for line in lines:
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)

    def _title(self, picture: Picture) -> Text:
        text = Text().append(picture.name, style="bold")
        status = f"  {picture.status}  {format_duration(picture.seconds)}"
        return text.append(status).append(f"  {picture.run_id}", style="dim")

    def _line(self, depth: int, row: Row, names: int, width: int) -> Text:
        if not row.state:
            return Text(f"{'  ' * depth}  ... {row.path}", style="dim")
        symbol, ascii_symbol, style = _SYMBOLS.get(row.state, _OTHER)
        name = _cut(row.path, names - 2 * depth)
        line = Text("  " * depth).append(symbol if self._unicode else ascii_symbol, style=style)
        line.append(f" {name:<{names - 2 * depth}}  ").append(f"{row.state:<{_STATE}}", style=style)
        if row.done is not None:
            line.append(self._progress(row, row.done, width))
        age = row.age(self._board.now())
        if age is not None:
            line.append(f"  {format_duration(age)}")
        if row.attempt > 1:
            line.append(f"  attempt {row.attempt}")
        if row.detail:
            line.append(f"  {row.detail}", style=style)
        return line

    def _progress(self, row: Row, done: int, width: int) -> str:
        """The bar of a fan-out with its numbers; on a narrow screen the numbers alone."""
        failed = f", {row.failed} failed" if row.failed else ""
        numbers = f"  {done}/{row.total}{failed}"
        if width < _NARROW:
            return numbers
        full = _BAR if not row.total else _BAR * done // row.total
        filled, empty = ("━", "╌") if self._unicode else ("#", ".")
        return f"  {filled * full}{empty * (_BAR - full)}{numbers}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(1, width - 1)]}…"
