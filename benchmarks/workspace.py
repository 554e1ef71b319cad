"""A project in a temporary folder for one benchmark, with the files and processes that benchmarks need."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample, in_turn, python, run_process

REPOSITORY = Path(__file__).parents[1]
STEERING = re.compile(r"KURT_.*|DBOS_.*|DATABASE_URL|PYTHON.*|.*_API_KEY")
"""Variables that would change what is measured; without byte code, for example, every start compiles Kurt anew."""

KURT = str(Path(sys.executable).with_name("kurt"))
"""The command as it is installed."""

NOOP_KIND = '''"""A step that does nothing: what is left is the engine's own cost."""
import time

from kurt.engine.kinds import StepKind


class Noop(StepKind):
    type = "noop"

    async def execute(self, fields, context):
        return time.time()
'''


@dataclass(slots=True)
class Bench:
    """What a benchmark works with.

    Attributes:
        root: the project's folder.
        rounds: how often each candidate is measured.
        environ: the environment of all processes.
    """

    root: Path
    rounds: int
    environ: dict[str, str]

    def measure(self, *argv: str) -> Callable[[], Sample]:
        """A measured run of `kurt ARGV`."""
        return lambda: run_process([KURT, *argv], self.root, self.environ)

    def measure_python(self, *argv: str) -> Callable[[], Sample]:
        """A measured run of this interpreter."""
        return lambda: run_process(python(*argv), self.root, self.environ)

    def measure_bare(self, *argv: str) -> Callable[[], Sample]:
        """A measured run of `benchmarks.bare`, DBOS without Kurt on a database of its own."""
        return self.measure_python(
            str(REPOSITORY / "benchmarks" / "bare.py"), str(self.root / "bare.sqlite"), *argv
        )

    def in_turn(
        self, candidates: dict[str, Callable[[], Sample]], *, rounds: int | None = None
    ) -> dict[str, Sample]:
        """Medians of the candidates, measured in turn."""
        return in_turn(candidates, rounds or self.rounds)

    def kurt(self, *argv: str) -> str:
        """Run `kurt ARGV` and return what it prints."""
        done = subprocess.run(
            [KURT, *argv],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kurt {argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def json(self, *argv: str) -> Any:
        """Run `kurt ARGV --format json` and return its result."""
        return json.loads(self.kurt(*argv, "--format", "json"))

    def write(self, path: str, text: str) -> Path:
        """Write a file into the project."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def steps_file(self, count: int, step: dict[str, Any] | None = None) -> str:
        """A workflow file with so many steps one after another (no-ops by default); returns its path."""
        steps = [{"name": f"s{number}", **(step or {"type": "noop"})} for number in range(count)]
        kind = (step or {"type": "noop"})["type"]
        path = f"workflows/{kind}-{count}.yaml"
        self.write(path, json.dumps({"name": f"{kind}-{count}", "steps": steps}))
        return path

    @contextlib.contextmanager
    def worker(self, *options: str) -> Generator[int]:
        """A worker that serves the project while the block runs; gives its process id."""
        with (self.root / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [KURT, "worker", "start", *options],
                cwd=self.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_worker(process)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _await_worker(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the worker has taken its lease and is polling."""
        end = time.monotonic() + 30
        while not self.json("worker", "list"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.root / "worker.log").read_text(errors="replace"))
            time.sleep(0.1)
        time.sleep(1)  # launch is done shortly after the lease


@contextlib.contextmanager
def workspace(rounds: int, database_url: str | None = None) -> Generator[Bench]:
    """A new project with an up-to-date database, an SQLite file unless an address is given; removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="kurt-bench-"))
    environ = {name: value for name, value in os.environ.items() if not STEERING.fullmatch(name)}
    environ |= {
        "HOME": str(root),
        "TERM": "dumb",
        "PATH": f"{Path(sys.executable).parent}:{environ.get('PATH', '')}",
    }
    if database_url:
        environ["DATABASE_URL"] = database_url
    bench = Bench(root, rounds, environ)
    try:
        bench.write("steps/noop.py", NOOP_KIND)
        bench.kurt("init")
        bench.kurt("db", "upgrade")
        yield bench
    finally:
        shutil.rmtree(root, ignore_errors=True)
