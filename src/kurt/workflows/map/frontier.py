"""The frontier of a crawl: which pages are to be fetched next. Pure: a resumed run builds it again from stored steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from kurt.types import JsonObject

from .config import CRAWL_DEPTH, CRAWL_PAGES, MapConfig

BATCH = 40
"""Pages of one step: what a crash repeats at most."""


def visits_for(max_pages: int) -> int:
    """How many addresses are asked for at most to find so many documents: a site may be full of dead links."""
    return 4 * max_pages + 200


Visit = Callable[[list[list[str | int]], bool], Sequence[JsonObject]]
"""Fetches the pages of a batch; is told whether their links are of interest."""


class Frontier:
    """Pages by their distance from the start, the nearest first.

    Args:
        seeds: where to begin.
        max_depth: links between the start and the farthest page.
        max_pages: documents that are found at most.

    Attributes:
        seen: addresses that were queued, so that none is fetched twice.
        rows: the documents, and the addresses that gave none, in the order in which they were found.
        documents: how many of them are documents.
    """

    def __init__(self, seeds: Sequence[str], *, max_depth: int, max_pages: int) -> None:
        self._waiting: deque[tuple[str, int]] = deque((seed, 0) for seed in dict.fromkeys(seeds))
        self._max_depth = max_depth
        self._max_pages = max_pages
        self._known: set[str] = set()
        self._visits = visits_for(max_pages)
        self.seen: set[str] = set(seeds)
        self.rows: list[JsonObject] = []
        self.documents = 0

    @property
    def truncated(self) -> bool:
        """Whether pages were left out because there are enough."""
        return bool(self._waiting) and (self.documents >= self._max_pages or self._visits <= 0)

    def next_batch(self) -> list[list[str | int]]:
        """The next addresses with their depths, all of one depth; none when the crawl is over."""
        room = min(BATCH, self._max_pages - self.documents, self._visits)
        batch: list[list[str | int]] = []
        while self._waiting and len(batch) < room and (not batch or self._waiting[0][1] == batch[0][1]):
            batch.append(list(self._waiting.popleft()))
        self._visits -= len(batch)
        return batch

    def follows(self, depth: int) -> bool:
        """Whether links of pages of this depth are followed."""
        return depth < self._max_depth

    def take(self, pages: Sequence[JsonObject]) -> None:
        """Take over what a batch found.

        Args:
            pages: each with `url`, `depth` and `links`, and if it is one a `document` or an `error`.
        """
        for page in pages:
            self.seen.add(page["url"])
            if page.get("error"):
                self.rows.append({"uri": page["url"], "error": page["error"], "depth": page["depth"]})
            elif page.get("document") and page["url"] not in self._known:
                self._known.add(page["url"])
                self.documents += 1
                self.rows.append({"uri": page["url"], "title": page.get("title"), "depth": page["depth"]})
            for link in page.get("links", ()):
                if link not in self.seen:
                    self.seen.add(link)
                    self._waiting.append((link, page["depth"] + 1))


def follow(frontier: Frontier, visit: Visit) -> None:
    """Crawl until the frontier is empty or there are enough documents.

    Args:
        frontier: where to begin.
        visit: fetches a batch.
    """
    while batch := frontier.next_batch():
        frontier.take(visit(batch, frontier.follows(int(batch[0][1]))))


def frontier_of(config: MapConfig, found: JsonObject) -> Frontier:
    """Where a crawl begins.

    Args:
        config: what is searched.
        found: what `discover_from_url` gave without crawling.
    """
    return Frontier(
        [page["url"] for page in found["discovered"]],
        max_depth=CRAWL_DEPTH if config.max_depth is None else config.max_depth,
        max_pages=config.max_pages or CRAWL_PAGES,
    )


def starts_of(config: MapConfig, found: JsonObject) -> list[str]:
    """Addresses of the site: the one that the user gave, and where it leads to."""
    return [str(config.source_url), *(page["url"] for page in found["discovered"])]
