"""What statements about documents have in common: the table, whose documents they are, and how many values they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sqlalchemy.dialects import postgresql, sqlite

from kurt.db.models import Document
from kurt.db.tenant import current_tenant

if TYPE_CHECKING:
    import sqlalchemy as sa

T = TypeVar("T")

DOCUMENTS: Final = cast("sa.Table", Document.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel adds it

MOST_VALUES: Final = 500
"""Values in one statement; SQLite and Postgres have limits, and long statements are slow to build."""


def ours() -> sa.ColumnElement[bool]:
    """Documents of the present workspace; without one, those that belong to none."""
    return DOCUMENTS.c.workspace_id.is_not_distinct_from(current_tenant().workspace_id)


def groups(values: Sequence[T], size: int = MOST_VALUES) -> Iterator[Sequence[T]]:
    """The values in groups, for statements that cannot take them all."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """The INSERT of this back end, which knows what to do about rows that are there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def storable(text: str | None) -> str | None:
    """A text that every database takes: without NUL and halves of pairs."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
