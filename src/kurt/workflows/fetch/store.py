"""What fetches leave in the database, in statements for many documents at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import sqlalchemy as sa

from kurt.content import documents
from kurt.content.identity import FILE, canonical_url, document_id, file_path, file_uri, source_type_of
from kurt.content.patterns import Patterns
from kurt.content.rows import DISCOVERED, ERROR, FETCHED, Fetched, Filter, Found
from kurt.content.search import Text, index, missing_vectors, store_vectors
from kurt.content.tables import DOCUMENTS, groups, insert_into, ours, storable
from kurt.db.models import utc_now
from kurt.db.tenant import current_tenant
from kurt.errors import AmbiguousIdError, KurtError, NotFoundError

from .config import FetchConfig
from .engines import Brought, Target
from .models import FetchDocument, FetchStatus

FETCHES: Final = cast("sa.Table", FetchDocument.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel adds it

_LONGEST_ERROR: Final = 500
_KEPT: Final = ("id", "document_id", "user_id", "workspace_id", "created_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the fetch of a document came out.

    Attributes:
        target: the document.
        engine: what got it.
        status: how it came out.
        brought: what the engine brought, without its body.
        markdown: its text, if that is new.
        facts: what the document says of itself.
        content_hash: hash of its text.
        size: bytes of its text.
        path: its file, once that is written.
        bytes: that were sent.
        extracted: whether its text was taken out of what was sent.
        error: why there is no text.
    """

    target: Target
    engine: str
    status: FetchStatus
    brought: Brought | None = None
    markdown: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    content_hash: str | None = None
    size: int = 0
    path: str | None = None
    bytes: int | None = None
    extracted: bool = False
    error: KurtError | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which documents a run is about.

    Attributes:
        ids: those that are to be fetched, hosts taking turns.
        skipped: those whose text is here already.
        unknown: what was named and is no document, and why.
        fresh: addresses, by id, of those that are no documents yet.
    """

    ids: list[str]
    skipped: list[str]
    unknown: list[dict[str, str]]
    fresh: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The choice as JSON, once all of it are documents."""
        return {"ids": self.ids, "skipped": self.skipped, "unknown": self.unknown}


def choose(connection: sa.Connection, config: FetchConfig, root: str, *, note: bool = True) -> Chosen:
    """Find the documents that a config means; addresses that are unknown become documents.

    Args:
        connection: in a transaction.
        config: what is meant.
        root: the project's folder.
        note: make documents of unknown addresses; a dry run does not.
    """
    named, unknown = _named(config, root)
    ids, none = _identified(connection, config.ids or ())
    uris, lost = _on_disk(connection, named, root)
    unknown += none + lost
    if note:
        documents.upsert_found(connection, [Found(uri, source_type_of(uri)) for uri in uris])
    rows = documents.select_places(connection, _filter(config, ids, uris))
    known = {row.uri for row in rows}
    whose = current_tenant().workspace_id
    fresh = (
        {}
        if note or _narrowed(config)
        else {document_id(uri, whose): uri for uri in uris if uri not in known}
    )
    keep = config.refetch or config.full or bool(config.with_status)
    skipped = [row.id for row in rows if config.named and row.state == FETCHED and not keep]
    places = {row.id: row.uri for row in rows if row.id not in skipped} | fresh
    return Chosen(in_turns(places.items())[: config.limit], skipped, unknown, fresh)


