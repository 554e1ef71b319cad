"""The rows of runs as DBOS keeps them: read, and changed for states that take a crash otherwise."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient

from kurt.runtime import recovery


def row(client: DBOSClient, run_id: str) -> Any:
    """The row of a run."""
    database = recovery.database_of(client)
    status = database.tables.workflow_status
    with database.engine.connect() as connection:
        return connection.execute(sa.select(status).where(status.c.workflow_uuid == run_id)).one()


def pretend(client: DBOSClient, run_id: str, **values: Any) -> None:
    """Change the row of a run, for states that take a crash otherwise."""
    database = recovery.database_of(client)
    status = database.tables.workflow_status
    with database.engine.begin() as connection:
        connection.execute(sa.update(status).where(status.c.workflow_uuid == run_id).values(**values))
