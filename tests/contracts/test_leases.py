"""One contract for both kinds of lease: a locked file on SQLite, a row on Postgres."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kurt.config import Settings
from kurt.db.connect import connect_postgres
from kurt.errors import StorageError
from kurt.runtime.lease_rows import RowLease
from kurt.runtime.lease_types import describe
from kurt.runtime.leases import ExecutorInfo, Lease, live_executors, new_executor_id, open_lease
from tests.support.database import project_settings
from tests.support.postgres import NoServerError, new_server
from tests.support.waiting import wait_until

HOLDER = """
import os, sys, time
from pathlib import Path
from kurt.config import load_settings
from kurt.runtime.leases import open_lease
root, url, how = sys.argv[1:]
settings = load_settings(Path(root), environ={"DATABASE_URL": url})
if settings.is_sqlite:
    lease = open_lease(settings, "worker", {"queues": ["default"]})
else:  # a short term, so that the death of the owner shows soon
    from kurt.runtime.lease_rows import RowLease
    from kurt.runtime.lease_types import describe
    from kurt.runtime.leases import new_executor_id
    lease = RowLease(settings, describe(new_executor_id("worker"), "worker"), term=2, renew_every=0.2)
lease.acquire()
print(lease.id, flush=True)
if how == "fork" and os.fork() == 0:
    time.sleep(60)
if how == "release in a child":
    if (child := os.fork()) == 0:
        lease.release()
        os._exit(0)
    os.waitpid(child, 0)
