"""Sessions on the project's database, for workflow modules and their tests."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sqlalchemy import event, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, SQLModel

from kurt.config.current import current_settings
from kurt.db import migrate
from kurt.db.engine import system_engine
from kurt.db.failures import storage_error
from kurt.db.locks import migration_lock
from kurt.db.search_path import follow_dbos

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import sqlalchemy as sa

    from kurt.config import Settings

_engines: dict[tuple[int, str], sa.Engine] = {}
_joined: ContextVar[Session | None] = ContextVar("kurt_session_of_transaction", default=None)


def init_database(settings: Settings | None = None) -> None:
    """Make the database if there is none, and bring its schema up to date: Kurt's tables, then the project's own.

    Args:
        settings: the project's; those of the working directory by default.

    Raises:
        StorageError: the database cannot be made or upgraded.
    """
    migrate.upgrade(settings or current_settings())


def get_engine(settings: Settings | None = None) -> sa.Engine:
    """The engine of this process for a project's database; it belongs to Kurt, do not dispose of it.

    On Postgres the tables of DBOS are found without their schema too.
    """
    chosen = settings or current_settings()
    key = (os.getpid(), chosen.database_url)  # a connection cannot be shared with a forked process
    if key not in _engines:
        engine = system_engine(chosen)
        if not chosen.is_sqlite:
            event.listen(engine, "begin", follow_dbos)
        _engines[key] = engine
    return _engines[key]


def dispose_engines() -> None:
    """Close the connections of this process; the next session opens new ones."""
    for key in [key for key in _engines if key[0] == os.getpid()]:
        _engines.pop(key).dispose()


def get_session(settings: Settings | None = None) -> Session:
    """A new session; the caller commits and closes it."""
    return Session(get_engine(settings), expire_on_commit=False)


@contextmanager
def managed_session(settings: Settings | None = None) -> Generator[Session]:
    """A session that is committed at the end of the block, or rolled back when the block raises.

    Inside a function with `@transaction()` it is the session of that transaction: the rows are committed together with
    the step's checkpoint, or not at all.

    Args:
        settings: the project's; those of the executor, or of the working directory, by default.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined
        joined.flush()
        return
    with get_session(settings) as session, session.begin():
        yield session


@contextmanager
def joining(session: Session) -> Generator[None]:
    """Make this the session that `managed_session` gives."""
    token = _joined.set(session)
    try:
        yield
    finally:
        _joined.reset(token)


def ensure_tables(
    models: Sequence[type[SQLModel]] | None = None, *, settings: Settings | None = None
) -> list[str]:
    """Make the tables of models that are missing, without a revision; the names of those that were made.

    For tests and first drafts: a table made so has no history, and a revision that makes it later fails.

    Args:
        models: whose tables; by default all models that have been imported.
        settings: the project's.

    Raises:
        StorageError: a table cannot be made.
    """
    chosen = settings or current_settings()
    wanted = [SQLModel.metadata.tables[name] for name in _names(models)]
    with migration_lock(chosen):
        engine = get_engine(chosen)
        try:
            there = set(inspect(engine).get_table_names())
            SQLModel.metadata.create_all(engine, tables=wanted)
        except SQLAlchemyError as error:
            raise storage_error(chosen, error) from error
    return [table.name for table in wanted if table.name not in there]


def _names(models: Sequence[type[SQLModel]] | None) -> list[str]:
    return (
        list(SQLModel.metadata.tables) if models is None else [str(model.__tablename__) for model in models]
    )
