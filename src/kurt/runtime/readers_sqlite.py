"""The read side's connection to SQLite."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from kurt.db.connect import connect_sqlite
from kurt.db.failures import storage_error
from kurt.runtime.lease_files import FileExecutors
from kurt.runtime.run_query import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kurt.config import Settings

_LONG = 8192  # characters; below, reading a checkpoint whole costs less than taking it apart in the database

DIALECT = Dialect(
    attribute="json_extract(w.attributes, '$.kurt.{}')",
    envelope=(
        f"CASE WHEN length(o.output) <= {_LONG} OR NOT json_valid(o.output) THEN o.output"
        " ELSE json_remove(o.output, '$.value') END"
    ),
    summary="CASE WHEN json_valid(o.output) THEN json_extract(o.output, '$.summary') END",
    prefix_by_range=True,
)
"""SQLite's way to say things."""


class SqliteSource:
    """A read-only connection to the project's file, and the locked files of its executors."""

    dialect = DIALECT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._executors = FileExecutors(settings.executors_dir)
        # A project in which nothing ran yet has no file, and no runs.
        exists = settings.sqlite_path.exists()
        self._connection = connect_sqlite(settings, readonly=True) if exists else None

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """The rows that a statement gives; none before the first run.

        Raises:
            StorageError: the file is damaged or cannot be read.
        """
        if self._connection is None:
            return []
        try:
            return self._connection.execute(statement.replace("@", ""), values).fetchall()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return []
            raise storage_error(self._settings, error) from error

    def alive(self, owners: Iterable[str]) -> set[str]:
        """Those of the executors that live."""
        return {owner for owner in owners if self._executors.is_alive(owner)}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