if how == "child":
    import subprocess
    subprocess.Popen(["sleep", "60"], close_fds=False)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(database: Settings) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """Starts a process that holds a lease; gives the process and its executor id."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str = "plain") -> tuple[subprocess.Popen[str], str]:
        url = "" if database.is_sqlite else database.database_url
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(database.root), url, how],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        with process.stdout as output:
            name = output.readline().strip()
            assert output.readline() == "ready\n"
        return process, name

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def lease(database: Settings) -> Iterator[Lease]:
    held = open_lease(database, "session", {"queues": ["default", "gpu"]})
    yield held
    held.release()


def test_an_id_names_its_kind_and_is_never_given_twice() -> None:
    ids = {new_executor_id("worker") for _ in range(100)}
    assert len(ids) == 100
    assert all(name.startswith("worker-") and f"-{os.getpid()}-" in name for name in ids)


def test_a_lease_shows_from_acquire_to_release(database: Settings, lease: Lease) -> None:
    assert live_executors(database) == []
    assert not lease.is_alive(lease.id)
    lease.acquire()
    (seen,) = live_executors(database)
    assert (seen.id, seen.kind, seen.pid) == (lease.id, "session", os.getpid())
    assert seen.queues == ["default", "gpu"]
    assert seen.started_at.endswith("Z")
    assert lease.alive() == {lease.id}
    assert lease.is_alive(lease.id)
    assert not lease.lost
    lease.release()
    lease.release()
    assert live_executors(database) == []
    assert not lease.is_alive(lease.id)


def test_taking_a_held_lease_again_changes_nothing(database: Settings, lease: Lease) -> None:
    lease.acquire()
    lease.acquire()
    assert len(live_executors(database)) == 1


def test_a_lease_is_a_context_manager(database: Settings) -> None:
    with open_lease(database, "run") as held:
        assert held.alive() == {held.id}
    assert live_executors(database) == []


def test_facts_can_be_changed(database: Settings, lease: Lease) -> None:
    lease.acquire()
    lease.update(run_id="r1", note="x" * 3000)
    assert live_executors(database)[0].metadata == {
        "queues": ["default", "gpu"],
        "run_id": "r1",
        "note": "x" * 3000,
    }
    lease.update(note=None, queues=["a"])
    (seen,) = live_executors(database)
    assert seen.to_json() == {
        "id": lease.id,
        "kind": "session",
        "host": seen.host,
        "pid": os.getpid(),
        "started_at": seen.started_at,
        "queues": ["a"],
        "run_id": "r1",
    }


def test_facts_given_before_the_lease_is_taken_are_kept(database: Settings, lease: Lease) -> None:
    lease.update(run_id="r1")
    lease.acquire()
    assert live_executors(database)[0].metadata["run_id"] == "r1"


def test_the_oldest_comes_first(database: Settings) -> None:
    leases = [open_lease(database, "worker") for _ in range(3)]
    for held in leases:
        held.acquire()
    assert [info.id for info in live_executors(database)] == [
        info.id for info in sorted(live_executors(database), key=lambda info: (info.started_at, info.id))
    ]
    for held in leases:
        held.release()


def test_unknown_ids_are_dead(lease: Lease) -> None:
    lease.acquire()
    for name in ("local", "", "../../etc/passwd", "a/b", "worker-x-1-00000000", "x" * 500, "nul\x01"):
        assert not lease.is_alive(name)


@pytest.mark.parametrize("how", ["plain", "fork", "child"])
def test_kill_9_ends_the_lease_whatever_the_process_left_behind(
    database: Settings, lease: Lease, holder: Callable[[str], tuple[subprocess.Popen[str], str]], how: str
) -> None:
    """A child that the executor forked or started lives on; the lease does not."""
    process, name = holder(how)
    assert name in {info.id for info in live_executors(database)}
    assert lease.is_alive(name)
    process.kill()
    process.wait()
    wait_until(lambda: not lease.is_alive(name), 10)
    wait_until(lambda: name not in lease.alive(), 10)
    assert live_executors(database) == []


def test_a_forked_child_cannot_give_the_lease_up(
    database: Settings, lease: Lease, holder: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    _, name = holder("release in a child")
    assert lease.is_alive(name)
    assert [info.id for info in live_executors(database)] == [name]


def test_a_stopped_process_keeps_its_lock_or_loses_its_term(
    database: Settings, lease: Lease, holder: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    process, name = holder("plain")
    process.send_signal(signal.SIGSTOP)
    if database.is_sqlite:
        assert lease.is_alive(name)
    else:
        wait_until(lambda: not lease.is_alive(name), 10)
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: lease.is_alive(name), 10)


def test_many_lookers_disturb_nobody(
    database: Settings, lease: Lease, holder: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """Four threads look all the time while an owner lives: none ever takes it, or another looker, for something else."""
    _, name = holder("plain")
    lease.acquire()

    def look() -> list[set[str]]:
        return [{info.id for info in live_executors(database)} for _ in range(40)]

    with ThreadPoolExecutor(4) as pool:
        seen = [ids for looks in [pool.submit(look) for _ in range(4)] for ids in looks.result()]
    assert len(seen) == 160
    assert all(ids == {name, lease.id} for ids in seen)


@pytest.mark.parametrize("backend", ["sqlite"])
class TestFiles:
    def test_the_file_says_what_it_is(self, database: Settings, lease: Lease) -> None:
        lease.acquire()
        (file,) = database.executors_dir.iterdir()
        assert file.name == f"{lease.id}.lock"
        assert json.loads(file.read_text())["pid"] == os.getpid()
        lease.release()
        assert list(database.executors_dir.iterdir()) == []

    def test_files_of_the_dead_are_swept(self, database: Settings, lease: Lease) -> None:
        database.executors_dir.mkdir()
        for number in range(5):
            (database.executors_dir / f"worker-gone-{number}-00000000.lock").write_text("{}")
        lease.acquire()
        assert lease.alive() == {lease.id}
        assert [file.name for file in database.executors_dir.iterdir()] == [f"{lease.id}.lock"]

    def test_a_damaged_file_is_still_a_lease(self, database: Settings, lease: Lease) -> None:
        lease.acquire()
        (database.executors_dir / f"{lease.id}.lock").write_text('{"pid": ')
        assert live_executors(database) == [ExecutorInfo(lease.id, "session", "", 0, "")]

    def test_a_removed_file_shows_as_lost_and_can_be_made_again(
        self, database: Settings, lease: Lease
    ) -> None:
        lease.acquire()
        (database.executors_dir / f"{lease.id}.lock").unlink()
        assert lease.lost
        assert live_executors(database) == []
        lease.acquire()
        assert not lease.lost
        assert lease.is_alive(lease.id)

    def test_leases_come_and_go_while_others_sweep(self, database: Settings) -> None:
        """A sweeper may meet a file that is made but not locked yet: no owner may end without its file."""
        stop = threading.Event()
        rounds = 0

        def sweep() -> None:
            while not stop.is_set():
                live_executors(database)

        sweepers = [threading.Thread(target=sweep) for _ in range(2)]
        for sweeper in sweepers:
            sweeper.start()
        try:
            for _ in range(300):
                held = open_lease(database, "worker")
                held.acquire()
                assert held.is_alive(held.id)
                assert not held.lost
                held.release()
                rounds += 1
        finally:
            stop.set()
            for sweeper in sweepers:
                sweeper.join()
        assert rounds == 300

    def test_a_folder_that_cannot_be_made_is_a_clear_error(self, database: Settings, lease: Lease) -> None:
        database.executors_dir.write_text("a file")
        with pytest.raises(StorageError, match="lease of this process cannot be written"):
            lease.acquire()

    def test_what_cannot_be_seen_counts_as_alive(self, database: Settings, lease: Lease) -> None:
        """Another user's executor: taking its work would run a step twice."""
        lease.acquire()
        (database.executors_dir / "loop.lock").symlink_to("loop.lock")
        assert lease.is_alive("loop")


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
class TestRows:
    def test_a_lease_that_is_not_renewed_is_lost_and_comes_back(self, tmp_path: Path, backend: str) -> None:
        """The server goes away for longer than the term: the owner knows it, and renews when it is back."""
        try:
            making = new_server()
            server = making.__enter__()
        except NoServerError as reason:
            pytest.skip(str(reason))
        try:
            settings = project_settings(tmp_path / "p", server.url("postgres"))
            from kurt.db.migrate import ensure_schema

            ensure_schema(settings)
            lease = RowLease(settings, describe("run-h-1-aa", "run"), term=1, renew_every=0.2)
            lease.acquire()
            server.stop()
            wait_until(lambda: lease.lost, 10)
            with pytest.raises(StorageError, match="cannot be reached"):
                lease.alive()
            server.start()
            wait_until(lambda: not lease.lost, 20)
            assert lease.alive() == {"run-h-1-aa"}
            lease.release()
        finally:
            making.__exit__(None, None, None)

    def test_the_clock_of_the_machine_does_not_matter(
        self, database: Settings, lease: Lease, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.time", lambda: 0.0)
        lease.acquire()
        assert lease.is_alive(lease.id)

    def test_rows_of_the_long_dead_are_removed(self, database: Settings, lease: Lease) -> None:
        with connect_postgres(database) as connection:
            connection.execute(
                "INSERT INTO kurt_executors VALUES"
                " ('old', 'run', 'h', 1, '{}', now(), now() - interval '2 hours'),"
                " ('dead', 'run', 'h', 1, '{}', now(), now() - interval '2 seconds')"
            )
            lease.acquire()
            ids = {row[0] for row in connection.execute("SELECT executor_id FROM kurt_executors")}
        assert ids == {"dead", lease.id}
        assert lease.alive() == {lease.id}

    def test_a_row_that_somebody_removed_comes_back(self, database: Settings) -> None:
        held = RowLease(database, describe("run-h-1-bb", "run"), term=5, renew_every=0.1)
        with held, connect_postgres(database) as connection:
            connection.execute("DELETE FROM kurt_executors")
            wait_until(lambda: held.is_alive(held.id), 10)

    def test_a_database_without_the_table_is_a_clear_error(
        self, postgres_url: str, tmp_path: Path, backend: str
    ) -> None:
        settings = project_settings(tmp_path / "p", postgres_url)
        with pytest.raises(StorageError, match="lacks a part of its schema") as caught:
            open_lease(settings, "run").acquire()
        assert caught.value.hint == "run `kurt db upgrade`"
