"""Processes that a test starts, and their end: each is ended by its own id, nothing by name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from tests.support.waiting import wait_until

PROC = Path("/proc")


class Spawned:
    """A process that a test started, in a session of its own, with its output in files.

    Attributes:
        process: the process itself.
        stdout_file: what it wrote to stdout.
        stderr_file: what it wrote to stderr.
    """

    def __init__(self, argv: list[str], cwd: Path, environ: dict[str, str], output: Path) -> None:
        self.stdout_file = output.with_suffix(".out")
        self.stderr_file = output.with_suffix(".err")
        with self.stdout_file.open("wb") as out, self.stderr_file.open("wb") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def stdout(self) -> str:
        """What it has written to stdout so far."""
        return self.stdout_file.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self.stderr_file.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal (to it alone, not to its children)."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it at once, as a crash would, and reap it. Its children get no signal."""
        self.process.kill()
        self.process.wait(10)

    def wait(self, limit: float = 30.0) -> int:
        """Wait for its end and return its exit status; a signal is negative."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.process.args!r} has not ended within {limit:g} s\n{self.stdout}\n{self.stderr}"
            ) from None

    def end(self) -> None:
        """Kill it and what is left of its session's group; for the end of a test."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists and is not a zombie."""
    return pid in _table()


def command_line(pid: int) -> str:
    """The command line of a process, or an empty text when it has ended."""
    if PROC.is_dir():
        with contextlib.suppress(OSError):
            return (
                (PROC / str(pid) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
        return ""
    return _ps("-o", "args=", "-p", str(pid)).strip()


def children(pid: int) -> set[int]:
    """Ids of the direct children of a process, without those that `multiprocessing` keeps until its end."""
    found = {child for child, parent in _table().items() if parent == pid}
    return {child for child in found if "from multiprocessing" not in command_line(child)}


def descendants(pid: int) -> set[int]:
    """Ids of all processes below a process."""
    found: set[int] = set()
    below = children(pid)
    while below:
        found |= below
        below = set().union(*(children(child) for child in below)) - found
    return found


def workers_of(project: Path) -> set[int]:
    """Ids of the detached workers of a project, also of one on Postgres."""
    return {pid for pid in _table() if f"--project {project} worker start" in command_line(pid)}


def executors(project: Path) -> dict[str, int]:
    """Executor ids of a project on SQLite whose process lives, with its process id."""
    found: dict[str, int] = {}
    for file in (project / ".kurt" / "executors").glob("*.lock"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = int(json.loads(file.read_text(encoding="utf-8"))["pid"])
            if is_alive(pid) and "kurt" in command_line(pid):
                found[file.stem] = pid
    return found


def end_executors(project: Path) -> None:
    """Kill the executors that commands of a test left behind (detached workers)."""
    for pid in {*executors(project).values(), *workers_of(project)}:
        below = descendants(pid)
        for victim in (pid, *below):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not executors(project), 10, what="the end of the project's executors")


def _table() -> dict[int, int]:
    """The parent of every process that is not a zombie."""
    if PROC.is_dir():
        found = (_proc_entry(entry) for entry in PROC.iterdir() if entry.name.isdigit())
        return dict(pair for pair in found if pair is not None)
    rows = (line.split() for line in _ps("-A", "-o", "pid=,ppid=,stat=").splitlines())
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def _proc_entry(entry: Path) -> tuple[int, int] | None:
    """A process and its parent, or None when it has ended; the name in parentheses may hold anything."""
    try:
        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else (int(entry.name), int(parent))


def _ps(*options: str) -> str:
    """What `ps` prints, for systems without /proc."""
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout
