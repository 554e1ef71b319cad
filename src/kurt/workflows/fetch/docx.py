"""Texts of Word files."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from lxml import etree, html  # pyright: ignore[reportAttributeAccessIssue] - the stubs do not know lxml's C parts

from kurt.content.markdown import clean, first_heading
from kurt.errors import DataError, UsageError

from . import rendering, subtrees

LARGEST = 200_000_000
"""Bytes of a file's parts after decompression."""

_CORE = "docProps/core.xml"
_DUBLIN = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_DAY = len("2026-01-02")


def read_docx(data: bytes, url: str) -> dict[str, Any]:
    """Read a Word file as Markdown that keeps headings, lists, tables and links, and what the file says about itself.

    Pictures are left out; nothing outside of the file is read.

    Args:
        data: the file.
        url: its address, for relative links.

    Raises:
        UsageError: the library that reads such files is not installed.
        DataError: it is damaged, locked, or larger than such files are.
    """
    facts = _facts(data)
    fragment = _html(data)
    markdown = clean(_rendered(fragment, url)) if fragment.strip() else ""
    return {**facts, "markdown": markdown, "title": facts.get("title") or first_heading(markdown)}


def _facts(data: bytes) -> dict[str, str | None]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) > LARGEST:
                raise DataError(f"the Word file has more than {LARGEST} bytes after decompression")
            core = archive.read(_CORE) if _CORE in archive.namelist() else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise _unreadable(error) from error
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    try:
        root = etree.fromstring(core, parser)
    except (etree.LxmlError, ValueError):
        return {}
    found = {
        "title": root.findtext(f"{_DUBLIN}title"),
        "author": root.findtext(f"{_DUBLIN}creator"),
        "language": root.findtext(f"{_DUBLIN}language"),
        "published": (root.findtext(f"{_TERMS}created") or "")[:_DAY],
        "description": root.findtext(f"{_DUBLIN}description"),
    }
    return {name: " ".join((value or "").split()) or None for name, value in found.items()}


def _html(data: bytes) -> str:
    try:
        import mammoth  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs] - an extra, and it has no types
    except ImportError:
        raise UsageError(
            "Word files need a library that is not installed", hint="pip install 'kurt[office]'"
        ) from None
    pictures = mammoth.images.img_element(lambda _: {})  # a picture would become a text of its bytes
    try:
        return str(mammoth.convert_to_html(io.BytesIO(data), convert_image=pictures).value)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> DataError:
    return DataError(
        f"the Word file cannot be read: {error or type(error).__name__}",
        hint="damage, a password, or the older format .doc; open it and save it as .docx",
    )


def _rendered(fragment: str, url: str) -> str:
    part = html.fromstring(f"<div>{fragment}</div>")
    for row in part.iterfind(".//table/tr[1]"):  # Word knows no heads of tables, Markdown no tables without
        for cell in row.iterfind("td"):
            cell.tag = "th"
    subtrees.prune(part)
    rendering.settle_links(part, url)
    return rendering.render(part, url)
