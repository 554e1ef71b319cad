"""Running cases: each in a process and a copy of the project of its own, several at a time."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.cases.comparing import Difference, Result, differences
from kurt.app.cases.copies import Project, copy_project
from kurt.app.cases.processes import CaseProcesses
from kurt.engine.cases.reading import mock_of, without_keys
from kurt.errors import RunFailedError, UsageError

if TYPE_CHECKING:
    from kurt.engine.cases.reading import LoadedCases
    from kurt.engine.cases.schema import CaseSpec
    from kurt.types import JsonObject

PASSED, FAILED = "passed", "failed"

_STEERING = ("DATABASE_URL", "DBOS_", "KURT_")
"""Beginnings of names of variables that could lead a case to the user's own database."""

_STARTING = 30.0
"""Seconds over a case's own limit that its process may take to start and to tell."""

_LOG_LINES = 20
_OUTPUT = "case-output.txt"


@dataclass(frozen=True, slots=True)
class Job:
    """A case that is to be run.

    Attributes:
        cases: its file.
        case: what it says.
        project: what of the project is copied.
    """

    cases: LoadedCases
    case: CaseSpec
    project: Project


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of a case.

    Attributes:
        file: the test file.
        case: its name.
        status: `passed` or `failed`.
        seconds: how long it took.
        run_status: how the run ended; None where it did not.
        differences: what was not as expected.
        steps: paths of the steps that ran, without keys of items.
        log: the end of the run's log, of a case that failed.
        folder: the copy of the project, where it was kept.
    """

    file: str
    case: str
    status: str
    seconds: float
    run_status: str | None
    differences: tuple[Difference, ...] = ()
    steps: frozenset[str] = frozenset()
    log: tuple[str, ...] = ()
    folder: str | None = None

    def to_json(self) -> JsonObject:
        """The result as JSON."""
        return {
            "file": self.file,
            "case": self.case,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "run_status": self.run_status,
            "differences": [one.to_json() for one in self.differences],
            "log": list(self.log),
            "folder": self.folder,
        }


def run_cases(
    jobs: Sequence[Job], *, at_once: int, tell: Callable[[CaseResult], None], keep: bool = False
) -> list[CaseResult]:
    """Run cases; their results in the order of the cases.

    Args:
        jobs: the cases.
        at_once: how many run at the same time.
        tell: given each result, in the order of the cases, as soon as those before it are there.
        keep: leave the copies of cases that failed where they are.

    Raises:
        UsageError: the project is too large to be copied.
        StorageError: it cannot be copied.
        RunFailedError: its database cannot be made.
    """
    with _workshop() as workshop, ThreadPoolExecutor(at_once, "kurt-case") as pool:
        waiting = [pool.submit(workshop.run, job, number, keep=keep) for number, job in enumerate(jobs)]
        results: list[CaseResult] = []
        try:
            for future in waiting:
                results.append(future.result())
                tell(results[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workshop.stop()
            raise
    return results


class _Workshop:
    """The folder of all copies, and the processes that work in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[Project, Path] = {}
        self._making = threading.Lock()
        self._processes = CaseProcesses()
        self.kept = False

    def run(self, job: Job, number: int, *, keep: bool) -> CaseResult:
        """Run a case in a new copy; what became of it."""
        model = self._model(job.project)
        copy = self._folder / f"{number + 1}-{_slug(job.case.name)}"
        shutil.copytree(model, copy, symlinks=True)
        _write_files(copy, job)
        started = time.monotonic()
        told = self._process(copy, _order(job), job.case.timeout, _secrets(job))
        result = _result(job, told, time.monotonic() - started, copy)
        if result.status == PASSED or not keep:
            shutil.rmtree(copy, ignore_errors=True)
            return result
        self.kept = True
        return _kept(result, copy)

    def _model(self, project: Project) -> Path:
        """A copy of the project with an empty database, from which those of the cases are made."""
        with self._making:
            if project not in self._models:
                target = self._folder / f"project-{len(self._models)}"
                copy_project(project, target)
                told = self._process(target, {"prepare": True}, 120.0, {})
                if told.get("error"):
                    error = told["error"]
                    raise RunFailedError(
                        f"the database of the copy of {project.root} cannot be made: {error.get('message')}",
                        hint=error.get("hint")
                        or "kurt db upgrade shows whether the project's revisions apply",
                    )
                self._models[project] = target
            return self._models[project]

    def _process(self, copy: Path, order: JsonObject, limit: float, secrets: Mapping[str, str]) -> JsonObject:
        """Let a process do a job in a copy; what it wrote down."""
        state = copy / ".kurt"
        state.mkdir(exist_ok=True)
        files = {
            "order": state / "case.json",
            "result": state / "case-result.json",
            "output": state / _OUTPUT,
        }
        files["order"].write_text(json.dumps(order), encoding="utf-8")
        files["result"].unlink(missing_ok=True)  # that of what the copy was made from
        code = self._processes.run(copy, files, _environment(copy, secrets), limit + _STARTING)
        if code is None:
            return {"status": "late"}
        if files["result"].exists():
            return json.loads(files["result"].read_text(encoding="utf-8"))
        return {"status": "died", "exit_code": code}

    def stop(self) -> None:
        """End all processes."""
        self._processes.close()


