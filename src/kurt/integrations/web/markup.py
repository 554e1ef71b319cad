"""Parsing XML and HTML of strangers: no entities, no network, no endless input."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs

from kurt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 50_000_000
"""Bytes of one document, after decompression; the limit that the sitemap protocol sets too."""

MAX_URL = 2048
"""Characters of an address; a longer one is left out."""

_GZIP = b"\x1f\x8b"
_HEAD = 64 * 1024
_NAME = re.compile(rb"<([A-Za-z_][^\s>/]*)")


def plain(body: bytes, *, limit: int = MAX_BYTES) -> bytes:
    """The bytes as they were before compression, whatever their name says.

    Raises:
        DataError: they are longer than `limit`, or the compressed data is damaged from its beginning on.
    """
    found = _unzipped(body, limit) if body[:2] == _GZIP else body
    if len(found) > limit:
        raise DataError(f"it is larger than {limit:,} bytes")
    return found


def _unzipped(body: bytes, limit: int) -> bytes:
    """What a gzip file holds, up to a byte over the limit; one that was cut off gives what is there."""
    out = bytearray()
    rest = body
    while rest[:2] == _GZIP and len(out) <= limit:  # a file may have several members
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            out += stream.decompress(rest, limit + 1 - len(out))
        except zlib.error as error:
            if not out:
                raise DataError(f"it is no gzip file: {error}") from None
            break
        if stream.unconsumed_tail or not stream.eof:
            break
        rest = stream.unused_data
    return bytes(out)


def xml_elements(body: bytes, names: tuple[str, ...]) -> Iterator[Any]:
    """Elements of these local names, each with what is in it; it is emptied when the next one is asked for.

    What follows the root element, and what is cut off, is passed over.

    Raises:
        DataError: it is no XML at all.
    """
    wanted = tuple(f"{{*}}{name}" for name in names)
    seen = False
    try:
        parser = etree.iterparse(
            BytesIO(body.lstrip()),
            tag=wanted,
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            recover=True,
            remove_comments=True,
            remove_pis=True,
        )
        for _, element in parser:
            seen = True
            yield element
            _forget(element)
    except etree.LxmlError as error:
        if not seen:
            raise DataError(f"it is no XML: {error}") from None


def _forget(element: Any) -> None:
    """Free an element, and those before it, which the parser would keep to the end."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def local_name(element: Any) -> str:
    """The name of an element without its namespace; empty for what is none, such as an entity."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def child_text(element: Any, *names: str) -> str | None:
    """The text of the first child of one of these local names, in the element's own namespace."""
    for name in names:
        for child in element:
            if local_name(child) == name and _same_space(element, child):
                text = "".join(child.itertext()).strip()
                if text:
                    return text
    return None


def _same_space(element: Any, child: Any) -> bool:
    return etree.QName(element).namespace == etree.QName(child).namespace


def root_name(body: bytes) -> str:
    """The local name of the first element, in lower case; empty where there is none near the beginning."""
    head = body[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    while head.startswith((b"<?", b"<!")):
        _, found, head = head.partition(_end(head))
        if not found:
            return ""
        head = head.lstrip()
    match = _NAME.match(head)
    return match[1].rpartition(b":")[2].decode("ascii", "replace").lower() if match else ""


def _end(head: bytes) -> bytes:
    """How the comment, declaration or instruction at the beginning ends."""
    if head.startswith(b"<!--"):
        return b"-->"
    declared, inner, _ = head.partition(b"[")
    return b"]>" if inner and b">" not in declared else b">"


def plain_title(body: bytes, name: str) -> str | None:
    """The text of the first element of this name in a small XML document, None where there is none."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        return etree.fromstring(body, parser).findtext(f".//{name}")
    except (etree.LxmlError, ValueError):
        return None


def parsed_html(body: bytes, charset: str | None) -> Any | None:
    """The root element of a page, None where there is nothing to parse.

    Args:
        body: its bytes.
        charset: what the server says of its encoding; without it the page itself is asked.
    """
    for encoding in (charset, None):
        try:
            parser = etree.HTMLParser(
                encoding=encoding, no_network=True, huge_tree=False, recover=True, remove_comments=True
            )
        except LookupError:  # a name that libxml2 does not know
            continue
        try:
            return etree.fromstring(body, parser)
        except (etree.LxmlError, ValueError):
            return None
    return None


def absolute(base: str, link: str | None) -> str | None:
    """The http address that a link means on a page; None for one that leads elsewhere or nowhere."""
    text = "".join((link or "").split()) if link and "\n" in link else (link or "").strip()
    if not text or len(text) > MAX_URL:
        return None
    try:
        found = urljoin(base, text)
        parts = urlsplit(found)
        _ = parts.port
    except ValueError:  # a port or an IPv6 address that cannot be
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(found) > MAX_URL:
        return None
    return found.partition("#")[0]
