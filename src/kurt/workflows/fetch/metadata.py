"""What a page says about itself in its markup: title, author, date, language, description, address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_LONGEST = 500
_LONGEST_JSON = 500_000
_DEEPEST = 6
_PAGE_TYPES = frozenset(
    {
        "article",
        "blogposting",
        "newsarticle",
        "report",
        "scholarlyarticle",
        "socialmediaposting",
        "techarticle",
        "webpage",
        "discussionforumposting",
        "qapage",
        "howto",
        "recipe",
    }
)
_TITLES = ("og:title", "twitter:title", "dc.title", "citation_title")
_AUTHORS = (
    "author",
    "article:author",
    "dc.creator",
    "citation_author",
    "parsely-author",
    "byl",
    "sailthru.author",
)
_DATES = (
    "article:published_time",
    "date",
    "dc.date",
    "dc.date.issued",
    "dcterms.created",
    "datepublished",
    "publishdate",
    "pubdate",
    "citation_publication_date",
    "parsely-pub-date",
    "sailthru.date",
    "og:published_time",
)
_DESCRIPTIONS = ("og:description", "description", "twitter:description", "dc.description")
_DATE_IN_URL = re.compile(r"/((?:19|20)\d\d)[/-](0[1-9]|1[0-2])[/-](0[1-9]|[12]\d|3[01])(?:/|-|$)")
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})|(\d{4})(\d\d)(\d\d)")
_LANGUAGE = re.compile(r"^([a-zA-Z]{2,3})(?:[-_].*)?$")
_BYLINE = re.compile(r"^\s*(?:by|von|par|por)\s*:?\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a page says about itself; None where it says nothing.

    Attributes:
        title: its title.
        author: who wrote it, several joined by `; `.
        published: the day or the moment, ISO 8601.
        language: ISO 639.
        description: its summary of itself.
        canonical: the address that it calls its own.
        types: kinds of thing that it says to be, in lower case: `newsarticle`, `qapage`.
        generator: the program that made it, in lower case.
    """

    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None
    description: str | None = None
    canonical: str | None = None
    types: frozenset[str] = frozenset()
    generator: str = ""


def read_metadata(tree: HtmlElement, url: str) -> Metadata:
    """Read what stands in the markup of a page.

    Args:
        tree: the parsed page.
        url: its address.
    """
    meta = _metas(tree)
    things = list(_things(tree))
    main = [thing for thing in things if _types(thing) & _PAGE_TYPES]
    return Metadata(
        title=_title(tree, meta, main),
        author=_author(tree, meta, main),
        published=_published(tree, meta, main, url),
        language=_language(tree, meta),
        description=_first(meta, _DESCRIPTIONS),
        canonical=_canonical(tree, url),
        types=frozenset(name for thing in things for name in _types(thing)),
        generator=" ".join(meta.get("generator", ())).lower(),
    )


def _metas(tree: HtmlElement) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for element in tree.iter("meta"):
        name = (
            element.get("property")
            or element.get("name")
            or element.get("itemprop")
            or element.get("http-equiv")
        )
        text = _clean(element.get("content"))
        if name and text:
            found.setdefault(name.strip().lower(), []).append(text)
    return found


def _first(meta: dict[str, list[str]], names: Iterable[str]) -> str | None:
    return next((meta[name][0] for name in names if name in meta), None)


def _things(tree: HtmlElement) -> Iterator[dict[str, Any]]:
    """The objects of the page's JSON-LD."""
    for script in tree.iter("script"):
        text = script.text or ""
        if (script.get("type") or "").strip().lower() != "application/ld+json" or len(text) > _LONGEST_JSON:
            continue
        try:
            yield from _objects(json.loads(text, strict=False))
        except (ValueError, RecursionError):
            continue


def _objects(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, depth + 1)
    elif isinstance(value, dict):
        yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            if key in value:
                yield from _objects(value[key], depth + 1)


def _types(thing: dict[str, Any]) -> set[str]:
    given = thing.get("@type")
    return {str(name).lower() for name in (given if isinstance(given, list) else [given]) if name}


def _title(tree: HtmlElement, meta: dict[str, list[str]], main: list[dict[str, Any]]) -> str | None:
    named = _first(meta, _TITLES)
    if named:
        return named
    for thing in main:
        if isinstance(headline := thing.get("headline"), str) and _clean(headline):
            return _clean(headline)
    heading = [text for element in tree.iter("h1") if (text := _text(element))]
    if len(heading) == 1:
        return heading[0]
    title = next((text for element in tree.iter("title") if (text := _text(element))), None)
    return title or (heading[0] if heading else None)


def _author(tree: HtmlElement, meta: dict[str, list[str]], main: list[dict[str, Any]]) -> str | None:
    for thing in main:
        if names := _names(thing.get("author")):
            return "; ".join(names)
    for name in _AUTHORS:
        given = [text for text in meta.get(name, ()) if not text.startswith(("http:", "https:", "@"))]
        if given:
            return "; ".join(dict.fromkeys(_BYLINE.sub("", text) for text in given))
    marked = tree.xpath('//*[@rel="author" or @itemprop="author"]')
    names = [text for element in marked[:5] if (text := _text(element)) and len(text) < 80]
    return "; ".join(dict.fromkeys(_BYLINE.sub("", name) for name in names)) or None


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [text] if (text := _clean(value)) and not text.startswith("http") else []
    if isinstance(value, dict):
        return _names(value.get("name"))
    if isinstance(value, list):
        return list(dict.fromkeys(name for item in value for name in _names(item)))
    return []


def _published(
    tree: HtmlElement, meta: dict[str, list[str]], main: list[dict[str, Any]], url: str
) -> str | None:
    given = [
        thing[key]
        for key in ("datePublished", "dateCreated", "dateModified")
        for thing in main
        if key in thing
    ]
    given += [text for name in _DATES for text in meta.get(name, ())]
    for element in tree.xpath(
        '//time[@datetime][@pubdate or @itemprop="datePublished" or ancestor::article]'
    )[:3]:
        given.append(element.get("datetime"))
    for text in given:
        if isinstance(text, str) and (moment := moment_of(text)):
            return moment
    found = _DATE_IN_URL.search(urlsplit(url).path)
    return f"{found[1]}-{found[2]}-{found[3]}" if found else None


def moment_of(text: str) -> str | None:
    """A date or a moment as ISO 8601, None where the text is neither."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = _DATE.match(text)
        if found is None:
            return None
        year, month, day = (int(part) for part in found.groups() if part)
        try:
            return date(year, month, day).isoformat()
        except ValueError:
            return None
    return text[:10] if len(text) == 10 else moment.isoformat()


def _language(tree: HtmlElement, meta: dict[str, list[str]]) -> str | None:
    for text in (
        tree.get("lang"),
        tree.get("xml:lang"),
        *(meta.get("content-language", ())),
        *meta.get("og:locale", ()),
    ):
        if text and (found := _LANGUAGE.match(text.strip())):
            return found[1].lower()
    return None


def _canonical(tree: HtmlElement, url: str) -> str | None:
    for element in tree.iter("link"):
        if (element.get("rel") or "").lower() == "canonical" and (
            target := (element.get("href") or "").strip()
        ):
            try:
                found = urljoin(url, target)
                return found if urlsplit(found).scheme in {"http", "https"} else None
            except ValueError:
                return None
    return None


def _text(element: HtmlElement) -> str | None:
    return _clean("".join(element.itertext()))


def _clean(text: str | None) -> str | None:
    """One line without the white space around, None for nothing."""
    return " ".join((text or "").split())[:_LONGEST].strip() or None
