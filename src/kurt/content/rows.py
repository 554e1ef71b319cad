"""What workflows tell of documents, and what they ask for: values without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from kurt.content.patterns import Patterns

DISCOVERED: Final = "discovered"
FETCHED: Final = "fetched"
ERROR: Final = "error"
GONE: Final = "gone"
STATES: Final = (DISCOVERED, FETCHED, ERROR, GONE)
"""How far a document has come: found; its text is here; it could not be fetched; it is not there any more."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was found somewhere.

    Attributes:
        uri: its canonical URI.
        source_type: `url`, `file` or `cms`.
        title: what the place where it was found calls it.
        author: likewise.
        published: likewise, ISO 8601.
        language: likewise, ISO 639-1.
    """

    uri: str
    source_type: str = "url"
    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None


class Place(NamedTuple):
    """Of a document which it is and how far it has come.

    Attributes:
        id: its id.
        uri: its URI.
        state: one of `STATES`.
    """

    id: str
    uri: str
    state: str


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """Which document it is.

    Attributes:
        id: its id.
        uri: its canonical URI.
        is_new: whether it was unknown before.
    """

    id: str
    uri: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document whose text was fetched and written.

    Attributes:
        id: its id.
        content_path: its file below the folder of sources.
        content_hash: SHA-256 of its text.
        size: bytes of its text.
        title: what the document itself says; None keeps what is known.
        author: likewise.
        published: likewise, ISO 8601.
        language: likewise, ISO 639-1.
        etag: what the server said of this version.
        last_modified: likewise.
        fetched_at: when; now by default.
    """

    id: str
    content_path: str
    content_hash: str
    size: int
    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents are meant; what is empty or None does not matter.

    Attributes:
        ids: these ids.
        uris: these canonical URIs.
        states: one of these states.
        source_types: from one of these sources.
        patterns: the URI fits.
        url_contains: the URI has this text in it, whatever the case.
        file_ext: the URI ends with this extension, with or without its dot.
        has_content: whether its text is here.
        min_size: bytes of text at least.
        fetched_before: its text is older than this, or was never fetched.
        limit: this many at most.
    """

    ids: Sequence[str] = ()
    uris: Sequence[str] = ()
    states: Sequence[str] = ()
    source_types: Sequence[str] = ()
    patterns: Patterns = field(default_factory=Patterns)
    url_contains: str | None = None
    file_ext: str | None = None
    has_content: bool | None = None
    min_size: int | None = None
    fetched_before: datetime | None = None
    limit: int | None = None
