"""Charts as SVG, drawn by hand: they need no script and no font of their own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_LABELS: Final = 210
_BARS: Final = 380
_NUMBERS: Final = 130
_ROW: Final = 24
_THICK: Final = 16
_LONGEST: Final = 32


def bars(title: str, rows: Sequence[tuple[str, int]], unit: str) -> str:
    """A chart of horizontal bars; nothing where there is nothing to show.

    Args:
        title: what it shows, for those who cannot see it.
        rows: names and numbers, from above.
        unit: what is counted.
    """
    highest = max((value for _, value in rows), default=0)
    if not highest:
        return ""
    height = _ROW * len(rows) + 4
    width = _LABELS + _BARS + _NUMBERS
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for number, (name, value) in enumerate(rows):
        top = number * _ROW + (_ROW - _THICK) // 2
        base = top + _THICK - 4
        length = round(value / highest * _BARS, 1)
        label = f"{escape(_cut(name))}<title>{escape(name)}</title>"
        bar = f'<rect x="{_LABELS}" y="{top}" width="{max(length, 1)}" height="{_THICK}" rx="2"/>'
        parts += [
            f'<text x="{_LABELS - 8}" y="{base}" text-anchor="end">{label}</text>',
            *([bar] if value else []),
            f'<text x="{_LABELS + length + 6}" y="{base}">{value:,} {escape(unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>"])


def _cut(name: str) -> str:
    """A name that fits: its end says more than its beginning."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
