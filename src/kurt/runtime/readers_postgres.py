"""The read side's connection to Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Error, errors

from kurt.db.connect import DBOS_SCHEMA, connect_postgres
from kurt.db.failures import storage_error
from kurt.runtime.lease_rows import RowExecutors
from kurt.runtime.run_query import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kurt.config import Settings

_LONG = 8192  # characters; see the reader of SQLite
# Postgres refuses to take apart JSON that holds the character NUL; such a text is read whole.
_WHOLE = (
    f"length(o.output) <= {_LONG} OR position('\\u0000' IN o.output) > 0 OR o.serialization <> 'kurt_json'"
)

DIALECT = Dialect(
    attribute="w.attributes #>> '{{kurt,{}}}'",
    envelope=f"CASE WHEN {_WHOLE} THEN o.output ELSE (o.output::jsonb - 'value')::text END",
    summary=(
        "CASE WHEN position('\\u0000' IN o.output) = 0 AND w.serialization = 'kurt_json'"
        " THEN (o.output::jsonb -> 'summary')::text END"
    ),
    prefix_by_range=False,
)
"""Postgres's way to say things."""


class PostgresSource:
    """A connection to the project's database."""

    dialect = DIALECT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection = connect_postgres(settings, application="kurt-reader")
        self._executors = RowExecutors(self._connection)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """The rows that a statement gives; none before the first run.

        Raises:
            StorageError: the database cannot be reached.
        """
        try:
            text = statement.replace("?", "%s").replace("@", f"{DBOS_SCHEMA}.")
            return self._connection.execute(text.encode(), values).fetchall()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return []
        except Error as error:
            raise storage_error(self._settings, error) from error

    def alive(self, owners: Iterable[str]) -> set[str]:
        """Those of the executors that live; one query for all."""
        wanted = set(owners)
        if not wanted:
            return set()
        try:
            return wanted & self._executors.alive()
        except errors.UndefinedTable:
            return set()
        except Error as error:
            raise storage_error(self._settings, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
