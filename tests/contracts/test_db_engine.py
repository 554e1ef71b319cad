"""The engine on which DBOS works: its pragmas, its clock, and clear errors when the storage fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from kurt.config import Settings, load_settings
from kurt.db.connect import connect_postgres, postgres_url
from kurt.db.engine import add_clock, system_engine
from kurt.db.failures import storage_error
from kurt.db.migrate import ensure_schema
from kurt.errors import StorageError
from tests.support.database import project_settings


@pytest.fixture
def clock() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_clock(connection)
        yield connection


@pytest.mark.parametrize("expression", ["strftime('%s', 'now') * 1000", "unixepoch('subsec') * 1000"])
def test_both_forms_of_the_clock_count_milliseconds(clock: sqlite3.Connection, expression: str) -> None:
    clock.execute(f"CREATE TABLE t (id INTEGER, at INTEGER NOT NULL DEFAULT ({expression}))")
    before = int(time.time() * 1000)
    for number in range(50):
        clock.execute("INSERT INTO t (id) VALUES (?)", (number,))
        time.sleep(0.0007)
    rows = clock.execute("SELECT at, typeof(at) FROM t").fetchall()
    assert {kind for _, kind in rows} == {"integer"}
    assert before - 1 <= rows[0][0] <= rows[-1][0] <= time.time() * 1000 + 1
    assert len({at for at, _ in rows}) > 10


def test_the_clock_gives_whole_milliseconds_for_a_hundred_years(
    clock: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fraction left over would be stored as a float, which DBOS cannot read as a time."""
    for number in range(5000):
        moment = 1_700_000_000 + number * 632_000.123457
        monkeypatch.setattr("kurt.db.engine.time.time_ns", lambda moment=moment: int(moment * 1e9))
        (value,) = clock.execute("SELECT strftime('%s', 'now') * 1000").fetchone()
        assert value == int(value)
        assert -10 <= value - moment * 1000 <= 0.5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT strftime('%Y-%m-%d', '2026-01-02')", "2026-01-02"),
        ("SELECT strftime('%s', '1970-01-01 00:01:00')", "60"),
        ("SELECT strftime('%s', 'now') - strftime('%s', 'now', '-1 hour') BETWEEN 3599 AND 3602", 1),
        ("SELECT unixepoch('1970-01-01 00:01:00')", 60),
        ("SELECT unixepoch('now') - unixepoch() IN (0, 1)", 1),
        ("SELECT date('2026-01-02')", "2026-01-02"),
        ("SELECT strftime('%s', 'no date')", None),
    ],
)
def test_other_uses_of_the_functions_keep_their_meaning(
    clock: sqlite3.Connection, query: str, expected: object
) -> None:
    assert clock.execute(query).fetchone()[0] == expected


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(("chosen", "level"), [("normal", 1), ("full", 2)])
def test_sqlite_is_prepared_for_many_processes(database: Settings, chosen: str, level: int) -> None:
    settings = load_settings(database.root, environ={"KURT_DATABASE__SYNCHRONOUS": chosen})
    engine = system_engine(settings)
    with engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    engine.dispose()
    assert pragma == {"journal_mode": "wal", "synchronous": level, "busy_timeout": 30_000, "foreign_keys": 1}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_acknowledged_write_can_ask_for_full_synchronisation(database: Settings) -> None:
    engine = system_engine(database, synchronous="full")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_transaction_takes_the_write_lock_at_once(database: Settings) -> None:
    """Two transactions that read first and write later would otherwise meet in a deadlock."""
    engine = system_engine(database)
    with engine.begin() as first:
        first.execute(sa.text("INSERT INTO kurt_meta VALUES ('a', '1')"))
        with closing(sqlite3.connect(database.sqlite_path, timeout=0.1)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            assert other.execute("SELECT count(*) FROM kurt_meta WHERE key = 'a'").fetchone() == (0,)
    engine.dispose()


def test_the_engine_reaches_the_database(database: Settings) -> None:
    engine = system_engine(database)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT value FROM kurt_meta WHERE key = 'dbos'")).scalar()
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://u@h/d", "postgres://u@h/d", "postgresql://u@h/d", "postgresql+asyncpg://u@h/d"],
)
def test_addresses_of_all_spellings_reach_the_driver(tmp_path: Path, url: str) -> None:
    assert postgres_url(project_settings(tmp_path / "p", url)) == "postgresql://u@h/d"


