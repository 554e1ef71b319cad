"""Answering the questions of runs: `kurt workflows approve` and `reject`."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.app.runs import OVER, find
from kurt.app.steering import acting, go_on, refuse_child
from kurt.db.tenant import tenant_of
from kurt.engine.language.inputs import bind_inputs
from kurt.engine.language.schema import InputSpec
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import ConflictError, NotFoundError, UsageError
from kurt.runtime import asking, names, recovery
from kurt.runtime.runs import open_reader
from kurt.runtime.wait_words import APPROVAL, kind_of

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.runtime.runs import Run
    from kurt.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody answers.

    Attributes:
        approved: approved or rejected.
        step: path of the step that asks; None where the run asks only one question.
        given: values of fields by name.
        texts: `name=value` texts of a command line; they win over `given`.
        comment: what they say to it.
        by: who answers; the user of the settings, or of the machine, by default.
    """

    approved: bool
    step: str | None = None
    given: Mapping[str, Any] | None = None
    texts: Sequence[str] = ()
    comment: str | None = None
    by: str | None = None

    @property
    def verb(self) -> str:
        """The command that gives it."""
        return "approve" if self.approved else "reject"


@dataclass(frozen=True, slots=True)
class _Question:
    """The fields of a question, as what declares inputs."""

    name: str
    inputs: Mapping[str, InputSpec]


def give(settings: Settings, run_id: str, answer: Answer) -> JsonObject:
    """Answer a question of a run; if nobody executes the run, a worker is started.

    Returns:
        `{run_id, step, approved, by, at, comment, timed_out, fields}`.

    Raises:
        NotFoundError: no such run, or it asks no such question.
        ConflictError: the run is over, asks nothing or several questions, or somebody else was first.
        InputError: the fields do not fit; carries all faults.
    """
    run = find(settings, run_id)
    refuse_child(run, answer.verb)
    wait = _question(settings, run, answer)
    path = str(wait["path"])
    fields = _fields(path, wait.get("fields") or {}, answer)
    by = answer.by or _who(settings)
    given = asking.answer_json(path, approved=answer.approved, by=by, fields=fields, comment=answer.comment)
    with acting(settings) as client:
        before = asking.put_answer(recovery.database_of(client), run.id, str(wait["ask"]), given)
        if before is not None:
            raise _too_late(run, before)
    go_on(settings, run)
    return {"run_id": run.id, "step": path, **given["answer"], "fields": fields}


def _who(settings: Settings) -> str:
    user = tenant_of(settings).user_id
    if user:
        return user
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return "unknown"


def _question(settings: Settings, run: Run, answer: Answer) -> JsonObject:
    """The open question that is meant.

    Raises:
        ConflictError: there is none, or there are several and none is named.
        NotFoundError: there is none at that step.
    """
    asked = [wait for wait in run.waits if kind_of(wait) == APPROVAL]
    if answer.step is not None:
        chosen = [wait for wait in asked if wait["path"] == answer.step]
        if chosen:
            return chosen[0]
    elif len(asked) == 1:
        return asked[0]
    earlier = _answers(settings, run.id)
    before = [one for one in earlier if answer.step in (None, one["path"])]
    if before and (answer.step is not None or not asked):
        raise _too_late(run, before[-1])
    if run.status in OVER:
        raise ConflictError(
            f"the run {run.id} is over ({run.status}): there is nothing to {answer.verb}",
            hint=f"kurt workflows status {run.id}",
        )
    if not asked:
        raise ConflictError(
            f"the run {run.id} is {run.status} and asks for no approval now",
            hint=f"kurt workflows status {run.id}",
        )
    paths = [str(wait["path"]) for wait in asked]
    if answer.step is not None:
        near = did_you_mean(answer.step, paths)
        raise NotFoundError(
            f"the run {run.id} asks for no approval at {answer.step!r}",
            hint=near or f"it asks at {listing(paths)}",
        )
    raise UsageError(
        f"the run {run.id} asks for {len(paths)} approvals: say which one",
        hint=f"add --step {paths[0]}; it asks at {listing(paths)}",
    )


def _answers(settings: Settings, run_id: str) -> list[JsonObject]:
    """The answers that a run has got, the first first."""
    with open_reader(settings) as reader:
        events: Mapping[str, Any] = reader.events(run_id)
    found = [value for key, value in events.items() if key.startswith(names.ANSWER_PREFIX)]
    return sorted(found, key=lambda one: one["answer"]["at"])


def _too_late(run: Run, before: JsonObject) -> ConflictError:
    given = before["answer"]
    if given["timed_out"]:
        said = f"the time for an answer was over at {given['at']}"
    else:
        said = f"it was {'approved' if given['approved'] else 'rejected'} by {given['by']} at {given['at']}"
    return ConflictError(
        f"the approval at {before['path']!r} of the run {run.id} is settled: {said}",
        hint=f"kurt workflows status {run.id}",
    )


def _fields(path: str, declared: Mapping[str, Any], answer: Answer) -> JsonObject:
    """The value of each field.

    Raises:
        InputError: they do not fit.
    """
    specs = {name: InputSpec.model_validate(field) for name, field in declared.items()}
    if not answer.approved:
        return {name: spec.default for name, spec in specs.items()}
    return bind_inputs(_Question(path, specs), answer.given, texts=answer.texts)
