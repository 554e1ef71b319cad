"""From a part of a page to Markdown that keeps its blocks of code, tables and headings."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import html_to_markdown
from html_to_markdown import ConversionOptions
from lxml import etree, html  # pyright: ignore[reportAttributeAccessIssue] - the stubs do not know lxml's C parts

if TYPE_CHECKING:
    from lxml.html import HtmlElement

DEEPEST = 150
"""Levels of nesting that are rendered."""

_OPTIONS = ConversionOptions(
    bullets="-",
    extract_metadata=False,
    highlight_style="none",
    max_depth=DEEPEST,
    skip_images=True,
    compact_tables=True,
    br_in_tables=True,
    autolinks=False,
)
_LANGUAGE = re.compile(r"(?:^|\s)(?:highlight-source-|highlight-|language-|lang-|brush:\s*)([\w+#-]+)")
_NO_LANGUAGE = frozenset({"default", "none", "text", "plaintext", "plain", "highlight", "notranslate"})
_BESIDE = re.compile(r"(?![a-zA-Z][a-zA-Z0-9+.-]*:|[/#?]|$)")
_NEAR = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*(#[\w.-]*)?")
_FOLLOWED = ("http:", "https:", "mailto:", "ftp:")
_BLANK = re.compile(r"\n{3,}")


def render(part: HtmlElement, url: str) -> str:
    """The Markdown of a part; it is changed in place.

    Args:
        part: pruned of what is no text.
        url: of its page, for relative links.
    """
    part.tail = None
    _unwrap_numbered_code(part)
    for pre in list(part.iter("pre")):
        _plain_code(pre)
    _drop_links_within(part, url)
    source = str(html.tostring(part, encoding="unicode"))
    return tidy(html_to_markdown.convert(source, _OPTIONS).content or "")


def tidy(markdown: str) -> str:
    """No white space at the ends of lines, no more than one blank line, one line break at the end."""
    lines = "\n".join(line.rstrip() for line in markdown.splitlines())
    return _BLANK.sub("\n\n", lines).strip() + "\n"


def _unwrap_numbered_code(part: HtmlElement) -> None:
    """Code beside its line numbers in a table becomes the code alone."""
    for table in list(part.iter("table")):
        blocks = list(table.iter("pre"))
        if len(blocks) != 2 or not _are_numbers(blocks[0]):
            continue
        parent, code = table.getparent(), blocks[1]
        if parent is not None:
            code.tail = table.tail
            parent.replace(table, code)


def _are_numbers(pre: HtmlElement) -> bool:
    return all(word.isdecimal() for word in "".join(pre.itertext()).split())


def _plain_code(pre: HtmlElement) -> None:
    """A block of code as text, with the name of its language."""
    language = _language(pre)
    text = "".join(pre.itertext())
    for child in list(pre):
        pre.remove(child)
    pre.text = None
    code = etree.SubElement(pre, "code")
    code.text = text
    if language:
        code.set("class", f"language-{language}")


def _language(pre: HtmlElement) -> str | None:
    near = [pre, *pre.iterchildren("code")]
    for element in pre.iterancestors():
        near.append(element)
        if len(near) > 4:
            break
    for element in near:
        for found in _LANGUAGE.finditer(element.get("class") or ""):
            name = found[1].lower()
            if name not in _NO_LANGUAGE:
                return {"python3": "python", "ipython3": "python", "shell-session": "console"}.get(name, name)
    return None


def settle_links(tree: HtmlElement, url: str) -> None:
    """Make the links of a tree absolute; between files they stay as they are, and those that lead nowhere lose their target.

    Args:
        tree: changed in place.
        url: of its page.
    """
    base = next((text for one in tree.iter("base") if (text := one.get("href"))), None)
    start = (_joined(url, base) if base else url) or url
    folder = _joined(start, "_").removesuffix("/_")
    for link in tree.iter("a"):
        target = (link.get("href") or "").strip()
        if target.startswith(("http://", "https://")):
            continue
        if not target or (url.startswith("file:") and _BESIDE.match(target)):
            continue
        # Nearly all links of a page are of the first form, others stand on many pages, and `urljoin` is slow.
        if _NEAR.fullmatch(target):
            found = f"{folder}/{target}"
        elif target.startswith(("#", "?")):
            found = _joined(start, target)
        else:
            found = _joined(f"{folder}/", target)
        if found.lower().startswith(_FOLLOWED):
            link.set("href", found)
        else:
            del link.attrib["href"]


@lru_cache(maxsize=10_000)
def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


def _drop_links_within(part: HtmlElement, url: str) -> None:
    """Links within the page, and those without a target or a text, become their text."""
    page = url.partition("#")[0]
    for link in list(part.iter("a")):
        target, fragment, _ = (link.get("href") or "").partition("#")
        if (target and not (fragment and target == page)) and "".join(link.itertext()).strip():
            continue
        link.attrib.pop("href", None)
        if link is not part:
            link.drop_tag()
