"""The blocks of Strapi's rich text as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.integrations.cms.marks import code_block, indented, linked, marked
from kurt.integrations.cms.types import objects

if TYPE_CHECKING:
    from kurt.types import JsonObject

_MARKS = (("code", "`"), ("bold", "**"), ("italic", "*"), ("strikethrough", "~~"))


def markdown_of_blocks(blocks: list[JsonObject]) -> str:
    """Blocks as Markdown."""
    return "\n\n".join(made for block in blocks if (made := _block(block)))


def _block(block: JsonObject) -> str:
    match block.get("type"):
        case "heading":
            return f"{'#' * min(int(block.get('level') or 1), 6)} {_inline(block)}"
        case "list":
            return _list(block)
        case "quote":
            return f"> {indented(_inline(block), '> ')}"
        case "code":
            return code_block(_inline(block), block.get("language"))
        case "image":
            image = block.get("image") or {}
            return f"![{image.get('alternativeText') or ''}]({image['url']})" if image.get("url") else ""
        case _:
            return _inline(block)


def _list(block: JsonObject) -> str:
    lines: list[str] = []
    for item in objects(block.get("children")):
        if item.get("type") == "list":
            lines.append(f"  {indented(_list(item), '  ')}")
        else:
            lines.append(f"{'1.' if block.get('format') == 'ordered' else '-'} {_inline(item)}")
    return "\n".join(lines)


def _inline(block: JsonObject) -> str:
    parts: list[str] = []
    for child in objects(block.get("children")):
        if child.get("type") == "link":
            parts.append(linked(_inline(child), child.get("url")))
            continue
        text = str(child.get("text") or "")
        for name, mark in _MARKS:
            text = marked(text, mark) if child.get(name) else text
        parts.append(text)
    return "".join(parts)
