"""One name for one document, whoever found it: its URI, and the id that is made from it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from kurt.errors import DataError

URL: Final = "url"
FILE: Final = "file"
CMS: Final = "cms"
SOURCE_TYPES: Final = (URL, FILE, CMS)
"""Where documents come from."""

_FILE_SCHEME: Final = "file:"
_CMS_SCHEME: Final = "cms://"
_PORTS: Final = {"http": 80, "https": 443}
_ID_LENGTH: Final = 20
_TRACKING: Final = re.compile(
    r"utm_\w+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|igshid|mc_[ce]id|_hs(enc|mi)|mkt_tok"
    r"|vero_(id|conv)|oly_(anon|enc)_id|_openstat|wickedid|ref_src",
    re.IGNORECASE,
)
_ESCAPE: Final = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_PATH: Final = "/!$&'()*+,;=:@%-._~"
_IN_QUERY: Final = _IN_PATH + "?"
_MEANING: Final = re.compile(
    "[%?#\x00-\x1f\x7f\udc80-\udcff]"
)  # the last are bytes of names that are not UTF-8
_REMOVED: Final = re.compile(r"[\t\r\n]")


def canonical_url(url: str) -> str:
    """The one spelling of a web address; the same for what it returns.

    Scheme and host in lower case, the port only where it is unusual, escapes only where they are needed, no `.` and `..`,
    the query sorted by its names and without parameters that track visitors, no user, no fragment.

    Args:
        url: an absolute address with `http` or `https`.

    Raises:
        DataError: it is not such an address.
    """
    try:
        parts = urlsplit(_REMOVED.sub("", url).strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _no_address(url) from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host:
        raise _no_address(url)
    place = _host(host, url) + (f":{port}" if port is not None and port != _PORTS[scheme] else "")
    query = _query(parts.query)
    return f"{scheme}://{place}{_path(parts.path)}{f'?{query}' if query else ''}"


def document_id(uri: str, workspace_id: str | None = None) -> str:
    """The id of a document, the same for all workflows and machines.

    Args:
        uri: its canonical URI.
        workspace_id: the workspace that it belongs to; each has its own documents.
    """
    text = uri if workspace_id is None else f"{workspace_id}\0{uri}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_LENGTH]


def source_type_of(uri: str) -> str:
    """Where a document with this URI comes from: `url`, `file` or `cms`."""
    if uri.startswith(_FILE_SCHEME):
        return FILE
    return CMS if uri.startswith(_CMS_SCHEME) else URL


def file_uri(path: str | Path, root: str | Path) -> str:
    """The URI of a file: `file:notes/a.md` within the project, `file:///elsewhere/a.md` outside.

    Args:
        path: the file; a relative one is one of the project.
        root: the project's folder, an absolute path.
    """
    base = Path(root)
    absolute = Path(os.path.normpath(base / path))  # one file has one address, whatever way leads to it
    try:
        shown = absolute.relative_to(base).as_posix()
    except ValueError:
        return f"{_FILE_SCHEME}//{_plain(absolute.as_posix())}"
    return _FILE_SCHEME + _plain(shown)


def file_path(uri: str, root: str | Path) -> Path:
    """Undo `file_uri`: where the file lies.

    Raises:
        DataError: it is no `file:` URI, or names another machine or a place above the project.
    """
    rest = uri.removeprefix(_FILE_SCHEME)
    outside = rest.startswith("///")
    path = unquote(rest[2:] if outside else rest, errors="surrogateescape")
    if rest == uri or not path or (rest.startswith("/") and not outside):
        raise DataError(f"{uri!r} is not the address of a file", hint="write file:notes/a.md")
    if not outside and ".." in PurePosixPath(path).parts:
        raise DataError(f"{uri!r} leads out of the project")
    return Path(root) / path


def cms_uri(platform: str, instance: str, kind: str, item: str) -> str:
    """The URI of an item of a content management system: `cms://platform/instance/type/id`."""
    return _CMS_SCHEME + "/".join(quote(part, safe="") for part in (platform, instance, kind, item))


def cms_parts(uri: str) -> tuple[str, str, str, str]:
    """Undo `cms_uri`: platform, instance, type, id.

    Raises:
        DataError: it is no such URI.
    """
    parts = [unquote(part) for part in uri.removeprefix(_CMS_SCHEME).split("/")]
    if not uri.startswith(_CMS_SCHEME) or len(parts) != len(("platform", "instance", "type", "id")):
        raise DataError(
            f"{uri!r} is not the address of an item", hint="write cms://platform/instance/type/id"
        )
    return parts[0], parts[1], parts[2], parts[3]


def _no_address(url: str) -> DataError:
    return DataError(
        f"{url[:200]!r} is not a web address", hint="write it with its scheme: https://example.com/page"
    )


def _host(host: str, url: str) -> str:
    """The host in ASCII, IPv6 in brackets."""
    if ":" in host:
        return f"[{host.lower()}]"
    name = unquote(host).lower().rstrip(".")
    if not name.isascii():
        import idna  # noqa: PLC0415 - few hosts need it

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise _no_address(url) from None
    if not name or re.search(r"[\s/?#@\\%]", name):
        raise _no_address(url)
    return name


def _path(path: str) -> str:
    """The path with the fewest escapes and without `.` and `..`; at least `/`."""
    kept: list[str] = []
    segments = _escaped(path, _IN_PATH).split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    """The query sorted by names; values of one name stay in their order."""
    parts = [_escaped(part, _IN_QUERY) for part in query.split("&") if part]
    named = [(part.partition("=")[0], part) for part in parts]
    kept = [pair for pair in named if not _TRACKING.fullmatch(pair[0])]
    return "&".join(part for _, part in sorted(kept, key=lambda pair: pair[0]))


def _escaped(text: str, safe: str) -> str:
    """Text in which exactly what has to be is escaped, with capital letters."""
    spelled = _ESCAPE.sub(_unescape, text)
    spelled = re.sub("%(?![0-9A-F]{2})", "%25", spelled)
    return quote(spelled, safe=safe, errors="surrogatepass")


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _plain(path: str) -> str:
    """A path in which only what has a meaning in URIs is escaped, so that people and patterns can read it."""
    return _MEANING.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), path)
