"""The blocks of Notion as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from kurt.integrations.cms.marks import code_block, indented, linked, marked, table
from kurt.integrations.cms.types import objects
from kurt.types import JsonObject

_MARKS = (("code", "`"), ("bold", "**"), ("italic", "*"), ("strikethrough", "~~"))
_HEADINGS = {"heading_1": "#", "heading_2": "##", "heading_3": "###"}
_ITEMS = {"bulleted_list_item": "-", "numbered_list_item": "1.", "to_do": "-", "toggle": "-"}


def plain(spans: object) -> str:
    """Rich text without its marks."""
    return "".join(str(span.get("plain_text") or "") for span in objects(spans))


def markdown_of_blocks(blocks: list[JsonObject]) -> str:
    """Blocks, with those below them in `children`, as Markdown; kinds that are not text are left out."""
    parts: list[str] = []
    in_list = False
    for block in blocks:
        made = _block(block)
        if not made:
            continue
        is_item = block.get("type") in _ITEMS
        parts.append(("\n" if in_list and is_item else "\n\n" if parts else "") + made)
        in_list = is_item
    return "".join(parts)


def _block(block: JsonObject) -> str:
    kind = str(block.get("type"))
    data: JsonObject = block.get(kind) or {}
    children = objects(block.get("children"))
    if kind in _ITEMS:
        return _item(kind, data, markdown_of_blocks(children))
    make = _BLOCKS.get(kind)
    if make is not None:
        return make(data, children)
    heading = f"{_HEADINGS[kind]} " if kind in _HEADINGS else ""
    text = _inline(data)
    return "\n\n".join(
        part for part in (f"{heading}{text}" if text else "", markdown_of_blocks(children)) if part
    )


def _quote(data: JsonObject, children: list[JsonObject]) -> str:
    text = "\n".join(part for part in (_inline(data), markdown_of_blocks(children)) if part)
    return f"> {indented(text, '> ')}"


def _table(_: JsonObject, children: list[JsonObject]) -> str:
    rows = [(row.get("table_row") or {}).get("cells") or [] for row in children]
    return table([[_spans(cell) for cell in row] for row in rows])


def _item(kind: str, data: JsonObject, below: str) -> str:
    mark = _ITEMS[kind]
    box = f"[{'x' if data.get('checked') else ' '}] " if kind == "to_do" else ""
    text = "\n".join(part for part in (f"{box}{_inline(data)}", below) if part)
    return f"{mark} {indented(text, ' ' * (len(mark) + 1))}"


def _inline(data: JsonObject) -> str:
    return _spans(data.get("rich_text"))


def _spans(spans: object) -> str:
    parts: list[str] = []
    for span in objects(spans):
        text = str(span.get("plain_text") or "")
        notes = span.get("annotations") or {}
        for name, mark in _MARKS:
            text = marked(text, mark) if notes.get(name) else text
        parts.append(linked(text, span["href"]) if span.get("href") else text)
    return "".join(parts)


_BLOCKS: dict[str, Callable[[JsonObject, list[JsonObject]], str]] = {
    "quote": _quote,
    "callout": _quote,
    "code": lambda data, _: code_block(plain(data.get("rich_text")), data.get("language")),
    "divider": lambda *_: "---",
    "table": _table,
    "equation": lambda data, _: f"$$\n{data.get('expression')}\n$$",
    "bookmark": lambda data, _: linked("", data.get("url")),
    "embed": lambda data, _: linked("", data.get("url")),
    "link_preview": lambda data, _: linked("", data.get("url")),
}
