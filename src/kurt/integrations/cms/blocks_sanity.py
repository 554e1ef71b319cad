"""Portable Text, the blocks of Sanity, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.integrations.cms.marks import code_block, linked, marked
from kurt.integrations.cms.types import objects

if TYPE_CHECKING:
    from kurt.types import JsonObject

_MARKS = {"strong": "**", "em": "*", "code": "`", "strike-through": "~~"}
_BODIES = ("body", "content", "text", "description", "excerpt")


def markdown_of_document(row: JsonObject) -> str:
    """The text of a document: the usual fields first; without one of them every field that holds blocks."""
    named = [row[name] for name in _BODIES if row.get(name)]
    rest = [value for name, value in row.items() if not name.startswith("_") and _has_blocks(value)]
    chosen = next((value for value in named if _has_blocks(value)), None) or next(iter(rest), None)
    value = chosen if chosen is not None else next(iter(named), "")
    return value.strip() if isinstance(value, str) else markdown_of_blocks(objects(value))


def _has_blocks(value: Any) -> bool:
    return any(item.get("_type") == "block" for item in objects(value))


def markdown_of_blocks(blocks: list[JsonObject]) -> str:
    """Blocks as Markdown; kinds that are not text are left out."""
    parts: list[str] = []
    in_list = False
    for block in blocks:
        made = _block(block)
        if not made:
            continue
        is_item = bool(block.get("listItem"))
        parts.append(("\n" if in_list and is_item else "\n\n" if parts else "") + made)
        in_list = is_item
    return "".join(parts)


def _block(block: JsonObject) -> str:
    match block.get("_type"):
        case "block":
            return _styled(block, _spans(block))
        case "code":
            return code_block(str(block.get("code") or ""), block.get("language"))
        case "image":
            return _image(block)
        case "table":
            return _table(block)
        case _:
            return markdown_of_blocks(objects(block.get("content") or block.get("body")))


def _styled(block: JsonObject, text: str) -> str:
    if not text.strip():
        return ""
    if block.get("listItem"):
        indent = "  " * (max(int(block.get("level") or 1), 1) - 1)
        return f"{indent}{'1.' if block['listItem'] == 'number' else '-'} {text}"
    style = str(block.get("style") or "normal")
    if style[:1] == "h" and style[1:].isdigit():
        return f"{'#' * min(int(style[1:]), 6)} {text}"
    return f"> {text}" if style == "blockquote" else text


def _spans(block: JsonObject) -> str:
    links = {str(one.get("_key")): one.get("href") for one in objects(block.get("markDefs"))}
    parts: list[str] = []
    for span in objects(block.get("children")):
        text = str(span.get("text") or "")
        for mark in span.get("marks") or []:
            text = linked(text, links[mark]) if links.get(mark) else marked(text, _MARKS.get(mark, ""))
        parts.append(text)
    return "".join(parts)


def _image(block: JsonObject) -> str:
    url = (block.get("asset") or {}).get("url")
    return f"![{block.get('alt') or ''}]({url})" if url else ""


def _table(block: JsonObject) -> str:
    from kurt.integrations.cms.marks import table  # noqa: PLC0415 - few documents have one

    return table([[str(cell) for cell in row.get("cells") or []] for row in objects(block.get("rows"))])
