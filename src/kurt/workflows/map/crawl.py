"""Following the links of a site, a batch of pages at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from kurt.integrations.web.client import Limits, Reply, WebClient
from kurt.integrations.web.errors import RobotsRefusedError, WebError
from kurt.integrations.web.links import is_asset, page_links
from kurt.integrations.web.politeness import origin_of
from kurt.integrations.web.robots import RobotsCache

from .config import CRAWL_PAGES
from .frontier import visits_for
from .scope import scope_of

if TYPE_CHECKING:
    from kurt.types import JsonObject

    from .config import MapConfig

PAGE_BYTES = 10_000_000
"""Bytes of a page that is read for its links."""

_HTML = frozenset({"text/html", "application/xhtml+xml", ""})
_TEXTS = frozenset({"text/plain", "text/markdown", "application/pdf"})
_UNREAD = (".pdf", ".docx")
"""Documents that have no links worth their size."""


@dataclass(frozen=True, slots=True)
class _Web:
    """What is kept between batches; it belongs to one event loop.

    Attributes:
        client: asks for pages.
        robots: says which of them may be asked for; None where nobody minds.
    """

    client: WebClient
    robots: RobotsCache | None

    async def allows(self, url: str) -> bool:
        """Whether a page may be asked for; a site whose robots.txt cannot be read does not say so."""
        try:
            return self.robots is None or await self.robots.allowed(url)
        except WebError:
            return False


class Crawler:
    """Fetches pages and says what they lead to; keeps connections, robots.txt and politeness between batches.

    It belongs to the thread that uses it, and opens nothing before its first batch: a resumed run may need none.

    Args:
        config: what is searched.
        starts: addresses that the site has.
        delay: seconds between two requests that the site asks for; it counts from now on, since something else has asked
            the site a moment ago.
    """

    def __init__(self, config: MapConfig, starts: Sequence[str], *, delay: float = 0.0) -> None:
        self._config = config
        self._delay = delay
        self._origins = {origin_of(start) for start in starts}
        self._scope = scope_of(config, starts)
        self._runner: asyncio.Runner | None = None
        self._web: _Web | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._runner is not None:
            if self._web is not None:
                self._runner.run(self._web.client.close())
            self._runner.close()

    def visit(
        self, batch: Sequence[Sequence[Any]], seen: Collection[str], *, follow: bool
    ) -> list[JsonObject]:
        """Fetch pages.

        Args:
            batch: addresses with their depths.
            seen: addresses that are known already.
            follow: whether their links are of interest.

        Returns:
            for each page of the site, in order: `url` (after redirects), `depth`, `document`, `title`, `error`, and in
            `links` the addresses that are wanted and not known.
        """
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._visit_all(batch, seen, follow))

    async def _visit_all(
        self, batch: Sequence[Sequence[Any]], seen: Collection[str], follow: bool
    ) -> list[JsonObject]:
        web = self._open()
        visited = await asyncio.gather(*(self._visit(web, url, depth, follow) for url, depth in batch))
        pages = [page for page in visited if page is not None]
        known = {page["url"] for page in pages}
        room = visits_for(self._config.max_pages or CRAWL_PAGES)  # more will never be asked for
        for page in pages:
            fresh = [link for link in page.pop("links", ()) if link not in seen and link not in known][:room]
            known.update(fresh)
            room -= len(fresh)
            page["links"] = [link for link in fresh if await web.allows(link)]
        return pages

    def _open(self) -> _Web:
        if self._web is None:
            client = WebClient(allow_private=self._config.allow_private, limits=Limits(body=PAGE_BYTES))
            for origin in self._origins if self._delay else ():
                client.politeness.set_delay(origin, self._delay)
                client.politeness.pause(origin, self._delay)
            self._web = _Web(client, RobotsCache(client) if self._config.respect_robots else None)
        return self._web

    async def _visit(self, web: _Web, url: str, depth: int, follow: bool) -> JsonObject | None:
        """What a page is, None where it is none of the site's."""
        if depth and url.lower().endswith(_UNREAD):
            return {"url": url, "depth": depth, "document": True}
        try:
            reply = await web.client.get(url, rules=web.robots)
        except RobotsRefusedError:  # it was redirected to such a page
            return None
        except WebError as error:
            return {"url": url, "depth": depth, "error": error.message}
        if not reply.ok:
            return {"url": url, "depth": depth, "error": f"it was answered with {reply.status}"}
        return await asyncio.to_thread(self._read, reply, depth, follow)

    def _read(self, reply: Reply, depth: int, follow: bool) -> JsonObject | None:
        home = self._scope.canonical(reply.url)
        if home is None:  # it was redirected out of the site
            return None
        page: JsonObject = {"url": home, "depth": depth, "document": self._scope.wanted(home) is not None}
        if reply.content_type in _TEXTS:
            return page
        if reply.content_type not in _HTML:
            return {**page, "document": False}
        head = page_links(reply.body, url=reply.url, charset=reply.charset)
        page["title"] = head.title
        if follow and not (head.nofollow and self._config.respect_robots):
            wanted = (self._scope.wanted(link) for link in head.links if not is_asset(link))
            page["links"] = list(dict.fromkeys(link for link in wanted if link is not None))
        return page
