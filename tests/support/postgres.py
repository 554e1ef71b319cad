"""A throw-away PostgreSQL server, made from whatever binaries the machine has.

All test processes of one session share a server. Each holds a shared lock on a file; a guardian process waits for
the exclusive one, which it gets when the last test process has ended, however it ended, and then removes the server.
The server listens on a socket in a folder with a short name (the kernel allows about 100 characters), not on TCP.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg

CLUSTER_USER = "postgres"
_OPTIONS = (
    "-F -c listen_addresses='' -c max_connections=200 -c synchronous_commit=off -c full_page_writes=off"
    " -c autovacuum=off -c log_min_messages=fatal"
)


class NoServerError(Exception):
    """Why no server can be had, in plain words."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        folder: holds the data, the socket and the log.
        programs: the folder of its binaries.
    """

    folder: Path
    programs: Path

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{CLUSTER_USER}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement as the server's owner."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str | None = None) -> str:
        """Make a database with a name of its own; its name."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def stop(self, mode: str = "immediate") -> None:
        """End the server as a power cut would, or politely with `fast`."""
        _run(self, "pg_ctl", "stop", "-D", str(self.folder / "data"), "-m", mode)

    def start(self) -> None:
        """Start the server, again after `stop`."""
        options = f"{_OPTIONS} -k {self.folder}"
        log = str(self.folder / "log")
        _run(self, "pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", options)


def find_programs() -> Path:
    """The folder of PostgreSQL's binaries, the newest where there are several.

    Raises:
        NoServerError: there are none.
    """
    on_path = shutil.which("pg_ctl")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent.name))
    folders += [Path("/opt/homebrew/bin"), Path("/usr/local/bin")]
    candidates = [
        *reversed(folders[:-2]),
        *([Path(on_path).resolve().parent] if on_path else []),
        *folders[-2:],
    ]
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoServerError("needs a PostgreSQL server, and this machine has no `initdb` and `pg_ctl`")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def operating_user() -> str | None:
    """The user as whom the server must run: PostgreSQL refuses to run as root.

    Raises:
        NoServerError: we are root and there is nobody else.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoServerError("needs a PostgreSQL server, which root cannot run, and there is no user `postgres`")


def _run(server: Server, program: str, *arguments: str) -> None:
    user = operating_user()
    who: dict[str, Any] = (
        {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    )
    log = server.folder.with_suffix(".out")
    with log.open("wb") as output:  # not a pipe: the server would hold it open
        done = subprocess.run(
            [str(server.programs / program), *arguments],
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=False,
            **who,
        )
    text = log.read_text(errors="replace")
    log.unlink()
    if done.returncode != 0:
        raise NoServerError(f"needs a PostgreSQL server, and `{program}` failed: {text.strip()[-500:]}")


@contextlib.contextmanager
def new_server() -> Generator[Server]:
    """A server of one's own, for tests that stop it; removed at the end."""
    server = _make()
    try:
        yield server
    finally:
        remove(server)


def _make() -> Server:
    programs, user = find_programs(), operating_user()
    folder = Path(tempfile.mkdtemp(prefix="kurt-pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    folder.chmod(0o755)
    server = Server(folder, programs)
    try:
        data = str(folder / "data")
        _run(
            server, "initdb", "-D", data, "-U", CLUSTER_USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"
        )
        server.start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return server


def remove(server: Server) -> None:
    """Stop a server and remove its folder."""
    with contextlib.suppress(NoServerError):
        server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.contextmanager
def shared_server(root: Path) -> Generator[Server]:
    """The server of the test session, started by the first process that asks.

    Args:
        root: a folder that all test processes of the session see.

    Raises:
        NoServerError: this machine has none, in plain words.
    """
    find_programs()
    with (root / "postgres.users").open("w") as users, (root / "postgres.setup").open("w") as setup:
        fcntl.flock(setup, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a guardian that is just removing an earlier server
        try:
            server = _running(root) or _begin(root, users)
        finally:
            fcntl.flock(setup, fcntl.LOCK_UN)
        yield server


def _running(root: Path) -> Server | None:
    try:
        state = json.loads((root / "postgres.json").read_text())
    except FileNotFoundError:
        return None
    return Server(Path(state["folder"]), Path(state["programs"]))


def _begin(root: Path, users: IO[str]) -> Server:
    server = _make()
    state = root / "postgres.json"
    guardian = [sys.executable, "-m", "tests.support.postgres"]
    arguments = [str(server.folder), str(server.programs), users.name, str(state)]
    subprocess.run(  # a shell that ends at once: the guardian outlives this process and is nobody's child
        ["/bin/sh", "-c", '"$0" "$@" &', *guardian, *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )
    state.write_text(json.dumps({"folder": str(server.folder), "programs": str(server.programs)}))
    return server


def guard(folder: str, programs: str, users: str, state: str) -> None:
    """Wait until no test process is left, then remove the server."""
    with Path(users).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        Path(state).unlink(missing_ok=True)
        remove(Server(Path(folder), Path(programs)))


if __name__ == "__main__":
    guard(*sys.argv[1:])
