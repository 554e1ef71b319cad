"""Questions to the table of documents; answers are about the present workspace only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from kurt.content.identity import canonical_url
from kurt.content.rows import STATES, Filter, Place
from kurt.content.tables import DOCUMENTS, groups, ours
from kurt.db.models import Document
from kurt.errors import AmbiguousIdError, DataError, NotFoundError, UsageError

_ESCAPE: Final = "\\"
_AT_ONCE: Final = 1000


def select_documents(connection: sa.Connection, filters: Filter | None = None) -> list[Document]:
    """The documents that are meant, by URI.

    Raises:
        UsageError: there is no such state.
    """
    rows = _rows(connection, filters or Filter(), list(DOCUMENTS.c))
    return [Document(**row) for row in rows]


def select_ids(connection: sa.Connection, filters: Filter | None = None) -> list[str]:
    """Ids of the documents that are meant, in the order of their URIs.

    Raises:
        UsageError: there is no such state.
    """
    return [row["id"] for row in _rows(connection, filters or Filter(), [DOCUMENTS.c.id, DOCUMENTS.c.uri])]


def select_places(connection: sa.Connection, filters: Filter | None = None) -> list[Place]:
    """Of the documents that are meant only which they are and how far they have come, by URI: for many of them.

    Raises:
        UsageError: there is no such state.
    """
    columns = [DOCUMENTS.c[name] for name in Place._fields]
    return [Place(**row) for row in _rows(connection, filters or Filter(), columns)]


def find_document(connection: sa.Connection, text: str) -> Document:
    """The document with an id, the beginning of one, or a URI.

    Raises:
        NotFoundError: there is none.
        AmbiguousIdError: several ids begin so.
    """
    table = DOCUMENTS.c
    whole = sa.or_(table.id == text, table.uri.in_(_spellings(text)))
    begun = table.id.startswith(text, autoescape=True)
    for condition in (whole, begun):
        rows = connection.execute(sa.select(DOCUMENTS).where(condition, ours()).limit(2)).mappings().all()
        if len(rows) > 1:
            raise AmbiguousIdError(
                f"several documents have ids that begin with {text!r}", hint="write more of the id"
            )
        if rows:
            return Document(**rows[0])
    raise NotFoundError(f"there is no document {text!r}", hint="see `kurt content list`")


def stats(connection: sa.Connection) -> dict[str, Any]:
    """Numbers about all documents.

    Returns:
        `total`, `by_state`, `by_source_type`, `with_content`, `bytes`, `oldest_fetch` and `newest_fetch` (None where
        nothing was fetched), `errors`: the most frequent ones, each `{error, count}`.
    """
    table = DOCUMENTS.c
    numbers = sa.select(
        sa.func.count().label("total"),
        sa.func.count(table.content_path).label("with_content"),
        sa.func.coalesce(sa.func.sum(table.size), 0).label("bytes"),
        sa.func.min(table.fetched_at).label("oldest_fetch"),
        sa.func.max(table.fetched_at).label("newest_fetch"),
    ).where(ours())
    row = connection.execute(numbers).one()
    states = _counts(connection, table.state)
    return {
        "total": row.total,
        "by_state": {state: states.get(state, 0) for state in STATES} | states,
        "by_source_type": _counts(connection, table.source_type),
        "with_content": row.with_content,
        "bytes": int(row.bytes),
        "oldest_fetch": row.oldest_fetch,
        "newest_fetch": row.newest_fetch,
        "errors": [{"error": error, "count": count} for error, count in _errors(connection)],
    }


def _spellings(text: str) -> list[str]:
    """The text, and as a web address in its canonical form."""
    try:
        return list(dict.fromkeys([canonical_url(text), text]))
    except DataError:
        return [text]


def _counts(connection: sa.Connection, column: Any) -> dict[str, int]:
    rows = connection.execute(
        sa.select(column, sa.func.count()).where(ours()).group_by(column).order_by(column)
    )
    return {str(value): count for value, count in rows}


def _errors(connection: sa.Connection) -> Sequence[Any]:
    count = sa.func.count()
    error = DOCUMENTS.c.error
    query = sa.select(error, count).where(ours(), error.is_not(None)).group_by(error)
    return connection.execute(query.order_by(count.desc(), error).limit(10)).all()


def _rows(connection: sa.Connection, filters: Filter, columns: Sequence[Any]) -> list[Any]:
    """Rows of the documents that are meant, each once."""
    if unknown := sorted(set(filters.states) - set(STATES)):
        raise UsageError(f"there is no state {unknown[0]!r}", hint=f"use one of {', '.join(STATES)}")
    found: list[Any] = []
    for chosen in _chosen(filters):
        query = sa.select(*columns).where(ours(), *conditions_of(filters), *chosen).order_by(DOCUMENTS.c.uri)
        if filters.limit is not None and not filters.patterns:
            query = query.limit(filters.limit)
        rows = connection.execute(query).mappings()
        found += [row for row in rows if filters.patterns.allows(row["uri"])]
    unique = {row["id"]: row for row in found}
    rows = sorted(unique.values(), key=lambda row: row["uri"])
    return rows if filters.limit is None else rows[: filters.limit]


def _chosen(filters: Filter) -> Iterator[list[sa.ColumnElement[bool]]]:
    """Conditions for ids and URIs, in groups of a bearable size; they add to each other."""
    if not filters.ids and not filters.uris:
        yield []
    for some in groups(list(dict.fromkeys(filters.ids))):
        yield [DOCUMENTS.c.id.in_(some)]
    for some in groups(list(dict.fromkeys(filters.uris))):
        yield [DOCUMENTS.c.uri.in_(some)]


def conditions_of(filters: Filter) -> list[sa.ColumnElement[bool]]:
    """What a filter demands of a document, but for ids, URIs and patterns."""
    table = DOCUMENTS.c
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.states:
        conditions.append(table.state.in_(filters.states))
    if filters.source_types:
        conditions.append(table.source_type.in_(filters.source_types))
    if filters.url_contains:
        conditions.append(table.uri.icontains(filters.url_contains, autoescape=True))
    if filters.file_ext:
        ending = "." + filters.file_ext.lstrip(".").lower()
        conditions.append(sa.func.lower(table.uri).endswith(ending, autoescape=True))
    if filters.has_content is not None:
        conditions.append(
            table.content_path.is_not(None) if filters.has_content else table.content_path.is_(None)
        )
    if filters.min_size is not None:
        conditions.append(table.size >= filters.min_size)
    if filters.fetched_before is not None:
        conditions.append(sa.or_(table.fetched_at.is_(None), table.fetched_at < filters.fetched_before))
    return conditions
