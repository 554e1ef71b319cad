"""Workflows whose steps leave marks outside the database, and the account of what ran how often.

Every step appends a line when it begins and one when it ends to `effects.log`, each in one write. A checkpoint that
holds a step's value holds its name, so the account can tell which steps had finished when an executor was killed: none
of them may begin again, and every other that had begun begins exactly once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from socket import MSG_PEEK, socket
from typing import Any, NamedTuple

import psycopg

from tests.support.cli import Kurt
from tests.support.processes import Spawned, descendants, executors, is_alive
from tests.support.waiting import wait_until

LOG = "effects.log"
HELD = 300.0
"""Seconds that a step lasts which is to be killed; its repeat lasts no time at all."""

_MODULE = '''
"""What steps do: mark that they begin, take some time, mark that they end."""

import os
import random
import time
from pathlib import Path

SEED, UNIT = {seed!r}, {unit!r}
LOG = Path(__file__).with_name("{log}")


def mark(what, run, name):
    line = f"{{what}} {{run}} {{name}} {{os.getpid()}} {{time.time():.3f}}\\n"
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)


def begun(run, name):
    return LOG.read_text().count(f"begin {{run}} {{name}} ")


def work(run, name, hold=False):
    mark("begin", run, name)
    if hold and begun(run, name) == 1:
        time.sleep({held})
    time.sleep(UNIT * random.Random(f"{{SEED}}:{{name}}").uniform(0, 2))
    mark("end", run, name)
    return f"fx:{{name}}"


def fail(run, name):
    """Leave a mark and fail."""
    work(run, name)
    raise ValueError("not yet")
'''

_SHELL = """
mark() { echo "$1 $RUN $NAME $$ $(date +%s.%N)" >> effects.log; }
mark begin
if [ "$HOLD" = true ] && [ "$(grep -c "^begin $RUN $NAME " effects.log)" = 1 ]; then sleep 300; fi
sleep "$SECONDS_"
mark end
echo "fx:$NAME"
"""

_COMMAND = '''
import click

import effects


@click.command("effect")
@click.argument("run")
@click.argument("name")
@click.option("--hold", is_flag=True)
def effect_command(run, name, hold):
    """Leave a mark."""
    return {"done": effects.work(run, name, hold)}
'''


def furnish(project: Path, *, seed: object = 0, unit: float = 0.0) -> None:
    """Put what the steps use into a project: a module, a shell script, a command.

    Args:
        project: the project's folder.
        seed: decides how long each step takes.
        unit: seconds that a step takes on average.
    """
    (project / "effects.py").write_text(_MODULE.format(seed=str(seed), unit=unit, log=LOG, held=HELD))
    (project / "effect.sh").write_text(_SHELL)
    (project / "commands").mkdir(exist_ok=True)
    (project / "commands" / "effect.py").write_text(_COMMAND)
    (project / LOG).touch()


class Mark(NamedTuple):
    """One line of the log of effects.

    Attributes:
        what: `begin` or `end`.
        run: the run that the user started.
        name: name of the effect.
        pid: the process that made it.
        at: seconds since the epoch.
    """

    what: str
    run: str
    name: str
    pid: int
    at: float

    @property
    def key(self) -> tuple[str, str]:
        """Run and name."""
        return self.run, self.name


def marks(project: Path) -> list[Mark]:
    """All effects so far, in their order."""
    found: list[Mark] = []
    for line in (project / LOG).read_text().splitlines():
        what, run, name, pid, at = line.split()
        found.append(Mark(what, run, name, int(pid), float(at)))
    return found


def begun(project: Path, run: str | None = None) -> Counter[str]:
    """How often each effect has begun, of one run or of all."""
    return Counter(mark.name for mark in marks(project) if mark.what == "begin" and run in {None, mark.run})


def workers_of_steps(project: Path, names: Iterable[str]) -> set[int]:
    """Ids of the processes in which these effects have begun, those of requests left out."""
    return {mark.pid for mark in marks(project) if mark.what == "begin" and mark.name in names and mark.pid}


class Server(ThreadingHTTPServer):
    """Answers `http` steps on a free port; each request is an effect: `/RUN/NAME`, held with `?hold`.

    Args:
        project: the project in whose log the requests are noted.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, project: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.project = project
        self.at_work = 0
        self._count = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def change(self, by: int) -> None:
        """Count the requests at work."""
        with self._count:
            self.at_work += by

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - what http.server calls its base class

    def do_GET(self) -> None:
        self.server.change(1)
        try:
            self._answer()
        finally:
            self.server.change(-1)

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        run, name = path.strip("/").split("/", 1)
        self._mark("begin", run, name)
        if query == "hold" and begun(self.server.project, run)[name] == 1:
            wait_until_closed(self.connection, HELD)
            return
        self._mark("end", run, name)
        body = json.dumps({"done": f"fx:{name}"}).encode()
        self.send_response_only(200)  # without the date, so that the answer is always the same
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _mark(self, what: str, run: str, name: str) -> None:
        with (self.server.project / LOG).open("ab", buffering=0) as file:
            file.write(f"{what} {run} {name} 0 {time.time():.3f}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the effects are the log."""


def wait_until_closed(connection: socket, limit: float) -> None:
    """Wait until the other side has gone."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        readable, _, _ = select([connection], [], [], 0.5)
        if readable:
            with contextlib.suppress(OSError):
                if connection.recv(1, MSG_PEEK):
                    continue
            return


@contextlib.contextmanager
def serving(project: Path) -> Generator[Server]:
    """A server for the project's `http` steps."""
    server = Server(project)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


_VALUE = re.compile(r"fx:([\w.\[\]-]+)")


def finished(project: Path, url: str | None = None) -> set[tuple[str, str]]:
    """The effects whose steps have a checkpoint of success: run and name."""
    query = "SELECT workflow_uuid, output FROM operation_outputs WHERE strpos(output, 'fx:') > 0"
    rows = _rows(project, query if url else query.replace("strpos", "instr"), url=url)
    return {(row[0].partition(".")[0], name) for row in rows for name in _VALUE.findall(row[1])}


@dataclass
class Account:
    """Holds the log of effects against the checkpoints at each kill.

    Attributes:
        project: the project's folder.
        url: the address of its Postgres database, None for its SQLite file.
        server: the server of its `http` steps, if it has any.
        repeats: how often each effect was at work when its executor was killed.
    """

    project: Path
    url: str | None = None
    server: Server | None = None
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter)

    def kill(self, *victims: Spawned) -> None:
        """Kill executors as a crash would, see that no process of theirs lives on, and note what was at work.

        No other executor may take that up before it is noted: there is none, or it is stopped, or of another queue.
        """
        processes = set().union(*(frozen(victim.pid) for victim in victims if victim.running))
        for victim in victims:
            victim.kill()
        if self.url:
            settle(self.url)
            end_terms(self.url, [victim.pid for victim in victims])
        wait_until(
            lambda: not any(map(is_alive, processes)),
            5,
            what="the end of the killed executors' child processes",
        )
        if self.server is not None:
            server = self.server
            wait_until(lambda: not server.at_work, 5, what="the end of requests whose clients are gone")
        self.note()

    def note(self) -> None:
        """Note what was at work when the executors ended that were killed a moment ago."""
        done = finished(self.project, self.url)
        so_far = Counter(mark.key for mark in marks(self.project) if mark.what == "begin")
        self.repeats.update(
            {key: count - self.repeats[key] for key, count in so_far.items() if key not in done}
        )

    def check(self, expected: Mapping[str, Iterable[str]]) -> None:
        """Of each run its effects ran, exactly once more for each kill in their middle, and nothing else.

        Args:
            expected: names of all effects by run.
        """
        ran = Counter(
            mark.key for mark in marks(self.project) if mark.what == "begin" and mark.run in expected
        )
        keys = [(run, name) for run, names in expected.items() for name in names]
        wanted = {key: 1 + self.repeats[key] for key in keys}
        assert ran == Counter(wanted), _difference(ran, wanted)
        assert finished(self.project, self.url) >= set(wanted)