@pytest.mark.parametrize("backend", ["sqlite"])
class TestSqliteFailures:
    def test_a_damaged_file(self, database: Settings) -> None:
        database.sqlite_path.write_bytes(os.urandom(8192))
        with pytest.raises(StorageError, match="is damaged") as caught:
            ensure_schema(database)
        assert caught.value.hint is not None
        assert "kurt db upgrade" in caught.value.hint
        assert database.sqlite_path.stat().st_size == 8192

    def test_a_file_damaged_in_the_middle(self, database: Settings) -> None:
        with database.sqlite_path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(database.sqlite_path.stat().st_size - 4096))
        with pytest.raises(StorageError, match=r"is damaged|lacks a part"):
            ensure_schema(database)

    def test_a_folder_in_the_place_of_the_file(self, database: Settings) -> None:
        database.sqlite_path.unlink()
        database.sqlite_path.mkdir()
        with pytest.raises(StorageError, match="is a folder") as caught:
            ensure_schema(database)
        assert caught.value.hint == "set PATH_DB to a file"

    def test_a_missing_folder_is_made_but_no_tree(self, tmp_path: Path, backend: str) -> None:
        root = project_settings(tmp_path / "p").root
        near = load_settings(root, environ={"KURT_PATH_DB": "data/kurt.sqlite"})
        assert ensure_schema(near)
        far = load_settings(root, environ={"KURT_PATH_DB": "a/b/c/kurt.sqlite"})
        with pytest.raises(StorageError, match="cannot be made") as caught:
            ensure_schema(far)
        assert caught.value.hint is not None
        assert f"mkdir -p {root / 'a/b/c'}" in caught.value.hint
        with pytest.raises(StorageError):
            system_engine(far)
        assert not (root / "a").exists()

    def test_a_disk_that_is_full(self, database: Settings, tmp_path: Path) -> None:
        """A limit on the size of the file fails writes as a full disk does; what was stored stays."""
        engine = system_engine(database)
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(exc.OperationalError) as caught:
                connection.execute(sa.text("INSERT INTO kurt_meta VALUES ('k', :v)"), {"v": "x" * 100_000})
            connection.rollback()
            assert connection.execute(sa.text("SELECT value FROM kurt_meta WHERE key = 'dbos'")).scalar()
        engine.dispose()
        error = storage_error(database, caught.value)
        assert "cannot be written: database or disk is full" in error.message
        assert error.hint is not None
        assert error.hint.startswith("free space")

    def test_a_sqlite_without_search(self, database: Settings) -> None:
        error = storage_error(database, sqlite3.OperationalError("no such module: fts5"))
        assert "without FTS5" in error.message
        assert error.hint is not None
        assert "another Python" in error.hint

    def test_a_folder_that_may_not_be_written(self, database: Settings, backend: str) -> None:
        """As another user where the tests run as root, who may write anything."""
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            root = Path(folder)
            root.chmod(0o755)
            shutil.copytree(database.root, root / "p")
            for path in (root / "p").rglob("*"):
                path.chmod(0o555 if path.is_dir() else 0o444)
            (root / "p").chmod(0o555)
            (root / "p" / ".kurt" / "kurt.sqlite-wal").unlink(missing_ok=True)
            settings = load_settings(root / "p", environ={})
            uid = os.geteuid()
            if uid == 0:
                os.seteuid(65534)
            try:
                with pytest.raises(StorageError) as caught:
                    write_something(settings)
            finally:
                if uid == 0:
                    os.seteuid(uid)
                for path in (root / "p", *(root / "p").rglob("*")):
                    path.chmod(0o755)
        assert "cannot be written" in caught.value.message
        assert caught.value.hint is not None
        assert "right to write" in caught.value.hint


def write_something(settings: Settings) -> None:
    engine = system_engine(settings)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM kurt_meta"))
    except exc.SQLAlchemyError as error:
        raise storage_error(settings, error) from error
    finally:
        engine.dispose()


class TestPostgresFailures:
    @pytest.mark.parametrize(
        ("url", "message", "hint"),
        [
            ("postgresql://u:hunter2@127.0.0.1:9/d", "cannot be reached", "check that the server runs"),
            ("postgresql://u@/d?host=/nowhere", "cannot be reached", "check that the server runs"),
            ("postgresql://u@no-such-host.invalid/d", "cannot be reached", "check that the server runs"),
        ],
    )
    def test_a_server_that_is_not_there(self, tmp_path: Path, url: str, message: str, hint: str) -> None:
        settings = project_settings(tmp_path / "p", url)
        with pytest.raises(StorageError, match=message) as caught:
            ensure_schema(settings)
        assert caught.value.hint is not None
        assert hint in caught.value.hint
        assert "hunter2" not in str(caught.value)

    @pytest.mark.postgres
    def test_a_database_that_is_not_there(self, tmp_path: Path, postgres_url: str) -> None:
        missing = postgres_url.replace("/t_", "/missing_")
        with pytest.raises(StorageError, match="no such database") as caught:
            connect_postgres(project_settings(tmp_path / "p", missing))
        assert caught.value.hint is not None
        assert "createdb" in caught.value.hint

    @pytest.mark.postgres
    def test_a_user_that_is_not_there(self, tmp_path: Path, postgres_url: str) -> None:
        wrong = postgres_url.replace("//postgres@", "//somebody@")
        with pytest.raises(StorageError, match="refused the login"):
            connect_postgres(project_settings(tmp_path / "p", wrong))

    @pytest.mark.postgres
    def test_a_user_who_may_not_create_tables(self, tmp_path: Path, postgres_url: str) -> None:
        owner = project_settings(tmp_path / "owner", postgres_url)
        with connect_postgres(owner) as connection:
            connection.execute("DROP ROLE IF EXISTS guest_of_tests")
            connection.execute("CREATE ROLE guest_of_tests LOGIN")
        guest = project_settings(tmp_path / "p", postgres_url.replace("//postgres@", "//guest_of_tests@"))
        with pytest.raises(StorageError, match="may not do this") as caught:
            ensure_schema(guest)
        assert caught.value.hint is not None
        assert "grant" in caught.value.hint


def test_the_check_of_a_current_schema_loads_nothing_heavy(database: Settings) -> None:
    """A foreground run pays one query for it, not Alembic."""
    code = (
        "import sys; from pathlib import Path; from kurt.config import load_settings\n"
        "from kurt.db.migrate import ensure_schema\n"
        "settings = load_settings(Path(sys.argv[1]), environ={'DATABASE_URL': sys.argv[2]})\n"
        "assert ensure_schema(settings) is False\n"
        "heavy = {'dbos', 'sqlalchemy', 'alembic', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    url = "" if database.is_sqlite else database.database_url
    done = subprocess.run([sys.executable, "-c", code, str(database.root), url], check=False)
    assert done.returncode == 0
