"""Search by words: FTS5 on SQLite, tsvector on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from kurt.content.search.indexing import PASSAGES
from kurt.content.tables import DOCUMENTS, ours

if TYPE_CHECKING:
    from kurt.content.search.terms import Terms

_WEIGHTS: Final = "8.0, 4.0, 1.0"
_PER_DOCUMENT: Final = 8
_ENGLISH: Final = "english"


@dataclass(frozen=True, slots=True)
class Match:
    """A document that was found.

    Attributes:
        id: its id.
        uri: its URI.
        title: its title.
        heading: the heading over the passage.
        text: the passage that fits best.
    """

    id: str
    uri: str
    title: str | None
    heading: str | None
    text: str


def by_words(
    connection: sa.Connection, terms: Terms, conditions: Sequence[sa.ColumnElement[bool]], limit: int
) -> list[Match]:
    """Documents with any of the words, those with more and rarer ones first; the best passage of each.

    Args:
        connection: to the database.
        terms: what is searched for.
        conditions: which documents are meant.
        limit: documents at most.
    """
    if not terms.phrases:
        return []
    query = _fts5(terms) if connection.dialect.name == "sqlite" else _tsvector(terms)
    query = query.where(ours(), *conditions).limit(limit * _PER_DOCUMENT)
    best: dict[str, Match] = {}
    for row in connection.execute(query):
        best.setdefault(row.id, Match(row.id, row.uri, row.title, row.heading, row.text))
    return list(best.values())[:limit]


def _shown() -> list[Any]:
    return [DOCUMENTS.c.id, DOCUMENTS.c.uri, DOCUMENTS.c.title, PASSAGES.c.heading, PASSAGES.c.text]


def _fts5(terms: Terms) -> Any:
    fts = sa.table("kurt_content_fts", sa.column("rowid"))
    wanted = " OR ".join('"' + " ".join(phrase) + '"' for phrase in terms.phrases)
    joined = fts.join(PASSAGES, PASSAGES.c.id == fts.c.rowid).join(
        DOCUMENTS, DOCUMENTS.c.id == PASSAGES.c.document_id
    )
    matches = sa.text("kurt_content_fts MATCH :wanted").bindparams(wanted=wanted)
    rank = sa.text(f"bm25(kurt_content_fts, {_WEIGHTS})")
    return sa.select(*_shown()).select_from(joined).where(matches).order_by(rank, PASSAGES.c.id)


def _tsvector(terms: Terms) -> Any:
    words: Any = sa.literal_column("content_passages.words")
    parts = [sa.func.phraseto_tsquery(_ENGLISH, " ".join(phrase)) for phrase in terms.phrases]
    wanted: Any = parts[0]
    for part in parts[1:]:
        wanted = wanted.op("||")(part)
    matched = sum((sa.cast(words.op("@@")(part), sa.Integer) for part in parts), start=sa.literal(0))
    joined = PASSAGES.join(DOCUMENTS, DOCUMENTS.c.id == PASSAGES.c.document_id)
    query = sa.select(*_shown()).select_from(joined).where(words.op("@@")(wanted))
    return query.order_by(matched.desc(), sa.func.ts_rank(words, wanted, 1).desc(), PASSAGES.c.id)
