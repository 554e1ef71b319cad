"""The formats in which CMSs keep text, as Markdown."""

from __future__ import annotations

from typing import Any

import pytest

from kurt.integrations.cms import blocks_contentful, blocks_notion, blocks_sanity, blocks_strapi
from kurt.integrations.cms.marks import code_block, linked, marked, table


def test_marks_keep_space_outside() -> None:
    assert marked(" a b ", "**") == " **a b** "
    assert marked("  ", "**") == "  "
    assert marked("x", "") == "x"


def test_links() -> None:
    assert linked("a", "https://e.org/x (1)") == "[a](https://e.org/x%20%281%29)"
    assert linked("", "https://e.org") == "[https://e.org](https://e.org)"
    assert linked("a", None) == "a"


def test_fences_are_longer_than_those_inside() -> None:
    assert code_block("a\n```\nb\n", "python") == "````python\na\n```\nb\n````"


def test_tables() -> None:
    assert table([["a", "b|c"], ["1"]]) == "| a | b\\|c |\n| --- | --- |\n| 1 |  |"
    assert table([]) == ""


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"_type": "block", "children": [{"_type": "span", "text": text, "marks": []}], **more}


def test_portable_text() -> None:
    link = {
        "_type": "block",
        "markDefs": [{"_key": "k", "_type": "link", "href": "https://e.org"}],
        "children": [
            {"text": "see "},
            {"text": "this", "marks": ["k", "em"]},
            {"text": " x", "marks": ["unknown"]},
        ],
    }
    blocks = [
        block("Head", style="h2"),
        link,
        block("one", listItem="bullet", level=1),
        block("two", listItem="bullet", level=2),
        block("first", listItem="number", level=1),
        block("said", style="blockquote"),
        block(" "),
        {"_type": "code", "language": "sh", "code": "ls\n"},
        {"_type": "image", "alt": "A", "asset": {"url": "https://e.org/a.png"}},
        {"_type": "image", "asset": {"_ref": "image-1"}},
        {"_type": "table", "rows": [{"cells": ["a", "b"]}, {"cells": ["1", "2"]}]},
        {"_type": "section", "content": [block("inside")]},
        {"_type": "unknown"},
    ]
    assert blocks_sanity.markdown_of_blocks(blocks) == (
        "## Head\n\nsee *[this](https://e.org)* x\n\n- one\n  - two\n1. first\n\n> said\n\n```sh\nls\n```"
        "\n\n![A](https://e.org/a.png)\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\ninside"
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"body": [block("a")], "content": "other"}, "a"),
        ({"excerpt": "short", "story": [block("long")]}, "long"),
        ({"body": "plain text\n"}, "plain text"),
        ({"title": "only"}, ""),
    ],
)
def test_which_field_of_a_document_is_its_text(row: dict[str, Any], expected: str) -> None:
    assert blocks_sanity.markdown_of_document(row) == expected


def node(kind: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"nodeType": kind, "data": {}, "content": list(content), **more}


def words(value: str, *marks: str) -> dict[str, Any]:
    return {"nodeType": "text", "value": value, "marks": [{"type": mark} for mark in marks], "data": {}}


def test_rich_text_of_contentful() -> None:
    item = node(
        "list-item",
        node("paragraph", words("a")),
        node("ordered-list", node("list-item", node("paragraph", words("b")))),
    )
    cells = [node("table-cell", node("paragraph", words(text))) for text in ("x", "y")]
    document = node(
        "document",
        node("heading-3", words("Head")),
        node(
            "paragraph",
            words("a "),
            words("b", "bold", "italic"),
            node("hyperlink", words("c"), data={"uri": "https://e.org"}),
        ),
        node("unordered-list", item),
        node("blockquote", node("paragraph", words("one")), node("paragraph", words("two"))),
        node("paragraph", words("x = 1\ny = 2", "code")),
        node("paragraph", words("inline", "code")),
        node("hr"),
        node("table", node("table-row", *cells), node("table-row", *cells)),
        node("embedded-entry-block"),
    )
    assert blocks_contentful.markdown_of_rich_text(document) == (
        "### Head\n\na ***b***[c](https://e.org)\n\n- a\n  1. b\n\n> one\n> \n> two\n\n```\nx = 1\ny = 2\n```\n\n`inline`\n\n---"
        "\n\n| x | y |\n| --- | --- |\n| x | y |"
    )


def said(text: str, href: str | None = None, **notes: bool) -> dict[str, Any]:
    return {"plain_text": text, "annotations": notes, "href": href}


def rich(
    kind: str, *spans: dict[str, Any], children: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    return {"type": kind, kind: {"rich_text": list(spans), **more}, "children": children or []}


def test_blocks_of_notion() -> None:
    cells = [[said("a")], [said("b", bold=True)]]
    blocks = [
        rich("heading_2", said("Head")),
        rich("paragraph", said("see "), said("this", "https://e.org", italic=True)),
        rich("bulleted_list_item", said("one"), children=[rich("bulleted_list_item", said("two"))]),
        rich("numbered_list_item", said("three")),
        rich("to_do", said("done"), checked=True),
        rich("quote", said("said\ntwice")),
        rich("code", said("a < b"), language="python"),
        {"type": "divider", "divider": {}},
        {
            "type": "table",
            "table": {},
            "children": [{"type": "table_row", "table_row": {"cells": cells}}] * 2,
        },
        {"type": "equation", "equation": {"expression": "x^2"}},
        {"type": "bookmark", "bookmark": {"url": "https://b.org"}},
        {"type": "column_list", "column_list": {}, "children": [rich("paragraph", said("column"))]},
        {"type": "image", "image": {}},
    ]
    assert blocks_notion.markdown_of_blocks(blocks) == (
        "## Head\n\nsee [*this*](https://e.org)\n\n- one\n  - two\n1. three\n- [x] done\n\n> said\n> twice"
        "\n\n```python\na < b\n```\n\n---\n\n| a | **b** |\n| --- | --- |\n| a | **b** |\n\n$$\nx^2\n$$"
        "\n\n[https://b.org](https://b.org)\n\ncolumn"
    )


def part(kind: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "children": list(children), **more}


def test_blocks_of_strapi() -> None:
    text = {"type": "text", "text": "a"}
    blocks = [
        part("heading", text, level=2),
        part(
            "paragraph",
            text,
            {"type": "text", "text": "b", "bold": True, "code": True},
            part("link", text, url="https://e.org"),
        ),
        part(
            "list",
            part("list-item", text),
            part("list", part("list-item", text), format="unordered"),
            format="ordered",
        ),
        part("quote", {"type": "text", "text": "one\ntwo"}),
        part("code", {"type": "text", "text": "x"}, language="sh"),
        part("image", image={"url": "https://e.org/a.png", "alternativeText": "A"}),
    ]
    assert blocks_strapi.markdown_of_blocks(blocks) == (
        "## a\n\na**`b`**[a](https://e.org)\n\n1. a\n  - a\n\n> one\n> two\n\n```sh\nx\n```\n\n![A](https://e.org/a.png)"
    )


@pytest.mark.parametrize(
    "make",
    [blocks_sanity.markdown_of_blocks, blocks_notion.markdown_of_blocks, blocks_strapi.markdown_of_blocks],
)
@pytest.mark.parametrize(
    "odd", [[], [{}], [{"type": None, "_type": None}], [{"type": "paragraph", "children": "x"}]]
)
def test_odd_blocks_are_no_error(make: Any, odd: Any) -> None:
    assert make(odd).strip() == ""
