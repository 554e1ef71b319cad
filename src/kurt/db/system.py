"""DBOS's own tables: their migrations, and what Kurt adds to them.

What is added (a view, an index) is taken away before DBOS migrates and put back afterwards: DBOS may rebuild a
table, which SQLite refuses while a view reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbos._datasource_migration import migrate_datasource
from dbos._schemas.system_database import SystemSchema
from dbos._serialization import DBOSPortableJSON
from dbos._sys_db import SystemDatabase

from kurt.db.connect import DBOS_SCHEMA

if TYPE_CHECKING:
    import sqlalchemy as sa

VIEW = "dbos_workflow_status"
"""A view of DBOS's table of workflows under the name that older documents use; durable."""

_INDEX = "kurt_runs_newest"

RUN_ATTRIBUTE = {
    "sqlite": "json_extract({table}attributes, '$.kurt.{key}')",
    "postgresql": "{table}attributes #>> '{{kurt,{key}}}'",
}
"""By back end: how one of Kurt's attributes of a run is read in SQL."""

_FOUND_BY = {
    "kurt_runs_shown_name": "coalesce({workflow}, name)",
    "kurt_runs_name": "name",
    "kurt_runs_user": "coalesce({user_id}, authenticated_user)",
    "kurt_runs_workspace": "({workspace_id})",
}
"""Indexes by which runs are found, as `kurt.runtime.run_query` asks for them."""


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


def dbos_tables() -> set[str]:
    """Names of all tables that are DBOS's own business."""
    known = {table.name for table in SystemSchema.metadata_obj.tables.values()}
    return known | {"datasource_outputs", "dbos_datasource_migrations", "dbos_migrations"}


def detach(connection: sa.Connection) -> None:
    """Take away what Kurt added to DBOS's tables, but for indexes that are on plain columns."""
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {VIEW}")
    schema = "" if connection.dialect.name == "sqlite" else f"{DBOS_SCHEMA}."
    for index in _FOUND_BY:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {schema}{index}")


def attach(connection: sa.Connection) -> None:
    """Put back the view, and the indexes by which runs are found, each with the newest first and without children."""
    backend = connection.dialect.name
    table = "workflow_status" if backend == "sqlite" else f"{DBOS_SCHEMA}.workflow_status"
    # Read through WITH, which makes it read-only on Postgres too.
    selected = f"WITH runs AS (SELECT * FROM {table}) SELECT * FROM runs"  # noqa: S608 - constants
    connection.exec_driver_sql(f"CREATE VIEW {VIEW} AS {selected}")
    keys = ("workflow", "user_id", "workspace_id")
    attributes = {key: RUN_ATTRIBUTE[backend].format(table="", key=key) for key in keys}
    found_by = {name: f"{by.format(**attributes)}, " for name, by in _FOUND_BY.items()}
    for name, by in {_INDEX: "", **found_by}.items():
        connection.exec_driver_sql(
            f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({by}created_at, workflow_uuid)"
            " WHERE parent_workflow_id IS NULL"
        )
