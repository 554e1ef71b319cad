"""The table of documents: what is written into it when documents are found, fetched, lost and deleted.

Every function works in the transaction of the connection that it is given, such as `session.connection()` of
`managed_session()`, and on the documents of the present workspace only; nothing is committed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from kurt.content.identity import document_id
from kurt.content.queries import find_document, select_documents, select_ids, select_places, stats
from kurt.content.rows import DISCOVERED, ERROR, FETCHED, GONE, DocumentRef, Fetched, Filter, Found
from kurt.content.search.vectors import drop_unused
from kurt.content.tables import DOCUMENTS, groups, insert_into, ours, storable
from kurt.db.models import utc_now
from kurt.db.tenant import Tenant, current_tenant

__all__ = [
    "DocumentRef",
    "Fetched",
    "Filter",
    "Found",
    "delete_documents",
    "find_document",
    "mark_gone",
    "record_failed",
    "record_fetched",
    "record_unchanged",
    "select_documents",
    "select_ids",
    "select_places",
    "stats",
    "upsert_found",
]

_FOUND: Final = tuple(field.name for field in fields(Found))

_KEPT: Final = ("title", "author", "published", "language")
"""What is only replaced by something that is known."""

_LONGEST_ERROR: Final = 2000


def upsert_found(connection: sa.Connection, found: Sequence[Found]) -> dict[str, DocumentRef]:
    """Note documents that were found; those that are known keep what is known of them.

    A document that was gone is found again: its state is `discovered`, so that it is fetched.

    Args:
        connection: in a transaction.
        found: documents; of several with one URI the first counts.

    Returns:
        by URI: the document's id, and whether it is new.
    """
    wanted = {one.uri: one for one in reversed(found)}
    before = _known(connection, list(wanted))
    whose = current_tenant()
    new = {
        uri: document_id(uri, whose.workspace_id)
        for uri in dict.fromkeys(one.uri for one in found)
        if uri not in before
    }
    if new:
        now = utc_now()
        rows = [_new_row(identity, wanted[uri], whose, now) for uri, identity in new.items()]
        connection.execute(insert_into(connection, DOCUMENTS).on_conflict_do_nothing(), rows)
    _update_known(connection, [(row, wanted[uri]) for uri, row in before.items()])
    ids = {uri: row.id for uri, row in before.items()} | new
    return {one.uri: DocumentRef(ids[one.uri], one.uri, one.uri in new) for one in found}


def record_fetched(connection: sa.Connection, fetched: Sequence[Fetched]) -> None:
    """Note that documents were fetched and their texts written."""
    now = utc_now()
    facts = [
        {
            **{
                name: storable(value) if isinstance(value, str) else value
                for name, value in asdict(one).items()
            },
            "fetched_at": one.fetched_at or now,
        }
        for one in fetched
    ]
    kept = {name: sa.func.coalesce(sa.bindparam(f"new_{name}"), DOCUMENTS.c[name]) for name in _KEPT}
    given = ("content_path", "content_hash", "size", "etag", "last_modified", "fetched_at")
    values = {**kept, **{name: sa.bindparam(f"new_{name}") for name in given}}
    _update(connection, facts, {**values, "state": FETCHED, "error": None})


def record_unchanged(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Note that documents were asked for again and are as they were."""
    known = [{"id": identity} for identity in ids]
    _update(connection, known, {"state": FETCHED, "error": None, "fetched_at": utc_now()})


def record_failed(connection: sa.Connection, errors: Mapping[str, str]) -> None:
    """Note why documents could not be fetched; a text that was fetched earlier stays.

    Args:
        connection: in a transaction.
        errors: by id of the document.
    """
    facts = [{"id": identity, "error": storable(text[:_LONGEST_ERROR])} for identity, text in errors.items()]
    _update(connection, facts, {"state": ERROR, "error": sa.bindparam("new_error")})


def mark_gone(connection: sa.Connection, ids: Sequence[str], why: str | None = None) -> None:
    """Note that documents are not there any more; their last texts stay, and searches leave them out."""
    _update(connection, [{"id": identity} for identity in ids], {"state": GONE, "error": storable(why)})


def delete_documents(connection: sa.Connection, ids: Sequence[str]) -> list[str]:
    """Remove documents with all that is known of them; paths of their files, which the caller removes afterwards.

    Vectors stay while another document has the same text.
    """
    paths: list[str] = []
    for some in groups(list(ids)):
        those = sa.and_(DOCUMENTS.c.id.in_(some), ours())
        kept = sa.select(DOCUMENTS.c.content_path, DOCUMENTS.c.content_hash)
        rows = connection.execute(kept.where(those, DOCUMENTS.c.content_path.is_not(None))).all()
        paths += [row.content_path for row in rows]
        connection.execute(sa.delete(DOCUMENTS).where(those))
        drop_unused(connection, {row.content_hash for row in rows if row.content_hash})
    return paths


def _new_row(identity: str, one: Found, whose: Tenant, now: datetime) -> dict[str, Any]:
    """The row of a document that was unknown."""
    return {
        **{name: storable(getattr(one, name)) for name in _FOUND},
        "id": identity,
        "state": DISCOVERED,
        "user_id": whose.user_id,
        "workspace_id": whose.workspace_id,
        "created_at": now,
        "updated_at": now,
    }


def _known(connection: sa.Connection, uris: Sequence[str]) -> dict[str, Any]:
    """What is known of documents, by URI."""
    columns = [DOCUMENTS.c[name] for name in ("id", "uri", "state", *_KEPT)]
    found: dict[str, Any] = {}
    for some in groups(uris):
        rows = connection.execute(sa.select(*columns).where(DOCUMENTS.c.uri.in_(some), ours()))
        found |= {row.uri: row for row in rows}
    return found


def _update_known(connection: sa.Connection, pairs: Sequence[tuple[Any, Found]]) -> None:
    """Add what was not known yet, and bring back what was gone; rows of which nothing changes are not touched."""
    changed: list[dict[str, Any]] = []
    for row, one in pairs:
        facts = {name: getattr(row, name) or storable(getattr(one, name)) for name in _KEPT}
        state = DISCOVERED if row.state == GONE else row.state
        if state != row.state or any(facts[name] != getattr(row, name) for name in _KEPT):
            changed.append({"id": row.id, "state": state, **facts})
    _update(connection, changed, {name: sa.bindparam(f"new_{name}") for name in ("state", *_KEPT)})


def _update(connection: sa.Connection, facts: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> None:
    """Change one row for each of these facts; `values` reads them as `new_<name>`."""
    if not facts:
        return
    statement = sa.update(DOCUMENTS).where(DOCUMENTS.c.id == sa.bindparam("new_id"), ours())
    rows = [{f"new_{name}": value for name, value in one.items()} for one in facts]
    connection.execute(statement.values(**values, updated_at=utc_now()), rows)
