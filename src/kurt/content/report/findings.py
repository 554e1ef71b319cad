"""All that a report tells, as values; how it looks is another matter."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from kurt.content.report.duplicates import Pair, Repeated, near_duplicates, repeated_paragraphs
from kurt.content.report.links import Links, follow
from kurt.content.rows import ERROR, GONE

if TYPE_CHECKING:
    from kurt.content.report.pages import Page
    from kurt.db.models import Document

THIN: Final = 80
"""Words below which a page says little."""

LONG: Final = 4000
"""Words above which a page is hard to take in."""

_NEEDS_HEADINGS: Final = 400
_AGES: Final = (
    ("< 1 month", 30),
    ("< 3 months", 91),
    ("< 1 year", 365),
    ("< 2 years", 730),
    ("older", 10**6),
)
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made of.

    Attributes:
        documents: all documents that are meant.
        pages: those of them whose text is here, read.
        vectors: of length 1, by content hash.
        model: what made the vectors.
        exists: whether there is a file, by its URI.
        now: the time of the report.
        stale_days: days after which a page counts as stale.
    """

    documents: Sequence[Document]
    pages: Sequence[Page]
    vectors: Mapping[str, Sequence[float]]
    model: str | None
    exists: Callable[[str], bool]
    now: datetime
    stale_days: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report tells.

    Attributes:
        now: the time of the report.
        stale_days: days after which a page counts as stale.
        model: what made the vectors that were compared.
        documents: how many documents there are.
        states: how many there are in each state.
        pages: those whose text is here, by section and URI.
        sections: section, pages and words of each, the most words first.
        ages: how many pages are how old, from young to old.
        duplicates: pages that say the same, or nearly.
        repeated: paragraphs on many pages.
        stale: pages that have not changed for long, the oldest first.
        thin: pages with little text.
        long: pages with very much.
        unstructured: longer pages without headings.
        untitled: pages without a title.
        links: where links lead.
        failed: documents that could not be fetched, or are gone.
    """

    now: datetime
    stale_days: int
    model: str | None
    documents: int
    states: dict[str, int]
    pages: list[Page]
    sections: list[tuple[str, int, int]]
    ages: list[tuple[str, int]]
    duplicates: list[Pair]
    repeated: list[Repeated]
    stale: list[Page]
    thin: list[Page]
    long: list[Page]
    unstructured: list[Page]
    untitled: list[Page]
    links: Links
    failed: list[Document] = field(default_factory=list["Document"])

    @property
    def words(self) -> int:
        """Words of all pages."""
        return sum(page.words for page in self.pages)

    @property
    def median_words(self) -> int:
        """Words of a page in the middle."""
        return round(statistics.median(page.words for page in self.pages)) if self.pages else 0

    def to_json(self) -> dict[str, Any]:
        """The numbers of the report."""
        return {
            "documents": self.documents,
            "pages": len(self.pages),
            "words": self.words,
            "near_duplicates": len(self.duplicates),
            "repeated_paragraphs": len(self.repeated),
            "stale": len(self.stale),
            "undated": dict(self.ages).get(_UNKNOWN, 0),
            "thin": len(self.thin),
            "long": len(self.long),
            "without_headings": len(self.unstructured),
            "without_title": len(self.untitled),
            "broken_links": len(self.links.broken),
            "orphans": len(self.links.orphans),
            "failed": len(self.failed),
        }


def findings(material: Material) -> Findings:
    """Look at all pages."""
    pages = sorted(material.pages, key=lambda page: (page.section, page.uri))
    states = {document.uri: document.state for document in material.documents}
    before = material.now - timedelta(days=material.stale_days)
    stale = [page for page in pages if page.dated is not None and page.dated < before]
    return Findings(
        now=material.now,
        stale_days=material.stale_days,
        model=material.model,
        documents=len(material.documents),
        states=dict(Counter(states.values())),
        pages=pages,
        sections=_sections(pages),
        ages=_ages(pages, material.now),
        duplicates=near_duplicates(pages, material.vectors),
        repeated=repeated_paragraphs(pages),
        stale=sorted(stale, key=lambda page: (page.dated or before, page.uri)),
        thin=sorted((page for page in pages if page.words < THIN), key=lambda page: (page.words, page.uri)),
        long=sorted((page for page in pages if page.words > LONG), key=lambda page: (-page.words, page.uri)),
        unstructured=[page for page in pages if page.words >= _NEEDS_HEADINGS and not page.headings],
        untitled=[page for page in pages if not page.has_title],
        links=follow(pages, states, material.exists),
        failed=[document for document in material.documents if document.state in {ERROR, GONE}],
    )


def _sections(pages: Sequence[Page]) -> list[tuple[str, int, int]]:
    count: Counter[str] = Counter(page.section for page in pages)
    words: Counter[str] = Counter()
    for page in pages:
        words[page.section] += page.words
    names = short_names(list(count))
    return sorted(
        ((names[section], count[section], words[section]) for section in count),
        key=lambda row: (-row[2], row[0]),
    )


def short_names(sections: Sequence[str]) -> dict[str, str]:
    """Names of folders outside of the project without what all of them begin with."""
    outside = [section for section in sections if section.startswith("/")]
    common = os.path.commonpath(outside) if outside else ""
    base = str(PurePosixPath(common).parent) if common in outside else common
    return {
        section: section.removeprefix(base).lstrip("/") if section in outside else section
        for section in sections
    }


def _ages(pages: Sequence[Page], now: datetime) -> list[tuple[str, int]]:
    counts = dict.fromkeys((*(name for name, _ in _AGES), _UNKNOWN), 0)
    for page in pages:
        if page.dated is None:
            counts[_UNKNOWN] += 1
            continue
        days = (now - page.dated).days
        counts[next(name for name, most in _AGES if days < most)] += 1
    return list(counts.items())
