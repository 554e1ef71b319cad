"""Drawings of workflows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kurt.engine.language.order import direct_needs
from kurt.engine.language.schema import WorkflowDefinition
from kurt.engine.views.graph import FORMATS, draw
from kurt.errors import UsageError
from tests.support.definitions import definition
from tests.unit.test_language_definition import RICH

NASTY = """\
name: '<b>"q" & `c`</b> --> x'
inputs: {mode: a}
steps:
  - {name: a, type: run, command: [x], when: "mode == '<script>alert(1)</script>\\"'", on_error: {fallback: b}}
  - {name: b, type: run, command: [x]}
  - {name: c, switch: {on: mode, cases: {'"]; end <x>|': [{wait: {message: '"quoted" \\u0007 #1;'}}]}}}
"""
SVG = "{http://www.w3.org/2000/svg}"


def test_mermaid(tmp_path: Path) -> None:
    text = """\
        inputs: {urls: []}
        steps:
          - {name: a, type: run, command: [x]}
          - {name: b, foreach: {items: "${urls}", as: u}, steps: [{name: c, type: run, command: [x]}], needs: [a]}
          - {name: d, type: cli, command: x, needs: [a], when: "true", on_error: {fallback: e}}
          - {name: e, type: cli, command: x}
          - {name: f, type: cli, command: x}
        on_error: [{type: cli, command: x}]
        """
    assert draw(definition(tmp_path, text)).splitlines() == [
        "flowchart TD",
        '  n2["a<br/>run"]',
        '  subgraph n3["b<br/>foreach u in $#123;urls#125;"]',
        '    n5["c<br/>run"]',
        "  end",
        '  n6["d<br/>cli<br/>when true"]',
        '  n7["e<br/>cli"]',
        '  n8["f<br/>cli"]',
        "  n2 --> n3",
        "  n2 --> n6",
        "  n3 --> n8",
        "  n6 --> n8",
        '  n6 -.->|"on failure"| n7',
        '  subgraph n9["on_error"]',
        '    n10["step1<br/>cli"]',
        "  end",
    ]


def test_dot_ends_arrows_at_the_frames_of_blocks(tmp_path: Path) -> None:
    text = """\
        steps:
          - {name: a, parallel: [{name: b, wait: {for: 1s}}, {name: c, wait: {for: 1s}}]}
          - {name: d, wait: {for: 1s}}
        """
    lines = draw(definition(tmp_path, text), "dot").splitlines()
    assert lines[0] == 'digraph "flow" {'
    assert "  subgraph cluster_n2 {" in lines
    assert "  n5 -> n6 [ltail=cluster_n2];" in lines


@pytest.mark.parametrize("form", FORMATS)
def test_every_step_is_drawn(tmp_path: Path, form: str) -> None:
    workflow = definition(tmp_path, RICH)
    drawing = draw(workflow, form)
    assert all(step.name in drawing for step in workflow.walk())


@pytest.mark.parametrize("form", FORMATS)
def test_text_cannot_break_out(tmp_path: Path, form: str) -> None:
    drawing = draw(definition(tmp_path, NASTY), form)
    if form != "dot":
        assert "<script>" not in drawing
        assert "</b>" not in drawing
    assert "\x07" not in drawing
    if form == "mermaid":
        labels = re.findall(r'\["(.*?)"\]', drawing)
        assert not [label for label in labels if re.search(r'["`\[\]{}|]', label)]
    if form == "dot":
        assert not [line for line in drawing.splitlines() if len(re.findall(r'(?<!\\)"', line)) % 2]


def test_an_unknown_form(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'png'") as caught:
        draw(definition(tmp_path, RICH), "png")
    assert caught.value.hint == "use one of mermaid, dot, svg"


def rectangles(workflow: WorkflowDefinition) -> Iterator[tuple[float, float, float, float]]:
    """The frames of a drawing: left, top, right, bottom."""
    for rect in ElementTree.fromstring(draw(workflow, "svg")).iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


@pytest.mark.parametrize("text", [RICH, NASTY], ids=["rich", "nasty"])
def test_frames_lie_inside_or_beside_each_other(tmp_path: Path, text: str) -> None:
    workflow = definition(tmp_path, text)
    frames = list(rectangles(workflow))
    assert len(frames) == sum(1 for _ in workflow.walk())
    for index, (left, top, right, bottom) in enumerate(frames):
        for left2, top2, right2, bottom2 in frames[index + 1 :]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            inside = left < left2 and right2 < right and top < top2 and bottom2 < bottom
            assert apart or inside


def test_an_svg_can_be_heard(tmp_path: Path) -> None:
    root = ElementTree.fromstring(draw(definition(tmp_path, RICH), "svg"))
    assert root.attrib["role"] == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert (title.text, title.attrib["id"]) == ("flow", "title")
    assert "15 steps" in (description.text or "")
    assert root.attrib["aria-labelledby"] == "title desc"


def test_only_direct_needs_are_drawn(tmp_path: Path) -> None:
    text = "steps:\n" + "".join(f"  - {{name: s{n}, wait: {{for: 1s}}}}\n" for n in range(4))
    assert direct_needs(definition(tmp_path, text).steps) == {
        "s0": [],
        "s1": ["s0"],
        "s2": ["s1"],
        "s3": ["s2"],
    }
