"""Texts of PDF files."""

from __future__ import annotations

import re
from typing import Any

import pypdfium2 as pdfium

from kurt.content.markdown import clean
from kurt.errors import DataError

MOST_PAGES = 2000
"""Pages of a file that are read."""

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
_HYPHEN = re.compile(r"(?<=\w)[\u00ad\ufffe]\n?(?=\w)")


def read_pdf(data: bytes) -> dict[str, Any]:
    """Read the text of a PDF, page by page, and what it says about itself.

    Raises:
        DataError: it is damaged, locked, or has no text, such as scanned pages.
    """
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        raise DataError(
            f"the PDF cannot be read: {error}", hint="a password or damage; open it to see"
        ) from error
    try:
        pages = [_page(document, number) for number in range(min(len(document), MOST_PAGES))]
        facts = document.get_metadata_dict()
    finally:
        document.close()
    markdown = clean("\n\n".join(text for text in pages if text))
    if not markdown.strip():
        raise DataError(
            "the PDF has no text, only pictures", hint="recognise its text first, for example by ocrmypdf"
        )
    return {
        "markdown": markdown,
        "title": _fact(facts, "Title") or _first_line(markdown),
        "author": _fact(facts, "Author"),
        "published": _day(facts.get("CreationDate", "")),
    }


def _page(document: pdfium.PdfDocument, number: int) -> str:
    page = document[number]
    try:
        text = page.get_textpage()
        try:
            found = str(text.get_text_bounded())
        finally:
            text.close()
    finally:
        page.close()
    lines = [line.rstrip() for line in _HYPHEN.sub("", found.replace("\r\n", "\n")).split("\n")]
    return "\n".join(lines).strip()


def _fact(facts: dict[str, str], name: str) -> str | None:
    return " ".join(facts.get(name, "").split()) or None


def _first_line(text: str) -> str | None:
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), None)


def _day(text: str) -> str | None:
    found = _DATE.match(text)
    return "-".join(part for part in found.groups() if part) if found else None
