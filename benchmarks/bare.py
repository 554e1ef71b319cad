"""DBOS without Kurt, on an engine with the settings that Kurt uses: the yardstick of runs.

`python bare.py DATABASE_FILE COUNT`: one async workflow of COUNT steps that do nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig
from sqlalchemy import event


def engine(path: str) -> sa.Engine:
    """SQLite with WAL, synchronous=NORMAL and immediate transactions."""
    made = sa.create_engine(f"sqlite:///{path}", pool_size=20, max_overflow=0, pool_timeout=30)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        if sqlite3.sqlite_version_info < (3, 42):
            connection.create_function("unixepoch", -1, lambda *_: time.time())

    event.listen(made, "connect", prepare)
    return made


async def noop() -> float:
    return time.time()


async def steps(count: int) -> int:
    for number in range(count):
        await DBOS.run_step_async({"name": f"s{number}"}, noop)
    return count


def main(path: str, count: int) -> None:
    config: DBOSConfig = {
        "name": "bare-yardstick",
        "system_database_url": f"sqlite:///{path}",
        "system_database_engine": engine(path),
        "notification_listener_polling_interval_sec": 0.05,
        "application_version": "bare",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    workflow = DBOS.workflow(name="steps")(steps)
    DBOS.launch()
    assert asyncio.run(workflow(count)) == count
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
