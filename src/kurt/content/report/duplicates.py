"""Pages that say the same, and paragraphs that stand on many pages."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kurt.content.report.pages import Page

_SAMPLE: Final = 4
_FIRST: Final = 16
_COMMON: Final = 50
_SHARED: Final = 2
_ALIKE: Final = 0.5
_CONTAINED: Final = 0.8
_NEAR: Final = 0.9
_NEAR_ALIKE: Final = 0.25
_COMPARED: Final = 600
_FEWEST_WORDS: Final = 20
_REPEATED: Final = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pages that say the same, or nearly.

    Attributes:
        first: the longer one.
        second: the other.
        alike: which part of all runs of five words both have, 0 to 1.
        contained: which part of the shorter one stands in the longer one.
        near: cosine of their vectors, None where they have none.
    """

    first: Page
    second: Page
    alike: float
    contained: float
    near: float | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """A paragraph that stands on many pages.

    Attributes:
        text: the paragraph.
        pages: the pages.
    """

    text: str
    pages: tuple[Page, ...]


def near_duplicates(pages: Sequence[Page], vectors: Mapping[str, Sequence[float]]) -> list[Pair]:
    """Pairs of pages that share much of their wording, the most alike first.

    Args:
        pages: all pages.
        vectors: of length 1, by content hash; those that are near are compared word by word too.
    """
    long = [page for page in pages if page.words >= _FEWEST_WORDS]
    candidates = _sharing(long) | _near(long, vectors)
    pairs = [_compared(long[one], long[other], vectors) for one, other in sorted(candidates)]
    found = [pair for pair in pairs if _is_duplicate(pair)]
    return sorted(found, key=lambda pair: (-pair.alike, -pair.contained, pair.first.uri, pair.second.uri))


def repeated_paragraphs(pages: Iterable[Page]) -> list[Repeated]:
    """Paragraphs that stand on at least three pages, the most frequent first."""
    places: dict[str, dict[str, Page]] = defaultdict(dict)
    for page in pages:
        for paragraph in page.paragraphs:
            places[paragraph][page.id] = page
    found = [
        Repeated(text, tuple(where.values())) for text, where in places.items() if len(where) >= _REPEATED
    ]
    return sorted(found, key=lambda repeated: (-len(repeated.pages), repeated.text))


def _sharing(pages: Sequence[Page]) -> set[tuple[int, int]]:
    """Pairs that have rare runs of words in common, by a sample of them."""
    places: dict[int, list[int]] = defaultdict(list)
    for number, page in enumerate(pages):
        sample = {shingle for shingle in page.shingles if shingle % _SAMPLE == 0}
        for shingle in sample.union(page.shingles[:_FIRST]):
            places[shingle].append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for numbers in places.values():
        if 1 < len(numbers) <= _COMMON:
            shared.update(itertools.combinations(numbers, 2))
    return {pair for pair, count in shared.items() if count >= _SHARED}


def _near(pages: Sequence[Page], vectors: Mapping[str, Sequence[float]]) -> set[tuple[int, int]]:
    """Pairs whose vectors are near; of many pages there are too many pairs."""
    known = [
        (number, vectors[page.content_hash])
        for number, page in enumerate(pages)
        if page.content_hash in vectors
    ]
    if len(known) > _COMPARED:
        return set()
    pairs = itertools.combinations(known, 2)
    return {(one[0], other[0]) for one, other in pairs if _cosine(one[1], other[1]) >= _NEAR}


def _compared(one: Page, other: Page, vectors: Mapping[str, Sequence[float]]) -> Pair:
    both = len(set(one.shingles).intersection(other.shingles))
    first, second = (one, other) if one.words >= other.words else (other, one)
    near = None
    if one.content_hash in vectors and other.content_hash in vectors:
        near = _cosine(vectors[one.content_hash], vectors[other.content_hash])
    shortest = min(len(one.shingles), len(other.shingles))
    return Pair(first, second, both / (len(one.shingles) + len(other.shingles) - both), both / shortest, near)


def _is_duplicate(pair: Pair) -> bool:
    if pair.alike >= _ALIKE or pair.contained >= _CONTAINED:
        return True
    return pair.near is not None and pair.near >= _NEAR and pair.alike >= _NEAR_ALIKE


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(mul, one, other)) if len(one) == len(other) else 0.0
