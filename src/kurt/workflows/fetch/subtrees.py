"""The part of a page that holds its main text: where the text that was extracted stands in the tree."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] - the stubs do not know lxml's C parts

if TYPE_CHECKING:
    from lxml.html import HtmlElement

HELD = 0.93
"""Share of the extracted words that a part must hold."""

LARGEST = 1.35
"""Words that a part may have, as a multiple of those that were extracted."""

_WORD = re.compile(r"\w+")
_NEVER_TEXT = (
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "embed", "canvas", "audio", "video",
    "button", "select", "input", "textarea", "dialog",
)  # fmt: skip
_FURNITURE = etree.XPath(
    "//nav | //*[@hidden or @aria-hidden='true' or contains('navigation search banner contentinfo', @role) and @role]"
    " | //footer[not(ancestor::blockquote)]"
)
_PERMALINK_SIGNS = frozenset({"¶", "#", "§", "🔗", "⚓", "\uf0c1"})
_length = etree.XPath("string-length(.)")
_TECHNICAL = ("pre", "code", "kbd", "samp", "tt", "dl")
_NEARLY_ALL = 1.05
_MUCH_MORE = 1.5


@dataclass(frozen=True, slots=True)
class Structure:
    """What of a text is more than words.

    Attributes:
        fences: blocks of code of several lines.
        tables: tables of data.
        headings: headings.
    """

    fences: int = 0
    tables: int = 0
    headings: int = 0


def is_technical(part: HtmlElement) -> bool:
    """Whether there is code in it, or a list of definitions."""
    return next(part.iter(*_TECHNICAL), None) is not None


def has_more(part: HtmlElement, text: str, plain: str) -> bool:
    """Whether the part of a page has more to it than the Markdown that was made of its text.

    Headings alone count where the part is hardly more than the text: around an article they are those of others.

    Args:
        part: holds the text.
        text: what was extracted.
        plain: the Markdown of that.
    """
    here, there = structure_of(part), structure_in(plain)
    if here.fences > there.fences or here.tables > there.tables:
        return True
    return here.headings > there.headings and len(words(text_of(part))) <= _NEARLY_ALL * len(words(text))


def drop_permalinks(tree: HtmlElement) -> None:
    """Take the signs for "link to this heading" out of a tree."""
    for link in list(tree.iter("a")):
        if "#" in (link.get("href") or "") and link.text_content().strip() in _PERMALINK_SIGNS:
            _remove(link)


def prune(tree: HtmlElement) -> None:
    """Take out of a tree what is never main text; it is changed in place."""
    etree.strip_elements(tree, *_NEVER_TEXT, with_tail=False)
    for element in _FURNITURE(tree):
        _remove(element)


def _remove(element: HtmlElement) -> None:
    parent = element.getparent()
    if parent is None:
        return
    tail = element.tail
    if tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
    parent.remove(element)


def words(text: str) -> list[str]:
    """The words of a text."""
    return _WORD.findall(text)


def text_of(element: HtmlElement) -> str:
    """All text below an element; what stands in two blocks is not glued together."""
    return " ".join(element.itertext())


def whole_article(tree: HtmlElement, text: str) -> HtmlElement | None:
    """The part of a pruned tree with all of the page's one article, where a text is only a piece of that; else None.

    Some sites cut an article into several boxes, of which one is taken for all of it.

    Args:
        tree: of the page.
        text: what was extracted from it.
    """
    articles = list(tree.iter("article"))
    if len(articles) != 1:
        return None
    paragraphs = list(articles[0].iter("p"))
    if sum(_length(one) for one in paragraphs) <= _MUCH_MORE * len(text):
        return None
    return find_part(tree, "\n".join(map(text_of, paragraphs)))


def find_part(tree: HtmlElement, text: str) -> HtmlElement | None:
    """The smallest part of a pruned tree that holds a text and little else, None where there is no such part.

    Args:
        tree: of the page.
        text: what was extracted from it.
    """
    wanted = Counter(words(text))
    total = wanted.total()
    if not total:
        return None
    body = tree.find(".//body")
    chain = _chain(tree if body is None else body, wanted)
    # Each holds what the next holds: look for the last that holds enough, by halves.
    first, last = 0, len(chain) - 1
    while first < last:
        middle = (first + last + 1) // 2
        first, last = (middle, last) if _held(chain[middle], wanted) else (first, middle - 1)
    node = chain[first]
    return node if len(words(text_of(node))) <= LARGEST * total else None


def _chain(body: HtmlElement, wanted: Counter[str]) -> list[HtmlElement]:
    """From the body down, always the child that is large enough for the text."""
    least = HELD * sum(len(word) * count for word, count in wanted.items())
    chain = [body]
    while True:
        large = [child for child in chain[-1] if _length(child) >= least]
        if len(large) > 1:
            large.sort(key=_length, reverse=True)
            large = [child for child in large[:3] if _held(child, wanted)]
        if not large:
            return chain
        chain.append(large[0])


def _held(node: HtmlElement, wanted: Counter[str]) -> bool:
    return (wanted & Counter(words(text_of(node)))).total() >= HELD * wanted.total()


def with_heading(part: HtmlElement, text: str) -> HtmlElement:
    """A part together with the page's heading, where that stands right above it."""
    if next(part.iter("h1"), None) is not None:
        return part
    for outer in islice(part.iterancestors(), 3):
        if next(outer.iter("h1"), None) is not None:
            return outer if len(words(text_of(outer))) <= LARGEST * len(words(text)) else part
    return part


def holds(markdown: str, text: str) -> bool:
    """Whether a rendering still has the words of the text."""
    wanted = Counter(words(text))
    return (wanted & Counter(words(markdown))).total() >= HELD * wanted.total()


def structure_of(part: HtmlElement) -> Structure:
    """What the part of a tree has."""
    return Structure(
        fences=sum("\n" in "".join(pre.itertext()).strip() for pre in part.iter("pre")),
        tables=sum(map(is_data, part.iter("table"))),
        headings=sum(
            bool("".join(element.itertext()).strip())
            for element in part.iter("h1", "h2", "h3", "h4", "h5", "h6")
        ),
    )


def is_data(table: HtmlElement) -> bool:
    """Whether a table holds data: it has rows and columns, and no table in it."""
    if next(table.iterdescendants("table"), None) is not None or next(table.iter("pre"), None) is not None:
        return False
    widths = [sum(1 for _ in row.iterchildren("td", "th")) for row in table.iter("tr")]
    return len(widths) >= 2 and max(widths) >= 2


def structure_in(markdown: str) -> Structure:
    """What a Markdown text has."""
    fences = tables = headings = 0
    inside: str | None = None
    for line in markdown.splitlines():
        stripped = line.strip()
        if inside is not None:
            if stripped.startswith(inside) and not stripped.strip("`~"):
                inside = None
            continue
        if stripped.startswith(("```", "~~~")):
            inside = stripped[:3]
            fences += 1
        elif stripped.startswith("#"):
            headings += 1
        elif _RULE.fullmatch(stripped):
            tables += 1
    return Structure(fences, tables, headings)


_RULE = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?(?<=[|])|\|(\s*:?-+:?\s*\|)+")