@contextmanager
def _workshop() -> Generator[_Workshop]:
    folder = Path(tempfile.mkdtemp(prefix="kurt-test-"))
    workshop = _Workshop(folder)
    try:
        yield workshop
    finally:
        workshop.stop()
        if workshop.kept:
            for model in folder.glob("project-*"):
                shutil.rmtree(model, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(copy: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment of a case: nothing in it leads to the user's own database, and no secret is a real one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
    return {
        **inherited,
        "KURT_PROJECT": str(copy),
        "KURT_DATABASE_URL": "",
        "KURT_PATH_DB": ".kurt/kurt.sqlite",
        "KURT_MOCK_LLM": "1",
        **secrets,
    }


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower())[:40]


def _write_files(copy: Path, job: Job) -> None:
    """Write the files that the case gives.

    Raises:
        UsageError: one of them would lie outside of the copy.
    """
    for name, text in job.case.files.items():
        target = Path(os.path.normpath(copy / name))
        if not target.is_relative_to(copy) or not target.parent.resolve().is_relative_to(copy.resolve()):
            raise UsageError(
                f"{job.cases.file}: the case {job.case.name!r} writes {name!r}, outside of the project",
                hint="give a path from the project's root",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _order(job: Job) -> JsonObject:
    return {
        "file": str(job.cases.workflow.relative_to(job.project.root)),
        "inputs": job.case.inputs,
        "mock": mock_of(job.case.mocks, job.cases.spec.mocks, answered=job.case.answers),
        "answers": job.case.answers,
        "limit": job.case.timeout,
    }


def _secrets(job: Job) -> dict[str, str]:
    """A value for each secret of the workflow and of the files that it runs."""
    bodies = [job.cases.loaded.body, *(one["definition"] for one in job.cases.loaded.subworkflows.values())]
    names = [name for body in bodies for name in body.get("secrets") or []]
    return {**{name: f"mock-{name}" for name in names}, **job.case.secrets}


def _result(job: Job, told: JsonObject, seconds: float, copy: Path) -> CaseResult:
    status = told.get("status")
    if status in ("late", "died"):
        found = [_unfinished(job, told, copy)]
    else:
        result = Result(
            status=str(status),
            inputs=told.get("inputs") or job.case.inputs,
            outputs=told.get("outputs"),
            error=told.get("error"),
            steps=told.get("steps") or (),
            calls=told.get("calls") or {},
        )
        found = differences(job.case.expect, result)
    return CaseResult(
        file=job.cases.file,
        case=job.case.name,
        status=FAILED if found else PASSED,
        seconds=seconds,
        run_status=None if status in ("late", "died") else str(status),
        differences=tuple(found),
        steps=frozenset(without_keys(step["path"]) for step in told.get("steps") or ()),
        log=tuple(_log(copy)) if found else (),
    )


def _unfinished(job: Job, told: JsonObject, copy: Path) -> Difference:
    """Why there is no result."""
    if told.get("waits"):
        path = told["waits"]
        message = f"the step {path} waits for an answer that the case does not give\nwrite answers: {{{without_keys(path)}: ...}}"
        return Difference("status", message, job.case.expect.wanted_status, "waiting")
    if told.get("refusal"):
        refusal = told["refusal"]
        more = [*refusal.get("causes", ()), refusal.get("hint")]
        message = "\n".join([f"an answer is refused: {refusal['message']}", *map(str, filter(None, more))])
        return Difference("answers", message)
    if told["status"] == "late":
        message = f"the run is not over after {job.case.timeout:g} s\nraise `timeout:` of the case, or mock the slow step"
        return Difference("status", message, job.case.expect.wanted_status, "running")
    output = (copy / ".kurt" / _OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
    message = "\n".join([_ended(told["exit_code"]), *output[-_LOG_LINES:]])
    return Difference("status", message, job.case.expect.wanted_status, "died")


def _ended(code: int) -> str:
    how = f"was killed by the signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"the process of the case {how} before it had a result"


def _log(copy: Path) -> list[str]:
    logs = sorted((copy / ".kurt" / "logs").glob("workflow-*.log"), key=lambda path: path.stat().st_mtime)
    lines = [
        line for path in logs[:1] for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    return lines[-_LOG_LINES:]


def _kept(result: CaseResult, copy: Path) -> CaseResult:
    return replace(result, folder=str(copy))
