"""The file in which a document's text is kept: a name that tells people what it is, and never two documents one name."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

from kurt.content.identity import CMS, FILE, cms_parts, document_id, source_type_of

_CLEAN: Final = re.compile(r"[a-z0-9_~-][a-z0-9._~-]*")
_OTHERS: Final = re.compile(r"[^\w.~-]+")
_LONGEST: Final = 80
_DEEPEST: Final = 12
_MARK: Final = 8
_INDEX: Final = "index"
_PLAIN_PORT: Final = {"https": None, "http": 80}


def relative_name(uri: str, workspace_id: str | None = None) -> str:
    """The path of a document's file below the folder of sources, with `/`.

    `https://example.com/guides/keys` is kept in `example.com/guides/keys.md`. Where two addresses could have the same
    name (capital letters, a query, characters that files cannot have), a part of the document's id is added.

    Args:
        uri: its canonical URI.
        workspace_id: the workspace that it belongs to, which has a folder of its own.
    """
    kind = source_type_of(uri)
    folder, segments, exact = _file(uri) if kind == FILE else _item(uri) if kind == CMS else _page(uri)
    clean = [_slug(segment) for segment in segments]
    exact = exact and clean == segments and len(segments) <= _DEEPEST and not _is_folder_a_file(segments)
    *above, last = clean
    if not exact:
        last = f"{last.removesuffix('.md')}-{document_id(uri, workspace_id)[:_MARK]}"
    parts = [folder, *(_folder(name) for name in above[: _DEEPEST - 1]), f"{last.removesuffix('.md')}.md"]
    if workspace_id is not None:
        parts.insert(0, f"@{_slug(workspace_id)}-{document_id(workspace_id)[:_MARK]}")
    return "/".join(parts)


def _page(uri: str) -> tuple[str, list[str], bool]:
    """Folder, names, and whether they are nobody else's, of a web page."""
    parts = urlsplit(uri)
    port = parts.port or _PLAIN_PORT.get(parts.scheme)
    hostname = parts.hostname or ""
    host = _slug(hostname) + (f"_{port}" if port else "")
    segments = [_decoded(segment) for segment in parts.path.split("/")[1:]]
    last = segments[-1] if segments else ""
    exact = _slug(hostname) == hostname and not parts.query and "" not in segments[:-1]
    exact = exact and last != _INDEX and not last.endswith(".md")
    if not last:
        segments[-1:] = [_INDEX]
    if parts.query:
        segments[-1] += f"-{_decoded(parts.query)}"
    return host, [segment or "_" for segment in segments], exact


def _file(uri: str) -> tuple[str, list[str], bool]:
    segments = [segment for segment in _decoded(uri.removeprefix("file:")).split("/") if segment]
    return (
        "_files",
        segments or ["_"],
        segments[-1:] != [] and segments[-1].endswith(".md") and "//" not in uri,
    )


def _item(uri: str) -> tuple[str, list[str], bool]:
    return "_cms", list(cms_parts(uri)), False


def _decoded(text: str) -> str:
    return unquote(text, errors="replace")


def _slug(text: str) -> str:
    """A name that every file system takes."""
    if len(text) <= _LONGEST and _CLEAN.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFC", text).lower()
    return _OTHERS.sub("-", plain).strip("-.")[:_LONGEST].rstrip("-.") or "_"


def _is_folder_a_file(segments: list[str]) -> bool:
    """Whether a folder would have the name of another document's file."""
    return any(segment.endswith(".md") for segment in segments[:-1])


def _folder(name: str) -> str:
    return f"{name.removesuffix('.md')}_md" if name.endswith(".md") else name
