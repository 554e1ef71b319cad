"""From the bytes of a page to its text, whatever its server and its author say about them."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the one below
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{2,40})""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
_LOOKED_AT = 8 * 1024
_SAMPLE = 64 * 1024

_BROADER = {
    "iso-8859-1": "cp1252",
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "latin-1": "cp1252",
    "gb2312": "gb18030",
}
"""What browsers read where a page names the first: the standard of the web says so."""

_LANGUAGE = re.compile(rb"""<html[^>]{0,300}?\slang\s*=\s*["']?([A-Za-z]{2})\b""", re.IGNORECASE)
_OF_LANGUAGE = {
    **dict.fromkeys(("ru", "uk", "bg", "sr", "mk", "be"), "cp1251"),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "ro", "sl", "hr"), "cp1250"),
    **dict.fromkeys(("lt", "lv", "et"), "cp1257"),
    "ja": "cp932",
    "zh": "gb18030",
    "ko": "cp949",
    "el": "cp1253",
    "tr": "cp1254",
    "he": "cp1255",
    "ar": "cp1256",
    "vi": "cp1258",
    "th": "cp874",
}
"""What pages that name no character set are written in, by their language; all others in `cp1252`."""


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of a page.

    What can be read as UTF-8 is UTF-8. Otherwise the page's own word counts, then the server's, if all of the bytes fit;
    then a guess; then the bytes that fit nowhere are replaced.

    Args:
        data: the page.
        declared: the character set that the server names.

    Returns:
        the text without a declaration of XML, which would name a character set that it has no more.
    """
    return _DECLARATION.sub("", _decoded(data, declared), count=1)


def _decoded(data: bytes, declared: str | None) -> str:
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    wide = _wide(data)
    if wide is not None:
        return data.decode(wide, "replace")
    for name in ("utf-8", _named_inside(data), declared):
        text = _strictly(data, name)
        if text is not None:
            return text
    return _guessed(data)


def _wide(data: bytes) -> str | None:
    """UTF-16 without its mark: every second byte of the markup is zero."""
    head = data[:200]
    if len(head) < 20 or head.count(0) < len(head) // 3:
        return None
    return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"


def _named_inside(data: bytes) -> str | None:
    head = data[:_LOOKED_AT]
    found = _META.search(head) or _XML.search(head)
    return found[1].decode("ascii", "replace").lower() if found else None


def _strictly(data: bytes, name: str | None) -> str | None:
    if name is None or name.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        return None  # the markup that named it was read as single bytes
    try:
        return data.decode(_BROADER.get(name, name))
    except (UnicodeDecodeError, LookupError):
        return None


def _guessed(data: bytes) -> str:
    found = _LANGUAGE.search(data[:_LOOKED_AT])
    name = _OF_LANGUAGE.get(found[1].decode().lower(), "cp1252") if found else None
    text = _strictly(data, name)
    if text is not None:
        return text
    from charset_normalizer import from_bytes  # noqa: PLC0415 - few pages need a guess

    best = from_bytes(data[:_SAMPLE]).best()
    return data.decode(best.encoding if best is not None else "utf-8", "replace")
