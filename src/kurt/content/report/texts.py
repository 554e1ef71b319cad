"""The report in sections, each a heading, what it means, and a table: the same in Markdown and in HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kurt.content.report.duplicates import Pair
from kurt.content.report.findings import LONG, THIN, Findings
from kurt.content.report.links import Broken
from kurt.content.report.pages import Page

MOST: Final = 25
"""Rows of a table; what is left out is counted."""


_CONTAINED: Final = 3
_ALIKE: Final = 0.5


NOTHING: Final = (
    "There is no page whose text is here. Find some by `kurt content map`, get their texts by `kurt content fetch`, or"
    " choose others."
)
"""What stands in a report about nothing."""


@dataclass(frozen=True, slots=True)
class Link:
    """A title that leads to a document.

    Attributes:
        text: the title.
        uri: the document.
    """

    text: str
    uri: str


Cell = str | int | Link


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        heading: its heading.
        said: what it means and what to do, or that all is well.
        columns: headings of its table; empty where there is none.
        rows: the table.
        more: rows that were left out.
    """

    heading: str
    said: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    more: int = 0


def summary(found: Findings) -> list[tuple[str, int]]:
    """The numbers at the head of the report; those that ask for work come after the first three."""
    return [
        ("pages", len(found.pages)),
        ("words", found.words),
        ("words on a page (median)", found.median_words),
        ("pairs of near-duplicates", len(found.duplicates)),
        ("stale pages", len(found.stale)),
        ("links that lead nowhere", len(found.links.broken)),
        ("pages that nobody links to", len(found.links.orphans)),
        ("thin pages", len(found.thin)),
        ("documents that failed or are gone", len(found.failed)),
    ]


TOLD_IN: Final = {
    "pages": "All pages",
    "pairs of near-duplicates": "Near-duplicates",
    "stale pages": "Stale pages",
    "links that lead nowhere": "Links that lead nowhere",
    "pages that nobody links to": "Pages that nobody links to",
    "thin pages": "Thin and very long pages",
    "documents that failed or are gone": "Documents that failed or are gone",
}
"""Headings of the parts that tell more of the numbers."""


def sections(found: Findings) -> list[Section]:
    """The parts of the report, the most useful first."""
    return [
        _duplicates(found),
        _stale(found),
        _broken(found),
        _orphans(found),
        _repeated(found),
        _sizes(found),
        _structure(found),
        _failed(found),
    ]


def _link(page: Page) -> Link:
    return Link(page.title, page.uri)


