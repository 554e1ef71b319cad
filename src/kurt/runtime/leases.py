"""Leases: how executors know which other executors live.

An executor has an id that is never used again, and holds a lease under that id for as long as it lives. Work of
an executor without a lease may be taken by others.

On SQLite the lease is a locked file in `.kurt/executors`; the kernel frees the lock when the process ends, however
it ends. On Postgres it is a row with a term, renewed by a thread and measured by the database's clock.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kurt.db.connect import connect_postgres
from kurt.runtime.lease_files import FileExecutors, FileLease
from kurt.runtime.lease_rows import RowExecutors, RowLease
from kurt.runtime.lease_types import ExecutorInfo, Executors, Lease, describe, new_executor_id

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.types import JsonObject

__all__ = [
    "ExecutorInfo",
    "Executors",
    "FileExecutors",
    "FileLease",
    "Lease",
    "RowExecutors",
    "RowLease",
    "live_executors",
    "new_executor_id",
    "open_lease",
]


def open_lease(settings: Settings, kind: str, metadata: JsonObject | None = None) -> Lease:
    """A lease for this process under a new id, not yet taken.

    Args:
        settings: the project's settings; they decide between file and row.
        kind: `run`, `worker` or `session`.
        metadata: facts for others: `queues`, `run_id`...
    """
    info = describe(new_executor_id(kind), kind, metadata)
    if settings.is_sqlite:
        return FileLease(settings.executors_dir, info)
    return RowLease(settings, info)


def live_executors(settings: Settings) -> list[ExecutorInfo]:
    """The executors that live, oldest first; looking at them takes no lease.

    Raises:
        StorageError: the database cannot be reached.
    """
    if settings.is_sqlite:
        return FileExecutors(settings.executors_dir).live()
    from psycopg import errors  # noqa: PLC0415 - projects on SQLite do without it

    with contextlib.closing(connect_postgres(settings)) as connection:
        try:
            return RowExecutors(connection).live()
        except errors.UndefinedTable:  # the database has no schema yet, so nothing ever ran
            return []
