"""The rich text of Contentful as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from kurt.integrations.cms.marks import code_block, indented, linked, marked, table
from kurt.integrations.cms.types import objects
from kurt.types import JsonObject

_MARKS = {"bold": "**", "italic": "*", "code": "`", "strikethrough": "~~"}


def markdown_of_rich_text(node: JsonObject) -> str:
    """A rich text document as Markdown; entries and pictures that it embeds are left out."""
    return _blocks(node)


def _blocks(node: JsonObject, between: str = "\n\n") -> str:
    return between.join(made for child in objects(node.get("content")) if (made := _block(child)))


def _block(node: JsonObject) -> str:
    kind = str(node.get("nodeType"))
    if kind.startswith("heading-"):
        return f"{'#' * int(kind.removeprefix('heading-'))} {_inline(node)}"
    make = _BLOCKS.get(kind)
    return make(node) if make is not None else ""


def _quote(node: JsonObject) -> str:
    return f"> {indented(_blocks(node), '> ')}"


def _table(node: JsonObject) -> str:
    rows = [objects(row.get("content")) for row in objects(node.get("content"))]
    return table([[_blocks(cell, " ") for cell in row] for row in rows])


def _paragraph(node: JsonObject) -> str:
    """A paragraph; one of nothing but code is a block of it."""
    texts = [child for child in objects(node.get("content")) if child.get("value")]
    is_code = bool(texts) and all(_is_code(child) for child in texts)
    whole = "".join(str(child["value"]) for child in texts) if is_code else ""
    return code_block(whole) if "\n" in whole else _inline(node)


def _is_code(node: JsonObject) -> bool:
    return any(mark.get("type") == "code" for mark in objects(node.get("marks")))


def _list(node: JsonObject, mark: str) -> str:
    by = " " * (len(mark) + 1)
    return "\n".join(
        f"{mark} {indented(_blocks(item, chr(10)), by)}" for item in objects(node.get("content"))
    )


def _inline(node: JsonObject) -> str:
    parts: list[str] = []
    for child in objects(node.get("content")):
        if child.get("nodeType") == "hyperlink":
            parts.append(linked(_inline(child), (child.get("data") or {}).get("uri")))
        elif child.get("nodeType") == "text":
            text = str(child.get("value") or "")
            for mark in objects(child.get("marks")):
                text = marked(text, _MARKS.get(str(mark.get("type")), ""))
            parts.append(text)
        else:
            parts.append(_inline(child))
    return "".join(parts)


_BLOCKS: dict[str, Callable[[JsonObject], str]] = {
    "paragraph": _paragraph,
    "unordered-list": lambda node: _list(node, "-"),
    "ordered-list": lambda node: _list(node, "1."),
    "blockquote": _quote,
    "hr": lambda _: "---",
    "table": _table,
}
