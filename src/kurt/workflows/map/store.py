"""The tables of `map`: what runs found, in statements for many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from kurt.content import documents
from kurt.content.identity import document_id
from kurt.content.rows import Found
from kurt.content.tables import DOCUMENTS, groups, insert_into, storable
from kurt.db.models import utc_now
from kurt.db.tenant import current_tenant

from .map_folder import Known
from .models import MapDocument, MapSource, MapStatus

if TYPE_CHECKING:
    from kurt.types import JsonObject

MAP: Final = cast("sa.Table", MapDocument.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel adds it
SOURCES: Final = cast("sa.Table", MapSource.__table__)  # pyright: ignore[reportAttributeAccessIssue] - as above

_LONGEST: Final = 500
_REPLACED: Final = (
    *("workflow_id", "source", "discovery_method", "status", "depth", "content_hash", "size", "modified"),
    *("moved_from", "error", "updated_at"),
)
_FACTS: Final = ("depth", "content_hash", "size", "modified")
_KEPT: Final = ("document_id", "title")
"""Columns that stay as they are where nothing new is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run says of all documents that it finds.

    Attributes:
        workflow_id: the run.
        source: what was searched.
        source_type: `url`, `file` or `cms`.
        method: how.
    """

    workflow_id: str
    source: str
    source_type: str
    method: str


def ours(table: sa.Table) -> sa.ColumnElement[bool]:
    """Rows of the present workspace; without one, those that belong to none."""
    return table.c.workspace_id.is_not_distinct_from(current_tenant().workspace_id)


def known_files(connection: sa.Connection, prefix: str) -> dict[str, Known]:
    """Files that runs have found, by address.

    Args:
        connection: any.
        prefix: how the addresses begin.
    """
    names = ("uri", "content_hash", "size", "modified", "title", "status")
    query = sa.select(*(MAP.c[name] for name in names)).where(
        MAP.c.uri.startswith(prefix, autoescape=True), MAP.c.document_id.is_not(None), ours(MAP)
    )
    return {
        row.uri: Known(
            row.uri, row.content_hash, row.size, row.modified, row.title, row.status is MapStatus.GONE
        )
        for row in connection.execute(query)
    }


def compare(connection: sa.Connection, rows: Sequence[JsonObject]) -> list[list[str]]:
    """Id and status of each row, as they would be saved; changes nothing."""
    known: dict[str, str] = {}
    for some in groups([row["uri"] for row in rows]):
        query = sa.select(DOCUMENTS.c.uri, DOCUMENTS.c.id).where(DOCUMENTS.c.uri.in_(some), documents_ours())
        known |= {row.uri: row.id for row in connection.execute(query)}
    ids = {row["uri"]: known.get(row["uri"]) or _id(row["uri"]) for row in rows}
    before = _before(connection, list(ids.values()))
    return [
        [ids[row["uri"]], _status(row, before.get(ids[row["uri"]]), is_new=row["uri"] not in known).value]
        for row in rows
    ]


def documents_ours() -> sa.ColumnElement[bool]:
    """Documents of the present workspace."""
    return ours(DOCUMENTS)


def save(connection: sa.Connection, rows: Sequence[JsonObject], finding: Finding) -> list[list[str]]:
    """Store what was found; id and status of each row.

    Args:
        connection: in a transaction.
        rows: each `uri` once, with `title` and what else is known, or with `error`.
        finding: what holds for all of them.
    """
    good = [_found(row, finding.source_type) for row in rows if not row.get("error")]
    refs = documents.upsert_found(connection, good)
    ids = {row["uri"]: refs[row["uri"]].id if row["uri"] in refs else _id(row["uri"]) for row in rows}
    before = _before(connection, list(ids.values()))
    common = _common(finding)
    values: list[dict[str, Any]] = []
    same: list[str] = []
    marks: list[list[str]] = []
    for row in rows:
        identity, ref = ids[row["uri"]], refs.get(row["uri"])
        status = _status(row, before.get(identity), is_new=ref is not None and ref.is_new)
        marks.append([identity, status.value])
        if status is MapStatus.EXISTING and _is_same(row, before.get(identity)):
            same.append(identity)
        else:
            values.append({**_values(row, identity, status), **common})
    _upsert(connection, values)
    _touch(connection, same, finding)
    return marks


def _found(row: JsonObject, source_type: str) -> Found:
    facts = {name: row.get(name) for name in ("title", "author", "published", "language")}
    return Found(row["uri"], source_type, **facts)


def _id(uri: str) -> str:
    return document_id(uri, current_tenant().workspace_id)


def _before(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Any]:
    """What earlier runs said, by id."""
    columns = [MAP.c[name] for name in ("id", "document_id", "title", "status", *_FACTS)]
    found: dict[str, Any] = {}
    for some in groups(ids):
        found |= {row.id: row for row in connection.execute(sa.select(*columns).where(MAP.c.id.in_(some)))}
    return found


def _status(row: JsonObject, before: Any | None, *, is_new: bool) -> MapStatus:
    if row.get("error"):
        return MapStatus.ERROR
    if is_new or (before is not None and before.status is MapStatus.GONE):
        return MapStatus.RENAMED if row.get("moved_from") else MapStatus.DISCOVERED
    if before is None:
        return MapStatus.EXISTING
    # A file may have been touched only; where there is a hash, it decides.
    what = "content_hash" if row.get("content_hash") else "modified"
    old, new = getattr(before, what), row.get(what)
    return MapStatus.CHANGED if old and new and old != new else MapStatus.EXISTING


def _is_same(row: JsonObject, before: Any | None) -> bool:
    """Whether the row would store again what is stored; a title that is not found this time stays."""
    if before is None or before.document_id is None:
        return False
    title = storable(row.get("title"))
    return (title is None or title == before.title) and all(
        row.get(name) == getattr(before, name) for name in _FACTS
    )


def _touch(connection: sa.Connection, ids: Sequence[str], finding: Finding) -> None:
    """Note that a run has found these rows as they were: quicker than writing all of each again."""
    for some in groups(ids):
        change = sa.update(MAP).where(MAP.c.id.in_(some))
        connection.execute(
            change.values(
                workflow_id=finding.workflow_id,
                source=finding.source,
                discovery_method=finding.method,
                status=MapStatus.EXISTING,
                moved_from=None,
                error=None,
                updated_at=utc_now(),
            )
        )


def _values(row: JsonObject, identity: str, status: MapStatus) -> dict[str, Any]:
    error = row.get("error")
    return {
        "id": identity,
        "document_id": None if error else identity,
        "uri": row["uri"],
        "title": storable(row.get("title")),
        "status": status,
        **{name: row.get(name) for name in (*_FACTS, "moved_from")},
        "error": storable(str(error)[:_LONGEST]) if error else None,
    }


def _common(finding: Finding) -> dict[str, Any]:
    """What holds for all rows of one statement."""
    whose, now = current_tenant(), utc_now()
    return {
        "workflow_id": finding.workflow_id,
        "source": finding.source,
        "discovery_method": finding.method,
        "user_id": whose.user_id,
        "workspace_id": whose.workspace_id,
        "created_at": now,
        "updated_at": now,
    }


def _upsert(connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> None:
    if not values:
        return
    insert = insert_into(connection, MAP)
    replaced = {name: insert.excluded[name] for name in _REPLACED}
    kept = {name: sa.func.coalesce(insert.excluded[name], MAP.c[name]) for name in _KEPT}
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_={**replaced, **kept}), values)


def mark_gone(connection: sa.Connection, uris: Sequence[str], workflow_id: str) -> int:
    """Note that documents are not there any more; how many of them were known."""
    ids: list[str] = []
    for some in groups(uris):
        query = sa.select(MAP.c.document_id).where(
            MAP.c.uri.in_(some), MAP.c.document_id.is_not(None), ours(MAP)
        )
        ids += connection.execute(query).scalars()
    documents.mark_gone(connection, ids)
    for some in groups(ids):
        change = sa.update(MAP).where(MAP.c.id.in_(some))
        connection.execute(
            change.values(status=MapStatus.GONE, workflow_id=workflow_id, error=None, updated_at=utc_now())
        )
    return len(ids)


def uris_of(connection: sa.Connection, source: str) -> list[str]:
    """Addresses of the documents of a source that were there when it was searched last."""
    query = sa.select(MAP.c.uri).where(
        MAP.c.source == source,
        MAP.c.document_id.is_not(None),
        MAP.c.status != MapStatus.GONE,
        ours(MAP),
    )
    return list(connection.execute(query).scalars())


def position(connection: sa.Connection, source: str) -> str | None:
    """How far the sync of a source has come."""
    return connection.execute(
        sa.select(SOURCES.c.position).where(SOURCES.c.id == _source_id(source))
    ).scalar()


def set_position(connection: sa.Connection, source: str, value: str | None, workflow_id: str) -> None:
    """Note how far the sync of a source has come."""
    whose, now = current_tenant(), utc_now()
    insert = insert_into(connection, SOURCES).values(
        id=_source_id(source),
        source=source,
        workflow_id=workflow_id,
        position=value,
        user_id=whose.user_id,
        workspace_id=whose.workspace_id,
        created_at=now,
        updated_at=now,
    )
    changes = {name: insert.excluded[name] for name in ("workflow_id", "position", "updated_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changes))


def _source_id(source: str) -> str:
    return document_id(source, current_tenant().workspace_id)
