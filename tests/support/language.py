"""Running small workflow files with the real engine: one project and one worker for all tests of a module."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kurt.app.client import Client
from kurt.errors import DefinitionError
from kurt.runtime.runs import Run, Step
from tests.support.cli import Kurt
from tests.support.command import Command
from tests.support.processes import end_executors, executors
from tests.support.waiting import wait_until

PROBE = '''
"""Functions for steps of type `python`: they leave marks, so that a test can count how often a step ran."""

import time
from pathlib import Path


def mark(name, value=None):
    """Leave a mark; the value."""
    _add(name)
    return value


def flaky(name, failures):
    """Fail so many times, then give the number of the call."""
    number = _add(name)
    if number <= failures:
        raise RuntimeError(f"{name} fails, call {number}")
    return number


def broken(name):
    """Fail until the test has mended it."""
    _add(name)
    if not Path("mended", name).exists():
        raise ValueError(f"{name} is broken")
    return f"{name} works"


def meet(name, everyone, limit=30):
    """Wait until everyone has come: passes only if all are at work at once."""
    folder = Path("met")
    folder.mkdir(exist_ok=True)
    (folder / name).touch()
    until = time.monotonic() + limit
    while not all((folder / other).exists() for other in everyone):
        if time.monotonic() > until:
            raise TimeoutError(f"{name} was left alone")
        time.sleep(0.01)
    return name


def _add(name):
    folder = Path("marks")
    folder.mkdir(exist_ok=True)
    file = folder / name.replace("/", "_")
    with file.open("a") as stream:
        stream.write("x")
    return file.stat().st_size
'''


class Language:
    """A project with a worker, in which workflow files are run.

    Attributes:
        root: the project's folder.
        client: acts on its runs.
        kurt: its command line, as processes.
        here: its command line inside this process, for commands that start no executor.
    """

    def __init__(self, root: Path, kurt: Kurt) -> None:
        self.root = root
        self.kurt = kurt
        self.here = Command(root)
        self.client = Client(root)
        self._numbers = itertools.count(1)
        (root / "probe.py").write_text(PROBE, encoding="utf-8")

    def write(self, text: str, name: str | None = None) -> str:
        """A file of the project with this text; its name."""
        name = name or f"flow-{next(self._numbers)}.yaml"
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return name

    def start(self, text: str, inputs: dict[str, Any] | None = None, **options: Any) -> str:
        """Start a run of a workflow with this text, or of a file of this name; its id."""
        name = text if text.endswith(".yaml") else self.write(text)
        try:
            return self.client.submit(str(self.root / name), inputs, **options).run_id
        except DefinitionError as error:
            error.add_note("\n".join(f"{fault.location}: {fault.message}" for fault in error.faults))
            raise

    def run(
        self, text: str, inputs: dict[str, Any] | None = None, *, limit: float = 60, **options: Any
    ) -> Run:
        """Run a workflow to its end."""
        return self.client.wait(self.start(text, inputs, **options), timeout=limit)

    def outputs(self, text: str, inputs: dict[str, Any] | None = None, **options: Any) -> Any:
        """The outputs of a run, which must succeed."""
        run = self.run(text, inputs, **options)
        assert run.status == "succeeded", run.error
        return run.outputs

    def steps(self, run: Run | str) -> dict[str, Step]:
        """The steps of a run by path, with their values."""
        run_id = run if isinstance(run, str) else run.id
        return {step.path: step for step in self.client.steps(run_id, values=True)}

    def states(self, run: Run | str) -> dict[str, str]:
        """The states of a run's steps by path, in their order."""
        return {path: step.status for path, step in self.steps(run).items()}

    def log(self, run: Run | str) -> str:
        """The log of a run."""
        return "\n".join(self.client.logs(run if isinstance(run, str) else run.id))

    def marks(self, name: str) -> int:
        """How often `probe:mark`, `probe:flaky` or `probe:broken` was called with this name."""
        file = self.root / "marks" / name.replace("/", "_")
        return file.stat().st_size if file.exists() else 0

    def mend(self, *names: str) -> None:
        """Let `probe:broken` succeed for these names from now on."""
        (self.root / "mended").mkdir(exist_ok=True)
        for name in names:
            (self.root / "mended" / name).touch()

    def until(self, run_id: str, *states: str, limit: float = 30) -> Run:
        """Wait until a run has one of these states."""
        what = f"{run_id} to be {' or '.join(states)}"
        wait_until(lambda: self.client.get(run_id).status in states, limit, what=what)
        return self.client.get(run_id)


@contextmanager
def working(
    template: Path, home: Path, folder: Path, *, queues: Mapping[str, Sequence[str]] | None = None
) -> Generator[Language]:
    """A project with a worker.

    Args:
        template: the project to be copied.
        home: the home folder of its processes.
        folder: where it is made.
        queues: queues beside `default` that the worker serves, with the options that create them.
    """
    root = folder / "project"
    shutil.copytree(template, root)
    kurt = Kurt(root, home, folder)
    for name, options in (queues or {}).items():
        kurt("queues", "create", name, *options)
    kurt.spawn("worker", "start", "--concurrency", "20", "--queues", ",".join(["default", *(queues or {})]))
    try:
        language = Language(root, kurt)
        wait_until(lambda: executors(root), 30, what="the worker")
        yield language
    finally:
        kurt.end()
        end_executors(root)


@pytest.fixture(scope="module")
def language(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Language]:
    """A project with a worker, shared by the tests of a module: each uses names of its own."""
    with working(_template, home, tmp_path_factory.mktemp("language")) as language:
        yield language
