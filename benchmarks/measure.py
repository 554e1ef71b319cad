"""Measuring processes: wall time, processor time and memory, several candidates in turn, medians."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """What one execution cost.

    Attributes:
        wall: seconds on the clock.
        cpu: seconds of processor time, with children that were waited for.
    """

    wall: float
    cpu: float

    def __sub__(self, other: Sample) -> Sample:
        return Sample(self.wall - other.wall, self.cpu - other.cpu)

    def __truediv__(self, count: float) -> Sample:
        return Sample(self.wall / count, self.cpu / count)


def run_process(argv: list[str], cwd: Path, environ: Mapping[str, str]) -> Sample:
    """Run a program to its end and measure it.

    Raises:
        RuntimeError: it did not exit with 0; carries its output.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}\n{output.decode(errors='replace')}")
    return Sample(wall, usage.ru_utime + usage.ru_stime)


def in_turn(candidates: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, Sample]:
    """Measure candidates in turn, so that a busy moment hits all alike; one unmeasured round first; medians."""
    for measure in candidates.values():
        measure()
    samples: dict[str, list[Sample]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            samples[name].append(measure())
    return {name: median(found) for name, found in samples.items()}


def median(samples: list[Sample]) -> Sample:
    """The median of wall and of processor time, each for itself."""
    return Sample(
        statistics.median(sample.wall for sample in samples),
        statistics.median(sample.cpu for sample in samples),
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree uses.

    Attributes:
        memory: resident bytes (shared pages counted once a process).
        cpu: seconds of processor time so far.
    """

    memory: int
    cpu: float


def usage_of(pids: set[int]) -> Usage:
    """Memory and processor time of running processes, from /proc or `ps`."""
    if not Path("/proc").is_dir():
        return _usage_by_ps(pids)
    memory, ticks = 0, 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(memory, ticks / os.sysconf("SC_CLK_TCK"))


def peaks(argv: list[str], cwd: Path, environ: Mapping[str, str]) -> tuple[int, list[int]]:
    """Run a program; the largest resident memory of its process, and of each process below it, in bytes.

    Raises:
        RuntimeError: there is no /proc, or the program did not exit with 0.
    """
    if not Path("/proc/self/status").exists():
        raise RuntimeError("peaks of memory are read from /proc, which this system does not have")
    found: dict[int, int] = {}
    with (cwd / "peaks.log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        while process.poll() is None:
            for pid in _tree(process.pid):
                found[pid] = max(found.get(pid, 0), _peak(pid))
            time.sleep(0.2)
    if process.returncode:
        raise RuntimeError(f"{argv[:4]} ended with {process.returncode}\n{(cwd / 'peaks.log').read_text()}")
    return found.pop(process.pid), list(found.values())


def _tree(root: int) -> set[int]:
    """A process and all below it that are alive."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found


def _peak(pid: int) -> int:
    """The largest resident memory that a process has had; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter."""
    return [sys.executable, *arguments]


def _usage_by_ps(pids: set[int]) -> Usage:
    """The same from `ps`, for systems without /proc."""
    listing = ",".join(map(str, sorted(pids)))
    rows = subprocess.run(
        ["ps", "-o", "rss=,time=", "-p", listing], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split() for line in rows.splitlines()]
    return Usage(sum(int(rss) * 1024 for rss, _ in pairs), sum(_clock_seconds(spent) for _, spent in pairs))


def _clock_seconds(text: str) -> float:
    """Seconds of `[[hh:]mm:]ss.cc`."""
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total
