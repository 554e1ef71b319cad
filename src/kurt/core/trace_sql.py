"""The SQL of `llm_traces` for both drivers: many rows at a time, no objects in between."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from kurt.config import is_secret
from kurt.core.trace_rows import COLUMNS, KEY, TraceRow
from kurt.db.connect import connect_postgres, connect_sqlite
from kurt.runtime.masking import Masker, spellings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings

_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_MARKS = ", ".join("?" * len(COLUMNS))
_KEY = ", ".join(f'"{name}"' for name in KEY)
_CHANGES = ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS if name not in KEY)

INSERT = f"INSERT INTO llm_traces ({_NAMES}) VALUES ({_MARKS}) ON CONFLICT ({_KEY}) DO NOTHING"  # noqa: S608 - constants
"""An attempt that begins; one that is known already stays as it is."""

UPSERT = (
    f"INSERT INTO llm_traces ({_NAMES}) VALUES ({_MARKS}) ON CONFLICT ({_KEY}) DO UPDATE SET {_CHANGES}"  # noqa: S608 - constants
    " WHERE llm_traces.state IN ('started', 'cut')"
)
"""An attempt that is over; what was written as over stays as it is, so that a replay never counts twice."""

_values = attrgetter(*COLUMNS)
_TEXTS = tuple(
    COLUMNS.index(name) for name in ("error", "prompt", "response", "step", "scope", "finish_reason")
)
_CONTENT = tuple(COLUMNS.index(name) for name in ("prompt", "response"))
_MASKED = tuple(COLUMNS.index(name) for name in ("error", "prompt", "response", "attributes"))
_ATTRIBUTES = COLUMNS.index("attributes")
_MOMENTS = tuple(COLUMNS.index(name) for name in ("started_at", "ended_at"))


class Connection(Protocol):
    """A connection of one of the back ends; every statement uses `?` for values."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """The rows that a statement gives."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes."""
        ...

    def many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each of these values."""
        ...

    def commit(self) -> None:
        """Make it durable."""
        ...

    def rollback(self) -> None:
        """Take it back; harmless where nothing was begun."""
        ...

    def moment(self, seconds: float) -> Any:
        """A time as this back end stores it."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def connect(settings: Settings) -> Connection:
    """A connection to the project's database.

    Raises:
        StorageError: it cannot be opened.
    """
    return SqliteConnection(settings) if settings.is_sqlite else PostgresConnection(settings)


class SqliteConnection:
    """To the project's file."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connect_sqlite(settings)
        full = settings.get("DATABASE.SYNCHRONOUS") == "full"
        self._connection.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        with closing(self._connection.execute(statement, values)) as cursor:
            return cursor.fetchall()

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(statement, values)

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def moment(self, seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    def close(self) -> None:
        self._connection.close()


class PostgresConnection:
    """To the project's server."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connect_postgres(settings, application="kurt-traces")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        cursor = self._connection.execute(statement.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description else []

    def begin(self) -> None:
        self._connection.execute("BEGIN")

    def many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), values)

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if not self._connection.closed:
            self._connection.execute("ROLLBACK")

    def moment(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)

    def close(self) -> None:
        self._connection.close()


class Encoder:
    """Rows as values for the statements: times, secrets, and what no database can hold.

    Args:
        settings: decide whether prompts and answers are stored, and which values are secret.
        connection: knows how its back end stores times.
    """

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._moment = connection.moment
        self._with_content = settings.get("LLM.TRACE_CONTENT") != "off"
        secrets = [value for name, value in settings.environ.items() if is_secret(name)]
        self._masker = Masker(secrets)
        self._forms = tuple({form for secret in secrets for form in spellings_of(secret)})

    def __call__(self, row: TraceRow) -> list[Any]:
        """The values in the order of the columns."""
        values = list(_values(row))
        if not self._with_content:
            for place in _CONTENT:
                values[place] = None
        if values[_ATTRIBUTES] is not None:
            values[_ATTRIBUTES] = json.dumps(values[_ATTRIBUTES])
        for place in _TEXTS:
            values[place] = _storable(values[place])
        if self._forms:
            for place in _MASKED:
                values[place] = self._mask(values[place])
        for place in _MOMENTS:
            if values[place] is not None:
                values[place] = self._moment(values[place])
        return values

    def _mask(self, text: str | None) -> str | None:
        # One pattern of all spellings looks at every character of a prompt; a plain search for each does not.
        if text and any(form in text for form in self._forms):
            return self._masker.mask(text)
        return text


def _storable(text: str | None) -> str | None:
    """The text without what Postgres or UTF-8 cannot hold: NUL and halves of surrogate pairs."""
    if text is None:
        return None
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_fault_of_a_row(error: Exception) -> bool:
    """Whether one row of a batch may be to blame, so that the others are worth another try."""
    if isinstance(error, sqlite3.Error):
        return not isinstance(error, sqlite3.OperationalError)
    from psycopg import DataError, IntegrityError  # noqa: PLC0415 - projects on SQLite do without it

    return isinstance(error, DataError | IntegrityError | OverflowError | TypeError | ValueError)
