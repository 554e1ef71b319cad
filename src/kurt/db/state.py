"""Which schema the database has and which one this build needs; one plain query, no SQLAlchemy."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, LiteralString

from kurt.db.connect import connect_postgres, connect_sqlite
from kurt.db.failures import storage_error

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.types import JsonObject

HEAD = "20261121_009"
"""The newest revision in `migrations/versions`; a test compares the two."""

VERSION_TABLE = "kurt_alembic_version"
"""Where Alembic keeps the revision of Kurt's own tables; durable."""

PROJECT_VERSION_TABLE = "project_alembic_version"
"""Where Alembic keeps the revision of the tables of a project's own workflow modules; durable."""

META_DBOS = "dbos"
"""Key in `kurt_meta`: the release of DBOS whose migrations were run last."""

_REVISION = "SELECT version_num FROM kurt_alembic_version"
_DBOS = "SELECT value FROM kurt_meta WHERE key = 'dbos'"
_PROJECT = "SELECT version_num FROM project_alembic_version"
_ALL_SQLITE = (
    "SELECT (SELECT version_num FROM kurt_alembic_version), (SELECT value FROM kurt_meta WHERE key = 'dbos'),"
    " (SELECT version FROM dbos_migrations)"
)
_ALL_POSTGRES = (
    "SELECT (SELECT version_num FROM kurt_alembic_version), (SELECT value FROM kurt_meta WHERE key = 'dbos'),"
    " (SELECT version FROM dbos.dbos_migrations)"
)


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema of a database beside what this build needs.

    Attributes:
        revision: revision of Kurt's tables, None where there are none.
        head: the revision that this build needs.
        dbos: release of DBOS that last migrated its tables, None if it never did.
        dbos_needed: the installed release.
        project: revision of the tables of the project's own modules, None where there are none.
    """

    revision: str | None
    head: str
    dbos: str | None
    dbos_needed: str
    project: str | None = None

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be done before this build can use the database."""
        return self.revision == self.head and self.dbos == self.dbos_needed

    def to_json(self) -> JsonObject:
        """The state as JSON."""
        return {
            "revision": self.revision,
            "head": self.head,
            "dbos": self.dbos,
            "dbos_needed": self.dbos_needed,
            "project": self.project,
            "current": self.is_current,
        }


def is_current(settings: Settings) -> bool:
    """Whether the schema is the one that this build needs; one query.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    if settings.is_sqlite and not settings.sqlite_path.exists():
        return False
    row = _first_row(settings, _ALL_SQLITE if settings.is_sqlite else _ALL_POSTGRES)
    return row is not None and row[0] == HEAD and row[1] == installed_dbos() and row[2] is not None


def read_state(settings: Settings) -> SchemaState:
    """All about the schema; creates nothing.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    found: list[str | None] = [None, None, None]
    if not settings.is_sqlite or settings.sqlite_path.exists():
        for place, statement in enumerate((_REVISION, _DBOS, _PROJECT)):
            row = _first_row(settings, statement)
            found[place] = row[0] if row else None
    return SchemaState(found[0], HEAD, found[1], installed_dbos(), found[2])


def installed_dbos() -> str:
    """The installed release of DBOS."""
    return version("dbos")


def _first_row(settings: Settings, statement: LiteralString) -> Any:
    """The first row that a statement gives, or None where a table is missing."""
    return _from_sqlite(settings, statement) if settings.is_sqlite else _from_postgres(settings, statement)


def _from_sqlite(settings: Settings, statement: str) -> Any:
    with closing(connect_sqlite(settings, readonly=True)) as connection:
        try:
            return connection.execute(statement).fetchone()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return None
            raise storage_error(settings, error) from error


def _from_postgres(settings: Settings, statement: LiteralString) -> Any:
    from psycopg import Error, errors  # noqa: PLC0415 - projects on SQLite do without it

    with closing(connect_postgres(settings)) as connection:
        try:
            return connection.execute(statement).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return None
        except Error as error:
            raise storage_error(settings, error) from error