def _difference(ran: Counter[tuple[str, str]], wanted: dict[tuple[str, str], int]) -> str:
    keys = sorted(ran.keys() | wanted.keys())
    lines = [
        f"{run} {name}: ran {ran[run, name]} times, expected {wanted.get((run, name), 0)}"
        for run, name in keys
        if ran[run, name] != wanted.get((run, name), 0)
    ]
    return "\n".join(lines)


def below(pids: Iterable[int]) -> set[int]:
    """All processes below these."""
    return set().union(*map(descendants, pids))


def frozen(pid: int) -> set[int]:
    """Stop a process as it stands, so that nothing is added to its children; these and itself."""
    os.kill(pid, signal.SIGSTOP)
    looks = [below([pid])]
    wait_until(lambda: looks.append(below([pid])) or looks[-1] == looks[-2], 5, pause=0.05)
    return set().union(*looks, {pid})


def kill(pid: int) -> None:
    """Kill one process as a crash would; its children get no signal."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 10, what=f"the end of process {pid}")


def the_worker(project: Path) -> int:
    """Process id of the only live worker of a project on SQLite; waits until there is one."""

    def found() -> list[int]:
        return [pid for name, pid in executors(project).items() if name.startswith("worker-")]

    wait_until(lambda: len(found()) == 1, 20, what="one live worker")
    return found()[0]


def submit(kurt: Kurt, workflow: str, *words: str) -> str:
    """Put a run on its queue; its id."""
    return kurt.json("workflows", "run", workflow, "--background", *words)["run_id"]


def outputs(kurt: Kurt, run: str, *, limit: float = 60.0) -> Any:
    """The outputs of a run, which must succeed within the limit."""
    done = kurt("workflows", "wait", run, "--timeout", f"{limit:g}s", "--format", "json", limit=limit + 30)
    result = done.json()
    assert result["status"] == "succeeded", done
    return result["outputs"]


def exists(project: Path, run: str, url: str | None = None) -> bool:
    """Whether there is a run of this id."""
    return status(project, run, url) is not None


def status(project: Path, run: str, url: str | None = None) -> str | None:
    """DBOS's state of a run, None where there is no such run."""
    query = "SELECT status FROM workflow_status WHERE workflow_uuid = "
    found = _rows(project, query + ("%s" if url else "?"), run, url=url)
    return found[0][0] if found else None


