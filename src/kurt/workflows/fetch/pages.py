"""`extract_page`: the only place that turns a page into Markdown and metadata."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass
from typing import Any

from lxml.etree import ElementDefaultClassLookup, LxmlError  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - compiled, without stubs
from lxml.html import HtmlElement, HTMLParser, document_fromstring
from trafilatura.core import bare_extraction
from trafilatura.settings import Document
from trafilatura.utils import HTML_PARSER, load_html
from trafilatura.xml import xmltotxt

from kurt.errors import DataError
from kurt.workflows.fetch import rendering, subtrees
from kurt.workflows.fetch.charsets import decode
from kurt.workflows.fetch.metadata import Metadata, read_metadata

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # a page without text is our own error
logging.getLogger("htmldate").setLevel(logging.CRITICAL)

_PARSER = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
for _parser in (HTML_PARSER, _PARSER):
    # All elements are of one class: asking a function for the class of each is a twentieth of the whole work.
    _parser.set_element_class_lookup(ElementDefaultClassLookup(element=HtmlElement))
_BLOCK = re.compile(r"<(p|div|table|[uo]l|dl|section|article|main|h[1-6]|pre|blockquote)[\s>]", re.IGNORECASE)
_FORUM_TYPES = frozenset({"discussionforumposting", "qapage", "question"})
_FORUM_MAKERS = (
    "discourse",
    "phpbb",
    "vbulletin",
    "xenforo",
    "mybb",
    "flarum",
    "invision",
    "simple machines",
)


class NoTextError(DataError):
    """The page has no main text."""

    code = "no_text"


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a document.

    Attributes:
        markdown: its main text.
        title: its title.
        author: who wrote it, several joined by `; `.
        published: the day or the moment, ISO 8601.
        language: ISO 639.
        description: its summary of itself.
        canonical: the address that it calls its own.
    """

    markdown: str
    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None
    description: str | None = None
    canonical: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The page as JSON."""
        return asdict(self)


def extract_page(html: bytes, *, url: str, charset: str | None = None) -> Page:
    """Turn a page into Markdown and what it says about itself. Pure: the same bytes give the same page.

    The text is what trafilatura takes for the main text. Where that part of the page has code, tables or headings which
    the text lost, the part itself is rendered in its place.

    Args:
        html: the page as it was sent.
        url: its address, for relative links.
        charset: the character set that the server names.

    Raises:
        NoTextError: it has no text, or is no HTML.
    """
    tree = _parsed(decode(html, charset))
    subtrees.drop_permalinks(tree)
    rendering.settle_links(tree, url)
    facts = read_metadata(tree, url)
    technical = subtrees.is_technical(tree)
    found = bare_extraction(
        tree,  # its links are complete, so no address is given
        fast=technical,  # its text only has to show where it stands
        output_format="markdown",
        include_comments=False,
        include_formatting=True,
        include_links=True,
        include_tables=True,
    )
    if not isinstance(found, Document) or not (found.raw_text or "").strip():
        raise NoTextError
    markdown = None if _is_forum(facts) else _structured(tree, found, url, technical=technical)
    if markdown is None:
        markdown = _plain(found)
    return Page(
        markdown=markdown,
        title=facts.title,
        author=facts.author,
        published=facts.published,
        language=facts.language,
        description=facts.description,
        canonical=facts.canonical,
    )


def _parsed(text: str) -> HtmlElement:
    """The tree of a page, repaired where it is broken."""
    tree = load_html(text)
    if tree is not None:
        return tree
    if not _BLOCK.search(text):
        raise NoTextError("the page is no HTML")
    try:
        # What consists of one block only, trafilatura does not take for a page.
        return document_fromstring(
            f"<html><body>{text}</body></html>".encode("utf-8", "replace"), parser=_PARSER
        )
    except LxmlError as error:
        raise NoTextError("the page is no HTML") from error


def _plain(found: Document) -> str:
    return rendering.tidy(xmltotxt(found.body, include_formatting=True))


def _structured(tree: HtmlElement, found: Document, url: str, *, technical: bool) -> str | None:
    """The part of the page that holds the text, if it has more structure than the text; else None."""
    text = found.raw_text or ""
    subtrees.prune(tree)
    if not technical and (whole := subtrees.whole_article(tree, text)) is not None:
        return rendering.render(whole, url)
    part = subtrees.find_part(tree, text)
    if part is None:
        return None
    if technical and subtrees.is_technical(part):
        part = subtrees.with_heading(part, text)
    elif not subtrees.has_more(part, text, _plain(found)):
        return None
    rendered = rendering.render(part, url)
    return rendered if subtrees.holds(rendered, text) else None


def _is_forum(facts: Metadata) -> bool:
    """Whether the page is a discussion: its posts are apart in the tree, with much between them."""
    return bool(facts.types & _FORUM_TYPES) or any(name in facts.generator for name in _FORUM_MAKERS)
