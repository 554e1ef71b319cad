"""An SVG drawing of a workflow: boxes in layers, blocks as frames around what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from kurt.engine.language.schema import WorkflowDefinition
from kurt.engine.views.drawing import Box, Edge, Group, clean

_CHAR = 7.0
_LINE = 18.0
_PAD = 12.0
_GAP = 26.0
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:currentColor}"
    ".n{fill-opacity:.7}"
    ".b{fill:none;stroke:currentColor;stroke-width:1.2}"
    ".f{fill:currentColor;fill-opacity:.05;stroke:currentColor;stroke-opacity:.5}"
    ".e{fill:none;stroke:currentColor;stroke-width:1.2}"
    ".d{stroke-dasharray:5 4}"
)


_ARROW_HEAD = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>'
)


@dataclass(slots=True)
class _Placed:
    """Something with a place and a size; its children are placed inside it.

    Attributes:
        lines: the title and the notes, or the label of a list.
        width: in pixels.
        height: in pixels.
        x: from the left edge of its parent.
        y: from the upper edge of its parent.
        id: of the box.
        children: what is inside.
        edges: arrows between the children.
        frame: class of the frame around it, empty for none.
    """

    lines: list[str]
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    id: str = ""
    children: list[_Placed] = field(default_factory=list["_Placed"])
    edges: Sequence[Edge] = ()
    frame: str = ""


def render(definition: WorkflowDefinition, groups: Sequence[Group]) -> str:
    """The SVG text of the groups of a workflow."""
    root = _row([_place_group(group) for group in groups], [])
    width, height = root.width + 2 * _PAD, root.height + 2 * _PAD
    count = sum(1 for _ in definition.walk())
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(clean(definition.name))}</title>',
        f'<desc id="desc">{escape(_description(definition, count))}</desc>',
        f"<style>{_STYLE}</style>",
        _ARROW_HEAD,
        *_draw(root, _PAD, _PAD),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _description(definition: WorkflowDefinition, count: int) -> str:
    names = ", ".join(clean(step.name) for step in definition.steps[:20])
    return f"The workflow has {count} steps. In order: {names}."


def _place_box(box: Box) -> _Placed:
    placed = _Placed([clean(line) for line in (box.title, *box.notes)], id=box.id, frame="b")
    inner = [_place_group(group) for group in box.groups]
    if not inner:
        placed.width = max(len(line) for line in placed.lines) * _CHAR + 2 * _PAD
        placed.height = len(placed.lines) * _LINE + _PAD
        return placed
    placed.frame = "f"
    return _row(inner, placed.lines, placed)


def _place_group(group: Group) -> _Placed:
    """The boxes of a list in layers: each below all that it waits for."""
    placed = _Placed([clean(group.label)] if group.label else [], edges=group.edges)
    boxes = {box.id: _place_box(box) for box in group.boxes}
    placed.children = list(boxes.values())
    rows: dict[int, list[_Placed]] = {}
    for name, layer in _layers(group).items():
        rows.setdefault(layer, []).append(boxes[name])
    top = len(placed.lines) * _LINE
    widths = [sum(box.width for box in row) + _GAP * (len(row) - 1) for row in rows.values()]
    placed.width = max([*widths, *(len(line) * _CHAR for line in placed.lines)], default=0.0)
    for layer in sorted(rows):
        row = rows[layer]
        left = (placed.width - sum(box.width for box in row) - _GAP * (len(row) - 1)) / 2
        for box in row:
            box.x, box.y = left, top
            left += box.width + _GAP
        top += max(box.height for box in row) + _GAP
    placed.height = max(top - _GAP, 0.0)
    return placed


def _layers(group: Group) -> dict[str, int]:
    """For each box the length of the longest way to it; boxes come after what leads to them, fallbacks perhaps not."""
    layers = {box.id: 0 for box in group.boxes}
    for _ in group.boxes:  # settles after as many rounds as the longest way is long, mostly after one
        changed = False
        for edge in group.edges:
            if layers[edge.target] <= layers[edge.source]:
                layers[edge.target] = layers[edge.source] + 1
                changed = True
        if not changed:
            break
    return layers


def _row(inner: list[_Placed], lines: list[str], placed: _Placed | None = None) -> _Placed:
    """Several lists side by side, below some lines of text."""
    placed = placed or _Placed(lines)
    framed = _PAD if placed.frame else 0.0
    top = len(lines) * _LINE + framed
    left = framed
    for child in inner:
        child.x, child.y = left, top
        left += child.width + _GAP
    placed.children = inner
    placed.width = max([left - _GAP + framed, *(len(line) * _CHAR + 2 * _PAD for line in lines)])
    placed.height = top + max((child.height for child in inner), default=0.0) + framed
    return placed


def _draw(placed: _Placed, x: float, y: float) -> Iterator[str]:
    if placed.frame:
        size = f'width="{placed.width:g}" height="{placed.height:g}"'
        yield f'<rect class="{placed.frame}" x="{x:g}" y="{y:g}" {size} rx="6"/>'
    for index, line in enumerate(placed.lines):
        kind = ' class="n"' if index or not placed.frame else ""
        left = x + (_PAD if placed.frame else 0.0)
        yield f'<text{kind} x="{left:g}" y="{y + (index + 1) * _LINE:g}">{escape(line)}</text>'
    for child in placed.children:
        yield from _draw(child, x + child.x, y + child.y)
    by_id = {child.id: child for child in placed.children}
    for edge in placed.edges:
        yield _arrow(edge, by_id[edge.source], by_id[edge.target], x, y)


def _arrow(edge: Edge, source: _Placed, target: _Placed, x: float, y: float) -> str:
    x1, y1 = x + source.x + source.width / 2, y + source.y + source.height
    x2, y2 = x + target.x + target.width / 2, y + target.y
    middle = (y1 + y2) / 2
    kind = quoteattr("e d" if edge.on_failure else "e")
    curve = f"M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
    label = f"<title>{escape(edge.label)}</title>" if edge.label else ""
    return f'<path class={kind} d="{curve}" marker-end="url(#arrow)">{label}</path>'