def _table(heading: str, said: str, columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> Section:
    every = tuple(rows)
    return Section(heading, said, columns if every else (), every[:MOST], max(0, len(every) - MOST))


def _duplicates(found: Findings) -> Section:
    by = f" and vectors by {found.model}" if found.model else ""
    said = (
        f"Compared by runs of five words{by}. Merge them, or let one point to the other: readers and search engines see"
        " two answers."
        if found.duplicates
        else "No two pages share much of their wording."
    )
    parts = _containing(found.duplicates)
    rows: list[tuple[Cell, ...]] = [
        (_link(pair.first), _link(pair.second), _share(pair.alike), _share(pair.contained), _share(pair.near))
        for pair in found.duplicates
        if pair not in parts.get(pair.first.id, ())
    ]
    for pairs in parts.values():
        titles = ", ".join(pair.second.title for pair in pairs[:_CONTAINED])
        least = min(pair.contained for pair in pairs)
        told = f"{len(pairs):,} shorter pages, such as {titles}"
        rows.append((_link(pairs[0].first), told, "", f"{_share(least)} or more", ""))
    columns = ("page", "near-duplicate", "wording shared", "of the shorter one", "vectors")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return _table("Near-duplicates", said, columns, rows)


def _containing(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pages in which many shorter ones stand: an overview, a page for printing; told in one row each."""
    parts: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.alike < _ALIKE:
            parts.setdefault(pair.first.id, []).append(pair)
    return {identity: several for identity, several in parts.items() if len(several) > _CONTAINED}


def _stale(found: Findings) -> Section:
    undated = dict(found.ages).get("unknown", 0)
    note = f" {undated:,} pages carry no date." if undated else ""
    said = (
        f"Not changed for more than {found.stale_days:,} days, the oldest first. Check them, or say that they still hold.{note}"
        if found.stale
        else f"No page is older than {found.stale_days:,} days.{note}"
    )
    rows = [
        (_link(page), page.dated.date().isoformat(), (found.now - page.dated).days, page.words)
        for page in found.stale
        if page.dated is not None
    ]
    return _table("Stale pages", said, ("page", "last changed", "days ago", "words"), rows)


def _broken(found: Findings) -> Section:
    said = (
        "Links between documents whose target is not there. Links to other sites are not tried."
        if found.links.broken
        else f"All {found.links.internal:,} links between documents lead to one."
    )
    rows = [
        (
            broken[0].uri,
            broken[0].why,
            len(broken),
            ", ".join(dict.fromkeys(one.page.title for one in broken[:3])),
        )
        for broken in _by_target(found)
    ]
    return _table("Links that lead nowhere", said, ("target", "what is wrong", "links", "on"), rows)


def _by_target(found: Findings) -> list[list[Broken]]:
    """Broken links with the same target together, the most wanted first."""
    targets: dict[str, list[Broken]] = {}
    for broken in found.links.broken:
        targets.setdefault(broken.uri, []).append(broken)
    return sorted(targets.values(), key=lambda links: (-len(links), links[0].uri))


def _orphans(found: Findings) -> Section:
    said = (
        "No other page links to them, so readers only find them by search."
        if found.links.orphans
        else "Every page is linked from another one."
        if found.links.internal
        else "Pages do not link to each other."
    )
    rows = [(_link(page), page.words) for page in found.links.orphans]
    return _table("Pages that nobody links to", said, ("page", "words"), rows)


def _repeated(found: Findings) -> Section:
    said = (
        "Paragraphs on three pages or more. Keep each in one place, and link to it."
        if found.repeated
        else "No longer paragraph stands on three pages."
    )
    rows = [
        (_short(repeated.text), len(repeated.pages), ", ".join(page.title for page in repeated.pages[:3]))
        for repeated in found.repeated
    ]
    return _table("Repeated paragraphs", said, ("paragraph", "pages", "such as"), rows)


def _sizes(found: Findings) -> Section:
    said = (
        f"Fewer than {THIN} words say little, more than {LONG:,} are hard to take in."
        if found.thin or found.long
        else f"All pages have between {THIN} and {LONG:,} words."
    )
    rows = [(_link(page), page.words, "thin") for page in found.thin]
    rows += [(_link(page), page.words, "very long") for page in found.long]
    return _table("Thin and very long pages", said, ("page", "words", ""), rows)


def _structure(found: Findings) -> Section:
    rows = [(_link(page), "has no title") for page in found.untitled]
    rows += [(_link(page), f"has {page.words:,} words and no heading") for page in found.unstructured]
    said = (
        "Readers and search engines go by titles and headings."
        if rows
        else "All pages have titles and headings."
    )
    return _table("Titles and headings", said, ("page", ""), rows)


def _failed(found: Findings) -> Section:
    rows = [
        (Link(document.title or document.uri, document.uri), document.state, document.error or "")
        for document in found.failed
    ]
    said = "They are not in this report." if rows else "Every document could be fetched."
    return _table("Documents that failed or are gone", said, ("document", "state", "why"), rows)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _short(text: str, width: int = 120) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def page_rows(pages: Sequence[Page]) -> Section:
    """All pages, as the last part of the report."""
    rows = tuple(
        (_link(page), page.words, page.headings, page.dated.date().isoformat() if page.dated else "")
        for page in pages[:1000]
    )
    more = max(0, len(pages) - len(rows))
    return Section("All pages", "", ("page", "words", "headings", "last changed") if rows else (), rows, more)
