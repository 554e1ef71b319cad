"""What is known of one page by reading its Markdown."""

from __future__ import annotations

import re
import zlib
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kurt.content.identity import FILE, source_type_of

if TYPE_CHECKING:
    from kurt.db.models import Document

_WORD: Final = re.compile(r"\w+")
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_LINK: Final = re.compile(r"(?<!!)\[[^\]\[]*\]\(\s*(?:<([^<>\n]*)>|([^()\s<>]+))")
_TARGET: Final = re.compile(r"\]\([^()\n]*\)")
_SAID: Final = re.compile(
    r"\b(?:modified|updated|changed|reviewed|edited)\b[ :*_\[(]*(?:(?:on|at)\b)?[ :*_\[(]*"
    r"(\d{4}-\d\d-\d\d|\d{1,2}\.? [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d{1,2}, \d{4})",
    re.IGNORECASE,
)
_SPOKEN: Final = ("%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y")
_EDGE: Final = 1000
_SHINGLE: Final = 5
_PARAGRAPH: Final = 12


@dataclass(frozen=True, slots=True)
class Page:
    """One document, read.

    Attributes:
        id: its id.
        uri: its URI.
        title: its title, else the end of its URI.
        has_title: whether it has a title of its own.
        section: the folder or the first part of the path that it belongs to.
        content_hash: SHA-256 of its text.
        words: words outside of code.
        headings: how many it has.
        links: targets of its links, as they are written.
        shingles: hashes of all runs of five words, each once, in their order; packed, since there may be millions.
        paragraphs: its longer paragraphs, as one line each.
        dated: when it was published or last changed, None where nothing says so.
    """

    id: str
    uri: str
    title: str
    has_title: bool
    section: str
    content_hash: str
    words: int
    headings: int
    links: tuple[str, ...]
    shingles: array[int]
    paragraphs: tuple[str, ...]
    dated: datetime | None


def page_of(document: Document, markdown: str, changed: datetime | None = None) -> Page:
    """A document with its text as a page.

    Args:
        document: the document.
        markdown: its text.
        changed: when its file was last changed, for documents that say nothing themselves.
    """
    prose = _FENCE.sub("\n", markdown)
    return Page(
        id=document.id,
        uri=document.uri,
        title=document.title or document.uri.rstrip("/").rpartition("/")[2],
        has_title=bool(document.title),
        section=section_of(document.uri),
        content_hash=document.content_hash or "",
        words=len(_WORD.findall(_TARGET.sub("]", prose))),
        headings=len(_HEADING.findall(prose)),
        links=tuple(angled or plain for angled, plain in _LINK.findall(prose)),
        shingles=_shingles(markdown),
        paragraphs=tuple(_paragraphs(prose)),
        dated=_dated(document, markdown) or changed,
    )


def _dated(document: Document, markdown: str) -> datetime | None:
    """When the document was last changed: what it says itself, else when it was published, else what its server says."""
    said = _SAID.search(markdown[-_EDGE:]) or _SAID.search(markdown[:_EDGE])
    dates = [date_of(said[1] if said else None), date_of(document.published)]
    known = [date for date in dates if date is not None]
    return max(known) if known else date_of(document.last_modified)


def section_of(uri: str) -> str:
    """The part of a site or folder that a document belongs to: host and first folder, or the folder of a file."""
    if source_type_of(uri) == FILE:
        return uri.removeprefix("file:").removeprefix("//").rpartition("/")[0] or "."
    parts = urlsplit(uri)
    folders = [part for part in parts.path.split("/")[:-1] if part]
    return f"{parts.netloc}/{folders[0]}" if folders else parts.netloc


def date_of(text: str | None) -> datetime | None:
    """A date as documents and servers write them: ISO 8601, as exact as is known, in words, or that of HTTP."""
    if not text:
        return None
    whole = f"{text}-01-01"[: len("2026-01-01")] if re.fullmatch(r"\d{4}(-\d\d)?", text) else text
    try:
        found = datetime.fromisoformat(whole)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except ValueError:
            found = _spoken(text)
    if found is None:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _spoken(text: str) -> datetime | None:
    """A date with the English name of a month."""
    for form in _SPOKEN:
        try:
            return datetime.strptime(text.replace(".", ""), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _shingles(text: str) -> array[int]:
    words = [word.casefold() for word in _WORD.findall(text)]
    last = max(1, len(words) - _SHINGLE + 1) if words else 0
    runs = (" ".join(words[start : start + _SHINGLE]) for start in range(last))
    return array("I", sorted({zlib.crc32(run.encode("utf-8", "replace")) for run in runs}))


def _paragraphs(prose: str) -> list[str]:
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", prose))
    return [block for block in blocks if len(block.split()) >= _PARAGRAPH]
