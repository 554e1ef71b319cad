"""What a transaction on Postgres needs beside the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.db.connect import DBOS_SCHEMA

if TYPE_CHECKING:
    import sqlalchemy as sa

_SET = (
    f"SELECT set_config('search_path', current_setting('search_path') || ', {DBOS_SCHEMA}', true),"
    " set_config('TimeZone', 'UTC', true)"
)


def follow_dbos(connection: sa.Connection) -> None:
    """Find DBOS's tables without their schema, after one's own, and read columns without a time zone as UTC.

    For this transaction only: a pooler may give the connection to somebody else afterwards.
    """
    connection.exec_driver_sql(_SET)
