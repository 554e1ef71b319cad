"""The process of one case: runs a workflow in a copy of the project and writes down what became of it.

    python -P -m kurt.app.cases.child JOB RESULT

JOB is a JSON file: `{"prepare": true}`, which makes the database of the copy, or a case: `file`, `inputs`, `mock`,
`answers`, `limit` (seconds). The working directory is the copy.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app.foreground_watch import Watch
from kurt.app.placement import placement_from
from kurt.app.runs import run_here
from kurt.app.targets import prepare
from kurt.config import Settings, load_settings
from kurt.errors import InputError, KurtError, NotFoundError
from kurt.runtime.names import new_run_id
from kurt.runtime.reading import jsonable
from kurt.runtime.runs import Run, RunReader, Step, open_reader
from kurt.runtime.spending import CallQuery, open_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kurt.types import JsonObject

_LOOK_EVERY = 0.1
_PATIENCE = 1.0
"""Seconds for which a step may wait unanswered: its answer may be on its way."""

_LOG_LINES = 30
_KEY = re.compile(r"\[[^\]]*\]")


def main(job_file: str, result_file: str) -> None:
    """Do what the job says and write down the result."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    result = _prepare() if job.get("prepare") else _Case(job, Path(result_file)).result()
    _write(Path(result_file), result)


def _prepare() -> JsonObject:
    """Make the database, with the tables of the project's own modules."""
    from kurt.db.migrate import upgrade  # noqa: PLC0415 - a case needs none of it

    upgrade(load_settings())
    return {}


def _write(file: Path, result: JsonObject) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(file)


class _Case:
    """One run, watched until it is over or too late."""

    def __init__(self, job: JsonObject, result_file: Path) -> None:
        self._job = job
        self._result_file = result_file
        self._settings: Settings = load_settings()
        self._run_id = new_run_id()
        self._over = threading.Event()

    def result(self) -> JsonObject:
        """Run it; what became of it."""
        job, settings = self._job, self._settings
        try:
            prepared = prepare(settings, job["file"], given=job["inputs"], mock=job["mock"])
        except InputError as error:
            return {"status": "refused", "error": error.to_json()}
        placement = placement_from(settings, prepared, {})
        threading.Thread(target=self._watch, daemon=True).start()
        run_here(settings, prepared, placement, run_id=self._run_id, watch=Watch())
        self._over.set()
        return {**self._found(), "inputs": prepared.arguments[0]["inputs"]}

    def _watch(self) -> None:
        """Answer steps that wait; end the process when it is too late, or when a step waits for what nobody sends."""
        until = time.monotonic() + self._job["limit"]
        answerer = _Answerer(self._settings, self._run_id, self._job["answers"])
        while not self._over.wait(_LOOK_EVERY):
            unanswered = None
            with suppress(NotFoundError):
                unanswered = answerer.look()
            if unanswered is None and time.monotonic() < until:
                continue
            found = self._found()
            if self._over.is_set():
                return
            _write(self._result_file, {**found, "status": "late", "waits": unanswered})
            os._exit(0)

    def _found(self) -> JsonObject:
        with open_reader(self._settings) as reader:
            run = reader.get(self._run_id)
            steps = list(_steps(reader, run.id))
        return {
            "status": run.status,
            "outputs": jsonable(run.outputs),
            "error": jsonable(run.error),
            "steps": steps,
            "calls": _calls(self._settings, run),
            "run_id": run.id,
        }


def _steps(reader: RunReader, run_id: str, prefix: str = "") -> Iterator[JsonObject]:
    """The steps of a run, and of the runs of other files that it started, by their paths from the first file on."""
    for step in reader.steps(run_id, values=True):
        yield _described(step, prefix)
        if step.child_run_id is not None:
            yield from _steps(reader, step.child_run_id, f"{prefix}{step.path}.")


def _described(step: Step, prefix: str) -> JsonObject:
    return {
        "path": prefix + step.path,
        "state": step.status,
        "value": jsonable(step.value),
        "error": jsonable(step.error),
        "attempts": step.attempt,
        "mocked": step.mocked,
        "given": jsonable(step.given),
    }


def _calls(settings: Settings, run: Run) -> dict[str, int]:
    """How often models were called, by step."""
    with open_calls(settings) as reader:
        found = reader.stats(CallQuery(run_id=run.id), ("step",))
    return {str(one.group.get("step") or ""): one.calls for one in found}


class _Answerer:
    """Sends the answers of a case to the steps that wait for them.

    Args:
        settings: of the copy.
        run_id: the run.
        answers: by path of the step.
    """

    def __init__(self, settings: Settings, run_id: str, answers: Mapping[str, Any]) -> None:
        self._settings = settings
        self._run_id = run_id
        self._answers = answers
        self._answered: set[str] = set()
        self._unanswered: dict[str, float] = {}

    def look(self) -> str | None:
        """Answer what waits; what waits and has no answer for longer than a moment, in words."""
        with open_reader(self._settings) as reader:
            waiting = reader.get(self._run_id).waiting_for
        path = str((waiting or {}).get("path") or "")
        if not waiting or not path or path in self._answered:
            return None
        key = path if path in self._answers else _KEY.sub("", path)
        if key in self._answers:
            self._answer(waiting, self._answers[key])
            self._answered.add(path)
            return None
        if not waiting.get("topic") and "message" not in waiting:
            return None
        since = self._unanswered.setdefault(path, time.monotonic())
        return path if time.monotonic() - since > _PATIENCE else None

    def _answer(self, waiting: Mapping[str, Any], answer: Any) -> None:
        from kurt.app import steering  # noqa: PLC0415 - few cases wait

        steering.send(self._settings, self._run_id, answer, topic=str(waiting["topic"]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KurtError as error:
        _write(Path(sys.argv[2]), {"status": "refused", "error": error.to_json(), "broken": True})
