"""DBOS's own tables: their migrations, and what Kurt adds to them.

What is added (a view, an index) is taken away before DBOS migrates and put back afterwards: DBOS may rebuild a
table, which SQLite refuses while a view reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbos._datasource_migration import migrate_datasource
from dbos._serialization import DBOSPortableJSON
from dbos._sys_db import SystemDatabase

from kurt.db.connect import DBOS_SCHEMA

if TYPE_CHECKING:
    import sqlalchemy as sa

VIEW = "dbos_workflow_status"
"""A view of DBOS's table of workflows under the name that older documents use; durable."""

_INDEX = "kurt_runs_newest"


def migrate_dbos(engine: sa.Engine, url: str) -> None:
    """Run the migrations of the installed DBOS on our engine; safe when several processes do so.

    Args:
        engine: DBOS's own would lack the clock that its SQL needs on some versions of SQLite.
        url: decides between SQLite and Postgres.
    """
    database = SystemDatabase.create(
        system_database_url=url,
        engine_kwargs={},
        engine=engine,
        schema=DBOS_SCHEMA,
        serializer=DBOSPortableJSON,
        executor_id=None,
    )
    try:
        database.run_migrations()
    finally:
        database.destroy()
    with engine.begin() as connection:  # where the checkpoints of transactions stand
        migrate_datasource(connection, None if engine.dialect.name == "sqlite" else DBOS_SCHEMA)


def detach(connection: sa.Connection) -> None:
    """Take away what Kurt added to DBOS's tables."""
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {VIEW}")


def attach(connection: sa.Connection) -> None:
    """Put back the view, and the index that makes the newest runs quick to list among their children."""
    table = "workflow_status" if connection.dialect.name == "sqlite" else f"{DBOS_SCHEMA}.workflow_status"
    # Read through WITH, which makes it read-only on Postgres too.
    selected = f"WITH runs AS (SELECT * FROM {table}) SELECT * FROM runs"  # noqa: S608 - constants
    connection.exec_driver_sql(f"CREATE VIEW {VIEW} AS {selected}")
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {_INDEX} ON {table} (created_at, workflow_uuid)"
        " WHERE parent_workflow_id IS NULL"
    )
