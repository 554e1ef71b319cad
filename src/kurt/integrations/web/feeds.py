"""Feeds: RSS 0.9 to 2.0, RDF and Atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kurt.errors import DataError
from kurt.integrations.web.markup import absolute, child_text, local_name, plain, root_name, xml_elements

ROOTS = frozenset({"rss", "rdf", "feed"})
"""Names of the first element of a feed."""

TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/rdf+xml"})
"""Media types by which a page names its feeds."""

_DUBLIN = "{http://purl.org/dc/elements/1.1/}date"


@dataclass(frozen=True, slots=True)
class FeedItem:
    """An item of a feed.

    Attributes:
        url: the page's address, absolute.
        title: its title.
        published: when, as the feed writes it.
    """

    url: str
    title: str | None
    published: str | None


def parse_feed(body: bytes, *, url: str) -> list[FeedItem]:
    """The items of a feed that lead to a page, in its order.

    Args:
        body: its bytes, compressed or not.
        url: where it was found; relative addresses start there.

    Raises:
        DataError: it is no feed.
    """
    data = plain(body)
    name = root_name(data)
    if name not in ROOTS:
        raise DataError(f"{url} is no feed: it begins with <{name or '?'}>")
    found: dict[str, FeedItem] = {}
    for element in xml_elements(data, ("item", "entry")):
        item = _item(element, url)
        if item is not None:
            found.setdefault(item.url, item)
    return list(found.values())


def _item(element: Any, url: str) -> FeedItem | None:
    address = absolute(url, _link(element))
    if address is None:
        return None
    title = child_text(element, "title")
    published = child_text(element, "pubDate", "published", "updated") or element.findtext(_DUBLIN)
    return FeedItem(address, " ".join(title.split()) if title else None, published)


def _link(element: Any) -> str | None:
    """Where an item leads: the text of RSS's `link`, Atom's `link` to the page itself, else RSS's permanent `guid`."""
    for child in element:
        if local_name(child) != "link":
            continue
        if (target := child.get("href")) is not None:
            if child.get("rel", "alternate") == "alternate":
                return target
        elif child.text and child.text.strip():
            return child.text
    for child in element:
        if local_name(child) == "guid":
            return child.text if child.get("isPermaLink", "true") == "true" else None
    return None
