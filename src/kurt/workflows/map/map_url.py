"""Pages of a site: by what the site itself lists, in the order in which sites mean it, else by its links."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from kurt.content.identity import canonical_url
from kurt.errors import DataError, NotFoundError
from kurt.integrations.web.client import Limits, Reply, WebClient
from kurt.integrations.web.errors import RobotsRefusedError, WebError
from kurt.integrations.web.feeds import ROOTS as FEED_ROOTS
from kurt.integrations.web.feeds import parse_feed
from kurt.integrations.web.links import is_asset, page_links
from kurt.integrations.web.llms_txt import parse_llms_txt
from kurt.integrations.web.markup import MAX_BYTES, plain, root_name
from kurt.integrations.web.robots import RobotsCache
from kurt.integrations.web.sitemaps import Entry, Found, read_sitemaps

from .config import MapConfig
from .crawl import Crawler
from .frontier import follow, frontier_of, starts_of
from .scope import Scope, scope_of

if TYPE_CHECKING:
    from kurt.types import JsonObject

_SITEMAPS = (
    *("sitemap.xml", "sitemap_index.xml", "sitemap-index.xml", "sitemap.xml.gz", "wp-sitemap.xml"),
    "sitemap.txt",
)
_FEEDS = ("feed", "feed.xml", "rss.xml", "atom.xml", "index.xml", "rss")
_LLMS_TXT = ("llms.txt",)
_XML = "application/xml,text/xml,application/rss+xml,application/atom+xml,text/plain,*/*;q=0.5"


@dataclass(slots=True)
class _Site:
    """A site that is searched.

    Attributes:
        config: how.
        client: asks it.
        robots: its robots.txt.
        home: the address that the user gave, after redirects.
        reply: what is there; None where its robots.txt does not let us see it.
        scope: which addresses belong to it.
        errors: what went wrong, by address.
    """

    config: MapConfig
    client: WebClient
    robots: RobotsCache
    home: str
    reply: Reply | None
    scope: Scope
    errors: dict[str, str] = field(default_factory=dict[str, str])

    async def get(self, url: str) -> bytes:
        """The body behind an address."""
        return (await self.client.get(url, accept=_XML)).check().body

    def guesses(self, names: Iterable[str]) -> list[str]:
        """Where files of these names may be: beside the address that the user gave, and at the site's root."""
        return list(dict.fromkeys(urljoin(self.home, base + name) for base in ("", "/") for name in names))

    @property
    def root_name(self) -> str:
        """The name of the first element of what is at the address that the user gave."""
        if self.reply is None or not self.reply.ok:
            return ""
        try:
            return root_name(plain(self.reply.body))
        except DataError:
            return ""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a list says.

    Attributes:
        entries: pages.
        truncated: there are more.
    """

    entries: Sequence[Entry]
    truncated: bool = False


def discover(config: MapConfig, *, crawl: bool) -> JsonObject:
    """Find the pages of a site; see `steps.discover_from_url`."""

    def work() -> JsonObject:
        found = asyncio.run(_discover(config))
        return _crawled(config, found) if crawl and found["method"] == "crawl" else found

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as thread:  # called from a coroutine, such as in a notebook
        return thread.submit(work).result()


async def _discover(config: MapConfig) -> JsonObject:
    async with WebClient(allow_private=config.allow_private, limits=Limits(body=MAX_BYTES)) as client:
        site = await _open(config, client)
        method, listing = await _list(site)
        if listing is None:
            return {**_start_of_crawl(site), "delay": await _delay(site)}
        discovered, truncated = await _wanted(site, listing)
    return {
        "discovered": discovered,
        "method": method,
        "total": len(discovered),
        "errors": [{"url": url, "error": error} for url, error in site.errors.items()],
        "truncated": truncated,
    }


async def _open(config: MapConfig, client: WebClient) -> _Site:
    """Look at the address that the user gave: what does not answer has no pages.

    Raises:
        DataError: it is no address.
        WebError: the site cannot be reached.
    """
    start = canonical_url(str(config.source_url))
    robots = RobotsCache(client)
    reply: Reply | None = None
    try:
        reply = await client.get(start, rules=robots if config.respect_robots else None)
    except RobotsRefusedError:
        if config.discovery_method == "crawl":
            raise
    home = start if reply is None else reply.url
    return _Site(config, client, robots, home, reply, scope_of(config, (start, home)))


async def _list(site: _Site) -> tuple[str, _Listing | None]:
    """The first list that the site has, and by which method; none where links are to be followed.

    Raises:
        NotFoundError: the user wants one method only, and there is no such list.
    """
    wanted = site.config.discovery_method
    if wanted == "crawl":
        return wanted, None
    for method in _METHODS if wanted == "auto" else (wanted,):
        listing = await _METHODS[method](site)
        if listing is not None and any(site.scope.belongs(entry.url) for entry in listing.entries):
            return method, listing
    if wanted == "auto":
        return wanted, None
    why = "".join(f": {error}" for error in list(site.errors.values())[:1])
    raise NotFoundError(
        f"{site.home} has no {wanted} that lists its pages{why}",
        hint="leave the method to Kurt (discovery_method: auto), or follow links: --method crawl",
    )


async def _sitemap(site: _Site) -> _Listing | None:
    if site.config.sitemap_path is not None:
        return await _read(site, [urljoin(site.home, site.config.sitemap_path)])
    if site.root_name in {"urlset", "sitemapindex"}:
        return await _read(site, [site.home])
    try:
        named = await site.robots.sitemaps(site.home)
    except ValueError as error:  # an address in it that cannot be
        site.errors[urljoin(site.home, "/robots.txt")] = str(error)
        named = []
    if named and (listing := await _read(site, named)) is not None:
        return listing
    for url in site.guesses(_SITEMAPS):
        found = await read_sitemaps(site.get, [url])
        if found.files:
            return _taken(site, found)
    return None


async def _read(site: _Site, urls: Sequence[str]) -> _Listing | None:
    """What sitemaps say that the site or the user names."""
    return _taken(site, await read_sitemaps(site.get, urls))


def _taken(site: _Site, found: Found) -> _Listing | None:
    site.errors.update(found.errors)
    return _Listing(list(found.entries.values()), found.truncated) if found.entries else None


async def _feed(site: _Site) -> _Listing | None:
    if site.reply is not None and site.root_name in FEED_ROOTS:
        return _of_feed(site.reply.body, site.home)
    named: list[str] = []
    if site.reply is not None and site.reply.ok:
        named = page_links(site.reply.body, url=site.home, charset=site.reply.charset).feeds
    entries: dict[str, Entry] = {}
    for url in named:
        try:
            entries.update((entry.url, entry) for entry in _of_feed(await site.get(url), url).entries)
        except (WebError, DataError) as error:
            site.errors[url] = error.message
    if entries:
        return _Listing(list(entries.values()))
    return await _guessed(site, _FEEDS, _of_feed)


def _of_feed(body: bytes, url: str) -> _Listing:
    return _Listing([Entry(item.url, item.published, item.title) for item in parse_feed(body, url=url)])


async def _llms_txt(site: _Site) -> _Listing | None:
    if site.reply is not None and site.reply.ok and site.home.endswith(".txt"):
        return _of_llms_txt(site.reply.body, site.home)
    return await _guessed(site, _LLMS_TXT, _of_llms_txt)


def _of_llms_txt(body: bytes, url: str) -> _Listing:
    return _Listing([Entry(link.url, None, link.title) for link in parse_llms_txt(body, url=url)])


async def _guessed(
    site: _Site, names: Sequence[str], parse: Callable[[bytes, str], _Listing]
) -> _Listing | None:
    """The first list that lies where such lists usually lie."""
    for url in site.guesses(names):
        try:
            listing = parse(await site.get(url), url)
        except (WebError, DataError):  # there is none here
            continue
        if listing.entries:
            return listing
    return None


_METHODS: dict[str, Callable[[_Site], Awaitable[_Listing | None]]] = {
    "sitemap": _sitemap,
    "feed": _feed,
    "llms_txt": _llms_txt,
}
"""Kinds of lists, in the order in which they are tried."""


async def _wanted(site: _Site, listing: _Listing) -> tuple[list[JsonObject], bool]:
    """The pages of a list that belong to the site, are wanted and may be asked for, each once; whether there are more."""
    found: dict[str, JsonObject] = {}
    limit = site.config.max_pages
    for entry in listing.entries:
        url = site.scope.wanted(entry.url)
        if url is None or url in found or is_asset(url):
            continue
        if site.config.respect_robots and not await _is_allowed(site, url):
            continue
        if limit is not None and len(found) >= limit:
            return list(found.values()), True
        more: dict[str, Any] = {} if entry.lastmod is None else {"lastmod": entry.lastmod}
        found[url] = {"url": url, "title": entry.title, **more}
    return list(found.values()), listing.truncated


async def _is_allowed(site: _Site, url: str) -> bool:
    """Whether a page may be asked for; a host whose robots.txt cannot be read is left out, once with an error."""
    try:
        return await site.robots.allowed(url)
    except WebError as error:
        site.errors.setdefault(urljoin(url, "/robots.txt"), error.message)
        return False


async def _delay(site: _Site) -> float:
    """Seconds between two requests that the site asks for."""
    return await site.robots.delay(site.home) if site.config.respect_robots else 0.0


def _start_of_crawl(site: _Site) -> JsonObject:
    """Where links are followed from.

    Raises:
        WebError: there is nothing to follow.
    """
    if site.reply is None:
        raise RobotsRefusedError(
            f"the robots.txt of the site does not allow {site.home}, and nothing lists its pages",
            url=site.home,
            hint="add --ignore-robots (respect_robots: false) if the site is yours",
        )
    site.reply.check()
    home = canonical_url(site.home)
    return {
        "discovered": [{"url": home, "title": None}],
        "method": "crawl",
        "total": 0,
        "errors": [{"url": url, "error": error} for url, error in site.errors.items()],
        "truncated": False,
    }


def _crawled(config: MapConfig, found: JsonObject) -> JsonObject:
    """What `discover` gives after following links in this process, without a run that could be resumed."""
    frontier = frontier_of(config, found)
    with Crawler(config, starts_of(config, found), delay=found["delay"]) as crawler:
        follow(frontier, lambda batch, deeper: crawler.visit(batch, frontier.seen, follow=deeper))
    pages = [row for row in frontier.rows if not row.get("error")]
    return {
        **found,
        "discovered": [{"url": row["uri"], "title": row["title"], "depth": row["depth"]} for row in pages],
        "total": len(pages),
        "errors": found["errors"]
        + [{"url": row["uri"], "error": row["error"]} for row in frontier.rows if row.get("error")],
        "truncated": frontier.truncated,
    }