def children(project: Path, run: str) -> dict[str, str]:
    """DBOS's states of a run's children on SQLite, at any depth."""
    query = "SELECT workflow_uuid, status FROM workflow_status WHERE workflow_uuid LIKE ? || '.%'"
    return dict(_rows(project, query, run))


def executors_of(project: Path, url: str | None = None) -> dict[str, int]:
    """For each run and child the process that had it last, as its executor's id tells."""
    query = "SELECT workflow_uuid, executor_id FROM workflow_status WHERE executor_id IS NOT NULL"
    return {run: int(executor.split("-")[-2]) for run, executor in _rows(project, query, url=url)}


def live(project: Path, url: str | None = None) -> set[int]:
    """Process ids of the executors that hold a lease."""
    if url is None:
        return set(executors(project).values())
    query = "SELECT pid FROM public.kurt_executors WHERE lease_until > clock_timestamp()"
    return {pid for (pid,) in _rows(project, query, url=url)}


def _rows(project: Path, query: str, *values: str, url: str | None = None) -> list[Any]:
    if url:
        with psycopg.connect(url, options="-c search_path=dbos") as connection:
            return connection.execute(query.encode(), values or None).fetchall()
    with contextlib.closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite", timeout=30)) as connection:
        return connection.execute(query, values).fetchall()


def settle(url: str) -> None:
    """Wait until the server is through with what killed processes had asked of it.

    It commits also for a client that is dead: a checkpoint may appear a moment after the end of the process that sent it.
    """
    query = (
        "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    )

    def open_transactions() -> set[Any]:
        with psycopg.connect(url) as connection:
            return set(connection.execute(query).fetchall())

    left = open_transactions()
    wait_until(lambda: not left & open_transactions(), 20, what="the end of killed processes' transactions")


def end_terms(url: str, pids: list[int]) -> None:
    """Let the leases of dead processes on Postgres end now, not half a minute later."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE public.kurt_executors SET lease_until = clock_timestamp() WHERE pid = ANY(%s)", (pids,)
        )