def _identified(connection: sa.Connection, names: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Ids of what was named by an id or its beginning, and what is none."""
    whole = documents.select_places(connection, Filter(ids=tuple(names))) if names else []
    known = {place.id for place in whole}
    found: list[str] = []
    unknown: list[dict[str, str]] = []
    for name in names:
        try:
            found.append(name if name in known else documents.find_document(connection, name).id)
        except KurtError as error:
            remedy = "see `kurt content list`; a page is named by its address, a file by --file"
            hint = error.hint if isinstance(error, AmbiguousIdError) else remedy
            unknown.append({"uri": name, "error": f"{error.message} ({hint})", "code": error.code})
    return found, unknown


def _on_disk(
    connection: sa.Connection, uris: Sequence[str], root: str
) -> tuple[list[str], list[dict[str, str]]]:
    """Addresses without those of files that are neither there nor known, and these."""
    missing = [uri for uri in uris if source_type_of(uri) == FILE and not file_path(uri, root).exists()]
    known = {
        place.uri
        for place in (documents.select_places(connection, Filter(uris=tuple(missing))) if missing else ())
    }
    none = [uri for uri in missing if uri not in known]
    said = "there is no such file (paths begin in the project's folder)"
    return (
        [uri for uri in uris if uri not in none],
        [{"uri": uri, "error": said, "code": NotFoundError.code} for uri in none],
    )


def _named(config: FetchConfig, root: str) -> tuple[list[str], list[dict[str, str]]]:
    """Canonical addresses of what was named by its address, and what cannot be one."""
    uris: list[str] = []
    unknown: list[dict[str, str]] = []
    for text in config.urls or ():
        try:
            uris.append(canonical_url(text))
        except KurtError as error:
            unknown.append({"uri": text, "error": error.message, "code": error.code})
    for text in config.files or ():
        try:
            uri = file_uri(file_path(text, root) if text.startswith("file:") else text, root)
        except KurtError as error:
            unknown.append({"uri": text, "error": error.message, "code": error.code})
            continue
        if uri.startswith("file:///"):
            why = "the file is not in the project: map its folder first, by `kurt content map --folder`"
            unknown.append({"uri": text, "error": why, "code": "outside"})
        else:
            uris.append(uri)
    return list(dict.fromkeys(uris)), unknown


def _narrowed(config: FetchConfig) -> bool:
    """Whether some of the documents that are named may not be meant."""
    return bool(
        config.include_patterns
        or config.exclude_patterns
        or config.with_status
        or config.url_contains
        or config.file_ext
        or config.source_type
    )


def _filter(config: FetchConfig, ids: Sequence[str], uris: Sequence[str]) -> Filter:
    states: tuple[str, ...] = tuple(config.with_status)
    if not states and not config.named:
        states = (DISCOVERED, ERROR, FETCHED) if config.refetch or config.full else (DISCOVERED, ERROR)
    # Named ones that all are no addresses mean nothing, not everything.
    nothing = config.named and not ids and not uris
    return Filter(
        ids=("",) if nothing else tuple(ids),
        uris=tuple(uris),
        states=states,
        source_types=(config.source_type,) if config.source_type else (),
        patterns=Patterns(config.include_patterns, config.exclude_patterns),
        url_contains=config.url_contains,
        file_ext=config.file_ext,
        limit=None if config.named else config.limit,
    )


def in_turns(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Ids so that servers take turns.

    Args:
        pairs: ids with their addresses.
    """
    by_host: defaultdict[str, list[str]] = defaultdict(list)
    for identity, uri in pairs:
        by_host[host_of(uri)].append(identity)
    waiting = [list(reversed(ids)) for ids in by_host.values()]
    ordered: list[str] = []
    while waiting:
        ordered += [ids.pop() for ids in waiting]
        waiting = [ids for ids in waiting if ids]
    return ordered


def host_of(uri: str) -> str:
    """The server of an address; empty for a file."""
    return urlsplit(uri).netloc


def targets(connection: sa.Connection, ids: Sequence[str], folder: Path, *, full: bool) -> list[Target]:
    """What engines need to know of documents, in the order of their ids.

    Args:
        connection: any.
        ids: the documents.
        folder: where texts are; one that somebody has removed there is not here.
        full: have all of them sent again, whatever version is here.
    """
    names = ("id", "uri", "etag", "last_modified", "content_hash", "content_path")
    found: dict[str, Target] = {}
    for some in groups(ids):
        query = sa.select(*(DOCUMENTS.c[name] for name in names)).where(DOCUMENTS.c.id.in_(some), ours())
        for row in connection.execute(query):
            here = row.content_path is not None and (folder / row.content_path).is_file()
            versioned = here and not full
            found[row.id] = Target(
                row.id,
                row.uri,
                etag=row.etag if versioned else None,
                last_modified=row.last_modified if versioned else None,
                content_hash=row.content_hash if here else None,
            )
    return [found[identity] for identity in ids if identity in found]


def unembedded(connection: sa.Connection, model: str, hashes: Iterable[str]) -> set[str]:
    """Which of these texts have no vector yet."""
    return missing_vectors(connection, model, set(hashes))


def record(
    connection: sa.Connection,
    workflow_id: str,
    outcomes: Sequence[Outcome],
    vectors: Mapping[str, bytes],
    model: str | None,
) -> None:
    """Note how fetches came out, their texts for searches, and their vectors."""
    read = [one for one in outcomes if one.content_hash is not None]
    documents.record_fetched(connection, [_fetched(one) for one in read])
    documents.record_unchanged(connection, _ids(outcomes, FetchStatus.UNCHANGED, without=read))
    failed = {one.target.id: _words(one.error) for one in outcomes if one.status is FetchStatus.ERROR}
    documents.record_failed(connection, failed)
    for one in outcomes:
        if one.status is FetchStatus.GONE:
            documents.mark_gone(connection, [one.target.id], one.brought.gone if one.brought else None)
    new = [one for one in outcomes if one.status is FetchStatus.FETCHED]
    index(connection, [Text(one.target.id, one.facts.get("title"), one.markdown or "") for one in new])
    if model is not None:
        store_vectors(connection, model, vectors)
    _record_fetches(connection, workflow_id, outcomes)


def _ids(outcomes: Sequence[Outcome], status: FetchStatus, *, without: Sequence[Outcome]) -> list[str]:
    left_out = {one.target.id for one in without}
    return [one.target.id for one in outcomes if one.status is status and one.target.id not in left_out]


def _fetched(one: Outcome) -> Fetched:
    brought = one.brought or Brought()
    return Fetched(
        id=one.target.id,
        content_path=one.path or "",
        content_hash=one.content_hash or "",
        size=one.size,
        title=one.facts.get("title"),
        author=one.facts.get("author"),
        published=one.facts.get("published"),
        language=one.facts.get("language"),
        etag=brought.etag,
        last_modified=brought.last_modified,
    )


def _record_fetches(connection: sa.Connection, workflow_id: str, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    whose, now = current_tenant(), utc_now()
    rows = [
        {
            **_facts(one),
            "workflow_id": workflow_id,
            "user_id": whose.user_id,
            "workspace_id": whose.workspace_id,
            "created_at": now,
            "updated_at": now,
        }
        for one in outcomes
    ]
    insert = insert_into(connection, FETCHES)
    changed: dict[str, Any] = {
        column.name: insert.excluded[column.name]
        for column in FETCHES.columns
        if column.name not in {*_KEPT, "extractions", "description"}
    }
    changed["extractions"] = FETCHES.c.extractions + insert.excluded.extractions
    changed["description"] = sa.func.coalesce(insert.excluded.description, FETCHES.c.description)
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed), rows)


