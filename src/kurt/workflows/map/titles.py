"""The title of a file, read from its first bytes as cheaply as its format allows."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from kurt.content.markdown import first_heading, front_matter

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 300
"""Characters of a title."""

_HEAD = 256 * 1024
_LINE = 120
_CORE = "docProps/core.xml"
_DUBLIN_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def facts_of(data: bytes, name: str) -> dict[str, str]:
    """What a file says of itself: `title`, and in front matter `author`, `published`, `language`.

    A file that says nothing has its name as title.

    Args:
        data: its bytes.
        name: its name, whose end tells the format.
    """
    path = PurePath(name)
    suffix = path.suffix.lower()
    found = _markdown(data) if suffix in {".md", ".mdx"} else {"title": _TITLES[suffix](data)}
    kept = {key: " ".join(str(value).split())[:LONGEST] for key, value in found.items() if value}
    return {"title": _spoken(path.stem), **{key: value for key, value in kept.items() if value}}


def _spoken(stem: str) -> str:
    """A file's name as a title."""
    return stem.replace("_", " ").replace("-", " ").strip() or stem


def _text(data: bytes) -> str:
    return data[:_HEAD].decode("utf-8-sig", "replace")


def _markdown(data: bytes) -> dict[str, Any]:
    facts, body = front_matter(_text(data))
    return {
        "title": facts.get("title") or first_heading(body),
        "author": facts.get("author"),
        "published": facts.get("published") or facts.get("date"),
        "language": facts.get("language") or facts.get("lang"),
    }


def _html(data: bytes) -> str | None:
    from kurt.integrations.web.links import page_links  # noqa: PLC0415 - lxml only where there is HTML

    return page_links(data[:_HEAD], url="http://localhost/").title


def _notebook(data: bytes) -> str | None:
    try:
        book = json.loads(data)
        cells = [cell for cell in book["cells"] if cell.get("cell_type") == "markdown"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = (cell.get("source") or "" for cell in cells)
    joined = ("".join(text) if isinstance(text, list) else str(text) for text in texts)
    return next((heading for text in joined if (heading := first_heading(text))), None)


def _first_line(data: bytes) -> str | None:
    line = next((line.strip() for line in _text(data).splitlines() if line.strip()), "")
    return line if 0 < len(line) <= _LINE else None


def _pdf(data: bytes) -> str | None:
    import pypdfium2  # noqa: PLC0415 - only where there are PDFs

    try:
        with pypdfium2.PdfDocument(data) as document:
            return document.get_metadata_dict().get("Title")
    except (pypdfium2.PdfiumError, ValueError, OSError):
        return None


def _docx(data: bytes) -> str | None:
    from kurt.integrations.web.markup import plain_title  # noqa: PLC0415 - lxml only where there are such files

    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(_CORE) as core:
            return plain_title(core.read(_HEAD), _DUBLIN_TITLE)
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError):
        return None


_TITLES: dict[str, Callable[[bytes], str | None]] = {
    ".html": _html,
    ".htm": _html,
    ".ipynb": _notebook,
    ".txt": _first_line,
    ".pdf": _pdf,
    ".docx": _docx,
}

SUFFIXES = frozenset({".md", ".mdx", *_TITLES})
"""Ends of the names of files that are documents."""
