"""Sitemaps: XML, text and feeds, compressed or not, and indexes of sitemaps of any nesting within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from kurt.errors import DataError, KurtError
from kurt.integrations.web.feeds import ROOTS as FEED_ROOTS
from kurt.integrations.web.feeds import parse_feed
from kurt.integrations.web.markup import absolute, child_text, plain, root_name, xml_elements

Get = Callable[[str], Awaitable[bytes]]
"""Fetches an address; its body."""

MAX_ENTRIES = 500_000
"""Pages that are read of a site's sitemaps at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A page, or in an index another sitemap.

    Attributes:
        url: its address, absolute.
        lastmod: when it was last changed, as the sitemap says it; sitemaps are often wrong about it.
        title: its title, which only feeds give.
    """

    url: str
    lastmod: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Sitemap:
    """One sitemap.

    Attributes:
        is_index: its entries are sitemaps.
        entries: what it lists.
        size: its bytes after decompression.
    """

    is_index: bool
    entries: list[Entry]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read of a site's sitemaps.

    Attributes:
        entries: pages.
        files: sitemaps.
        bytes: of all sitemaps together, after decompression.
        depth: levels of indexes below the first sitemap.
        at_once: sitemaps that are fetched at the same time.
    """

    entries: int = MAX_ENTRIES
    files: int = 1_000
    bytes: int = 1_000_000_000
    depth: int = 8
    at_once: int = 4


@dataclass(slots=True)
class Found:
    """What a site's sitemaps list.

    Attributes:
        entries: the pages by address, in the order of the sitemaps.
        files: sitemaps that were read.
        errors: what went wrong, by the sitemap's address.
        truncated: a limit was reached.
        size: bytes of the sitemaps that were read, after decompression.
    """

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    files: list[str] = field(default_factory=list[str])
    errors: dict[str, str] = field(default_factory=dict[str, str])
    truncated: bool = False
    size: int = 0


def parse_sitemap(body: bytes, *, url: str, limit: int = MAX_ENTRIES) -> Sitemap:
    """Read one sitemap.

    Args:
        body: its bytes, compressed or not.
        url: where it was found; relative addresses start there.
        limit: entries that are read at most.

    Raises:
        DataError: it is no sitemap.
    """
    data = plain(body)
    name = root_name(data)
    if name in {"urlset", "sitemapindex"}:
        return _parse_xml(data, url, limit)
    if name in FEED_ROOTS:
        items = parse_feed(data, url=url)
        entries = [Entry(item.url, item.published, item.title) for item in items[:limit]]
        return Sitemap(False, entries, len(data))
    if name or data.lstrip()[:1] == b"<":
        raise DataError(f"{url} is no sitemap: it begins with <{name or '?'}>")
    return _parse_text(data, url, limit)


def _parse_xml(data: bytes, url: str, limit: int) -> Sitemap:
    is_index = root_name(data) == "sitemapindex"
    entries: list[Entry] = []
    for element in xml_elements(data, ("url", "sitemap")):
        location = absolute(url, child_text(element, "loc"))
        if location is not None:
            entries.append(Entry(location, child_text(element, "lastmod")))
        if len(entries) >= limit:
            break
    return Sitemap(is_index, entries, len(data))


def _parse_text(data: bytes, url: str, limit: int) -> Sitemap:
    """One address a line.

    Raises:
        DataError: no line is one.
    """
    lines = data.decode("utf-8-sig", "replace").splitlines()
    found = [line.strip() for line in lines if line.strip().startswith(("http://", "https://"))]
    entries = [Entry(location) for line in found[:limit] if (location := absolute(url, line)) is not None]
    if not entries:
        raise DataError(f"{url} is no sitemap: it has no line with an address")
    return Sitemap(False, entries, len(data))


async def read_sitemaps(get: Get, urls: Iterable[str], *, limits: Limits | None = None) -> Found:
    """Read sitemaps and all that they lead to; each is read once, and one that is broken holds up no other.

    Args:
        get: fetches an address.
        urls: the sitemaps to begin with.
        limits: when to stop.
    """
    chosen = limits or Limits()
    found = Found()
    level = list(dict.fromkeys(urls))
    seen = set(level)
    for depth in range(chosen.depth + 1):
        inner = await _read_level(get, level, found, chosen)
        level = [url for url in dict.fromkeys(inner) if url not in seen]
        seen.update(level)
        if not level or found.truncated:
            return found
        if depth == chosen.depth:
            found.truncated = True
            found.errors[level[0]] = f"sitemaps are nested deeper than {chosen.depth} levels"
    return found


async def _read_level(get: Get, urls: list[str], found: Found, limits: Limits) -> list[str]:
    """Read the sitemaps of one level in order; the sitemaps that they name."""
    inner: list[str] = []
    for start in range(0, len(urls), limits.at_once):
        group = urls[start : start + limits.at_once]
        if len(found.files) + len(found.errors) + len(group) > limits.files:
            found.truncated = True
            found.errors[group[0]] = f"the site has more than {limits.files:,} sitemaps"
            return inner
        for url, sitemap in zip(
            group, await asyncio.gather(*(_read(get, url) for url in group)), strict=True
        ):
            if isinstance(sitemap, str):
                found.errors[url] = sitemap
                continue
            found.files.append(url)
            found.size += sitemap.size
            if found.size > limits.bytes:
                found.truncated = True
                found.errors[url] = f"the site's sitemaps have more than {limits.bytes:,} bytes"
                return inner
            if sitemap.is_index:
                inner += [entry.url for entry in sitemap.entries]
            elif _add(found, sitemap.entries, limits.entries):
                return inner
    return inner


def _add(found: Found, entries: list[Entry], limit: int) -> bool:
    """Take pages over; True if there is no room for more."""
    for entry in entries:
        if len(found.entries) >= limit and entry.url not in found.entries:
            found.truncated = True
            return True
        found.entries.setdefault(entry.url, entry)
    return False


async def _read(get: Get, url: str) -> Sitemap | str:
    """A sitemap, or why it cannot be read."""
    try:
        body = await get(url)
        return await asyncio.to_thread(parse_sitemap, body, url=url)
    except KurtError as error:
        return error.message