def _facts(one: Outcome) -> dict[str, Any]:
    brought = one.brought or Brought()
    return {
        "id": one.target.id,
        "document_id": one.target.id,
        "engine": one.engine,
        "status": one.status,
        "url": storable(brought.url),
        "http_status": getattr(one.error, "status", None) or brought.http_status,
        "bytes": one.bytes,
        "description": storable(one.facts.get("description")),
        "extractions": int(one.extracted),
        "error": _words(one.error) if one.error else None,
        "error_code": one.error.code if one.error else None,
    }


def _words(error: KurtError | None) -> str:
    """An error in one line, with what to do."""
    if error is None:
        return ""
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    return storable(" ".join(text.split())[:_LONGEST_ERROR]) or ""


def result_rows(connection: sa.Connection, statuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a run says of its documents: `id, uri, title, status, path, error`, and the error's `code`.

    Args:
        connection: any.
        statuses: how each came out, by id.
    """
    columns = [DOCUMENTS.c[name] for name in ("id", "uri", "title", "content_path", "error")]
    query = sa.select(*columns, FETCHES.c.error_code).outerjoin_from(
        DOCUMENTS, FETCHES, FETCHES.c.document_id == DOCUMENTS.c.id
    )
    found: dict[str, dict[str, Any]] = {}
    for some in groups(list(statuses)):
        for row in connection.execute(query.where(DOCUMENTS.c.id.in_(some), ours())):
            status = statuses[row.id]
            found[row.id] = {
                "id": row.id,
                "uri": row.uri,
                "title": row.title,
                "status": status,
                "path": row.content_path,
                "error": row.error,
                "code": row.error_code if status == FetchStatus.ERROR else None,
            }
    return [found[identity] for identity in statuses if identity in found]
