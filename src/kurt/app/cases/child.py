"""What the process of a case does: it runs a workflow in a copy of the project and writes down what became of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kurt.app.foreground_watch import Watch
from kurt.app.placement import placement_from
from kurt.app.runs import run_here
from kurt.app.targets import prepare
from kurt.config import Settings, load_settings
from kurt.engine.cases.reading import without_keys
from kurt.errors import InputError, KurtError, NotFoundError
from kurt.runtime.names import new_run_id
from kurt.runtime.reading import jsonable
from kurt.runtime.runs import Run, RunReader, Step, open_reader
from kurt.runtime.spending import CallQuery, open_calls
from kurt.runtime.wait_words import APPROVAL, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kurt.types import JsonObject

_LOOK_EVERY = 0.1
_PATIENCE = 1.0
"""Seconds for which a step may wait unanswered: its answer may be on its way."""


def perform(order_file: Path, result_file: Path) -> None:
    """Do what is ordered in the working directory, which is the copy, and write down the result.

    Args:
        order_file: JSON: `{"prepare": true}`, which makes the database of the copy, or a case: `file`, `inputs`, `mock`,
            `answers`, `limit` (seconds).
        result_file: JSON too; it is there as a whole or not at all.
    """
    order = json.loads(order_file.read_text(encoding="utf-8"))
    try:
        result = _prepare() if order.get("prepare") else _Case(order, result_file).result()
    except KurtError as error:
        result = {"status": "broken", "error": _told(error)}
    _write(result_file, result)


def end_session() -> NoReturn:
    """End this process, and whatever it has started and left behind: it leads a session of its own."""
    os.killpg(0, signal.SIGKILL)
    raise SystemExit  # not reached


def _prepare() -> JsonObject:
    """Make the database, with the tables of the project's own modules."""
    from kurt.db.migrate import upgrade  # noqa: PLC0415 - a case needs none of it

    upgrade(load_settings())
    return {}


def _told(error: KurtError) -> JsonObject:
    return {**error.to_json(), "causes": list(error.causes)}


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
            return {"status": "refused", "error": _told(error)}
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
            unanswered, refusal = None, None
            try:
                unanswered = answerer.look()
            except NotFoundError:  # it has not begun
                pass
            except KurtError as error:
                refusal = _told(error)
            if unanswered is None and refusal is None and time.monotonic() < until:
                continue
            found = self._found()
            if self._over.is_set():
                return
            reason = {"waits": unanswered, "refusal": refusal}
            _write(self._result_file, {**found, "status": "late", **reason})
            end_session()

    def _found(self) -> JsonObject:
        with open_reader(self._settings) as reader:
            run = reader.get(self._run_id)
            steps = list(_steps(reader, run.id))
        return {
            "status": run.status,
            "outputs": jsonable(run.outputs),
            "error": _failure(run, steps),
            "steps": steps,
            "calls": _calls(self._settings, run),
            "run_id": run.id,
        }


def _failure(run: Run, steps: Sequence[JsonObject]) -> JsonObject | None:
    """Why the run failed, as `error` shows it in the file: with the step that failed, and the details of its failure."""
    if run.error is None:
        return None
    said = str(run.error.get("message"))
    failed = next((one for one in steps if one["error"] and f"step {one['path']!r} failed" in said), None)
    more = {} if failed is None else {**failed["error"], "step": failed["path"]}
    return {**more, **jsonable(run.error)}


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
        """Answer what waits; the path of a step that waits without a limit and has no answer, after a moment.

        Raises:
            KurtError: an answer is refused.
        """
        with open_reader(self._settings) as reader:
            waits = reader.get(self._run_id).waits
        for wait in waits:
            if not self._is_answered(wait) and wait["kind"] != TIME and wait.get("until") is None:
                since = self._unanswered.setdefault(wait["path"], time.monotonic())
                if time.monotonic() - since > _PATIENCE:
                    return str(wait["path"])
        return None

    def _is_answered(self, wait: Mapping[str, Any]) -> bool:
        path = str(wait["path"])
        key = path if path in self._answers else without_keys(path)
        if path not in self._answered and key in self._answers:
            self._answer(path, wait, self._answers[key])
            self._answered.add(path)
        return path in self._answered

    def _answer(self, path: str, wait: Mapping[str, Any], answer: Any) -> None:
        if wait["kind"] == APPROVAL:
            _approve(self._settings, self._run_id, path, answer)
            return
        from kurt.app import steering  # noqa: PLC0415 - few cases wait

        steering.send(self._settings, self._run_id, answer, topic=str(wait["topic"]))


def _approve(settings: Settings, run_id: str, path: str, answer: Any) -> None:
    """Approve or reject: the answer is true or false, or a mapping with `approved`, `comment`, `by` and fields.

    Raises:
        InputError: it is neither, or its fields do not fit.
    """
    from kurt.app.approvals import Answer, give  # noqa: PLC0415 - few cases wait

    said: dict[str, Any] = dict(answer) if isinstance(answer, dict) else {"approved": answer}
    if not isinstance(said.get("approved"), bool):
        raise InputError(
            "it asks for an approval", hint=f"write answers: {{{without_keys(path)}: {{approved: true}}}}"
        )
    fields = {name: value for name, value in said.items() if name not in ("approved", "comment", "by")}
    comment, by = said.get("comment"), said.get("by")
    give(
        settings,
        run_id,
        Answer(approved=said["approved"], step=path, given=fields, comment=comment, by=by or "test"),
    )
