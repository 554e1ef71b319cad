"""Transactions whose rows are committed together with the checkpoint of their step.

DBOS keeps such checkpoints in the table `datasource_outputs`, in the same database as the rows. A datasource belongs to
one launch: DBOS refuses new ones after `launch()`, and one made at import would tie the process to a single project.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dbos import error as dbos_error
from dbos._datasource_postgres import PostgresSyncDatasource
from dbos._datasource_sqlite import SqliteSyncDatasource
from dbos._dbos import _get_or_create_dbos_registry  # pyright: ignore[reportPrivateUsage] - no public way to the list of datasources
from sqlalchemy import event

from kurt.config.current import current_settings
from kurt.db.connect import DBOS_SCHEMA
from kurt.db.engine import system_engine
from kurt.db.search_path import follow_dbos
from kurt.runtime.engine import KurtSerializer

if TYPE_CHECKING:
    from collections.abc import Generator

    import sqlalchemy as sa
    from dbos import SQLAlchemyDatasource

    from kurt.config import Settings

_of_launch: list[SQLAlchemyDatasource] = []
_late: dict[str, SQLAlchemyDatasource] = {}
_lock = threading.Lock()


@contextmanager
def opened(settings: Settings) -> Generator[None]:
    """Make the datasource of a launch; enter it between `DBOS(config)` and `DBOS.launch()`, leave it after `destroy()`."""
    made = _make(settings)
    _of_launch.append(made)
    try:
        yield
    finally:
        _of_launch.remove(made)
        _close(made)


def current() -> SQLAlchemyDatasource:
    """The datasource of the launch of this process.

    Where the user has launched DBOS without Kurt, it is one on the database of the working directory's project.
    """
    if _of_launch:
        return _of_launch[-1]
    settings = current_settings()
    with _lock:
        if settings.database_url not in _late:
            _late[settings.database_url] = _make(settings)
        return _late[settings.database_url]


def forget() -> None:
    """Close the datasources that were made for launches of the user's own."""
    with _lock:
        for made in _late.values():
            _close(made)
        _late.clear()


def _make(settings: Settings) -> SQLAlchemyDatasource:
    engine = system_engine(settings)
    event.listen(engine, "begin", _begin_immediate if settings.is_sqlite else follow_dbos)
    kind: Any = SqliteSyncDatasource if settings.is_sqlite else PostgresSyncDatasource
    made = kind.__new__(kind)
    # The last thing that the constructor does is to register the datasource, which DBOS refuses after its launch.
    with suppress(dbos_error.DBOSException):
        kind.__init__(
            made,
            database_url=settings.database_url,
            engine_kwargs={},
            engine=engine,
            schema=DBOS_SCHEMA,
            serializer=KurtSerializer(),
        )
    registered = _get_or_create_dbos_registry().datasources
    if made not in registered:
        registered.append(made)  # so that a rewind forgets the checkpoints here too
    return made


def _close(made: SQLAlchemyDatasource) -> None:
    with suppress(ValueError):
        _get_or_create_dbos_registry().datasources.remove(made)
    made.engine.dispose()


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the right to write at once.

    A transaction that reads first and writes later would fail when another process has written meanwhile; DBOS would
    then call the function again. Transactions of the user are those with a level of isolation of their own.
    """
    if "isolation_level" in connection.get_execution_options():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
