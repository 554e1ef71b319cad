"""Links of a page, and what its head says to those who follow them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kurt.integrations.web.feeds import TYPES as FEED_TYPES
from kurt.integrations.web.markup import absolute, parsed_html

MAX_BYTES = 10_000_000
"""Bytes of a page that are read; links after them are not seen."""

MAX_LINKS = 20_000
"""Links of a page that are taken."""

_ASSETS = frozenset(
    [
        "7z",
        "avi",
        "bmp",
        "bz2",
        "css",
        "csv",
        "deb",
        "dmg",
        "doc",
        "eot",
        "exe",
        "flac",
        "gif",
        "gz",
        "ico",
        "iso",
        "jar",
        "jpeg",
        "jpg",
        "js",
        "json",
        "map",
        "mjs",
        "mov",
        "mp3",
        "mp4",
        "mpeg",
        "mpg",
        "ogg",
        "otf",
        "png",
        "ppt",
        "pptx",
        "rar",
        "rpm",
        "rss",
        "svg",
        "tar",
        "tgz",
        "tif",
        "tiff",
        "ts",
        "ttf",
        "wasm",
        "wav",
        "webm",
        "webp",
        "wmv",
        "woff",
        "woff2",
        "xls",
        "xlsx",
        "xml",
        "xz",
        "zip",
        "atom",
    ]
)
"""Ends of addresses behind which there is no text to read."""


@dataclass(frozen=True, slots=True)
class PageLinks:
    """What a page leads to.

    Attributes:
        title: its title.
        links: addresses in its text, absolute, each once, in order.
        feeds: addresses of its feeds.
        nofollow: it asks not to follow its links.
        noindex: it asks not to be listed.
    """

    title: str | None = None
    links: list[str] = field(default_factory=list[str])
    feeds: list[str] = field(default_factory=list[str])
    nofollow: bool = False
    noindex: bool = False


def page_links(body: bytes, *, url: str, charset: str | None = None) -> PageLinks:
    """Read the links of a page; nothing in it is an error.

    Args:
        body: its bytes.
        url: its own address; relative links start there, or where its `base` says.
        charset: what the server says of its encoding.
    """
    root = parsed_html(body[:MAX_BYTES], charset)
    if root is None:
        return PageLinks()
    base = _base(root, url)
    asked = _robots(root)
    return PageLinks(
        title=_title(root),
        links=_links(root, base),
        feeds=_feeds(root, base),
        nofollow=not asked.isdisjoint({"nofollow", "none"}),
        noindex=not asked.isdisjoint({"noindex", "none"}),
    )


def _base(root: Any, url: str) -> str:
    for element in root.iter("base"):
        return absolute(url, element.get("href")) or url
    return url


def _title(root: Any) -> str | None:
    for element in root.iter("title"):
        text = " ".join("".join(element.itertext()).split())
        return text or None
    return None


def _robots(root: Any) -> set[str]:
    words: set[str] = set()
    for element in root.iter("meta"):
        if element.get("name", "").lower() == "robots":
            words.update(element.get("content", "").lower().replace(",", " ").split())
    return words


def _links(root: Any, base: str) -> list[str]:
    found: dict[str, None] = {}
    for element in root.iter("a", "area"):
        address = absolute(base, element.get("href"))
        if address is not None:
            found[address] = None
        if len(found) >= MAX_LINKS:
            break
    return list(found)


def _feeds(root: Any, base: str) -> list[str]:
    found: dict[str, None] = {}
    for element in root.iter("link"):
        kind = element.get("type", "").partition(";")[0].strip().lower()
        if "alternate" in element.get("rel", "").lower().split() and kind in FEED_TYPES:
            address = absolute(base, element.get("href"))
            if address is not None:
                found[address] = None
    return list(found)


def is_asset(url: str) -> bool:
    """Whether the end of an address says that there is no text behind it: images, styles, archives."""
    name = urlsplit(url).path.rpartition("/")[2]
    _, dot, suffix = name.rpartition(".")
    return bool(dot) and suffix.lower() in _ASSETS
