"""Drawing a workflow: Mermaid, Graphviz and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kurt.engine.language.schema import WorkflowDefinition
from kurt.engine.views.drawing import Box, Edge, Group, clean, groups_of
from kurt.errors import UsageError

FORMATS = ("mermaid", "dot", "svg")


def draw(definition: WorkflowDefinition, form: str = "mermaid") -> str:
    """A drawing of the workflow.

    Args:
        definition: the workflow.
        form: `mermaid`, `dot` or `svg`.

    Raises:
        UsageError: another form.
    """
    groups = groups_of(definition)
    if form == "mermaid":
        return "\n".join(["flowchart TD", *_mermaid(groups, "  ")]) + "\n"
    if form == "dot":
        return "\n".join(_dot(definition.name, groups)) + "\n"
    if form == "svg":
        from kurt.engine.views.svg import render  # noqa: PLC0415 - only this form needs it

        return render(definition, groups)
    raise UsageError(f"there is no form {form!r} of drawings", hint=f"use one of {', '.join(FORMATS)}")


def _mermaid(groups: Sequence[Group], indent: str) -> Iterator[str]:
    for group in groups:
        inner = indent
        if group.label:
            yield f'{indent}subgraph {group.id}["{_mermaid_text(group.label)}"]'
            inner += "  "
        for box in group.boxes:
            yield from _mermaid_box(box, inner)
        for edge in group.edges:
            arrow = "-.->" if edge.on_failure else "-->"
            label = f'|"{_mermaid_text(edge.label)}"|' if edge.label else ""
            yield f"{inner}{edge.source} {arrow}{label} {edge.target}"
        if group.label:
            yield f"{indent}end"


def _mermaid_box(box: Box, indent: str) -> Iterator[str]:
    label = "<br/>".join(_mermaid_text(line) for line in (box.title, *box.notes))
    if not box.groups:
        yield f'{indent}{box.id}["{label}"]'
        return
    yield f'{indent}subgraph {box.id}["{label}"]'
    yield from _mermaid(box.groups, indent + "  ")
    yield f"{indent}end"


def _mermaid_text(text: str) -> str:
    return "".join(f"#{ord(char)};" if char in '#"<>&`\\[]{}()|' else char for char in clean(text))


def _dot(name: str, groups: Sequence[Group]) -> Iterator[str]:
    yield f"digraph {_dot_text(name)} {{"
    yield "  compound=true; rankdir=TB;"
    yield '  node [shape=box, style=rounded, fontname="sans-serif"];'
    for group in groups:
        yield from _dot_group(group, "  ")
    yield "}"


def _dot_group(group: Group, indent: str) -> Iterator[str]:
    inner = indent
    if group.label:
        yield f"{indent}subgraph cluster_{group.id} {{"
        inner += "  "
        yield f"{inner}label={_dot_text(group.label)};"
    for box in group.boxes:
        yield from _dot_box(box, inner)
    boxes = {box.id: box for box in group.boxes}
    for edge in group.edges:
        yield inner + _dot_edge(edge, boxes)
    if group.label:
        yield f"{indent}}}"


def _dot_box(box: Box, indent: str) -> Iterator[str]:
    label = _dot_text("\n".join(map(clean, (box.title, *box.notes))))
    if not box.groups:
        yield f"{indent}{box.id} [label={label}];"
        return
    yield f"{indent}subgraph cluster_{box.id} {{"
    yield f"{indent}  label={label};"
    for group in box.groups:
        yield from _dot_group(group, indent + "  ")
    yield f"{indent}}}"


def _dot_edge(edge: Edge, boxes: dict[str, Box]) -> str:
    """An arrow between boxes; at a block it ends at the block's frame, through a box inside."""
    source, target = boxes[edge.source], boxes[edge.target]
    last, first = _inner_box(source, last=True), _inner_box(target, last=False)
    options = [
        f"ltail=cluster_{source.id}" if last is not source else "",
        f"lhead=cluster_{target.id}" if first is not target else "",
        f"label={_dot_text(edge.label)}, style=dashed" if edge.on_failure else "",
    ]
    shown = ", ".join(option for option in options if option)
    return f"{last.id} -> {first.id}" + (f" [{shown}];" if shown else ";")


def _inner_box(box: Box, *, last: bool) -> Box:
    """The first or last box without steps inside."""
    while box.groups:
        box = box.groups[-1].boxes[-1] if last else box.groups[0].boxes[0]
    return box


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
