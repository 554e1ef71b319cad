"""Putting the texts of documents into the index of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import sqlalchemy as sa

from kurt.content.search.passages import passages
from kurt.content.tables import DOCUMENTS, groups, ours, storable
from kurt.db.models import ContentPassage

PASSAGES: Final = cast("sa.Table", ContentPassage.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel adds it


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a document.

    Attributes:
        document_id: the document.
        title: its title.
        markdown: its text, without front matter.
    """

    document_id: str
    title: str | None
    markdown: str


def index(connection: sa.Connection, texts: Sequence[Text]) -> int:
    """Make documents known to searches by their words, in place of what was known of them; the number of passages.

    Args:
        connection: in a transaction, best that of `record_fetched`.
        texts: documents whose text is new or has changed; they are in the table already.
    """
    for some in groups([text.document_id for text in texts]):
        connection.execute(sa.delete(PASSAGES).where(PASSAGES.c.document_id.in_(some)))
    rows = [
        {
            "document_id": text.document_id,
            "position": position,
            "title": storable(text.title),
            "heading": storable(passage.heading),
            "text": storable(passage.text),
        }
        for text in texts
        for position, passage in enumerate(passages(text.markdown))
    ]
    if rows:
        connection.execute(sa.insert(PASSAGES), rows)
    return len(rows)


def outdated(connection: sa.Connection, limit: int | None = None) -> list[str]:
    """Ids of documents whose text is here and that searches by words do not know."""
    known = sa.select(PASSAGES.c.id).where(PASSAGES.c.document_id == DOCUMENTS.c.id)
    query = sa.select(DOCUMENTS.c.id).where(ours(), DOCUMENTS.c.content_path.is_not(None), ~known.exists())
    return list(connection.execute(query.order_by(DOCUMENTS.c.uri).limit(limit)).scalars())
