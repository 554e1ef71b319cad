"""`approval`: ask a person, wait for the answer for as long as it takes, and go on with it.

The question is fixed when the block opens: its text, its fields with their defaults, when its time is over, and an id, so
that an answer never counts for a question that is asked again.
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.engine.durations import format_duration
from kurt.engine.expressions.references import as_text, resolve
from kurt.engine.interpreter.announcing import answer_of, beside, settled, told
from kurt.engine.interpreter.concurrency import together
from kurt.engine.interpreter.context import NOT_RUN, Frame, WorkflowContext
from kurt.engine.interpreter.envelope import SUCCEEDED, Envelope
from kurt.engine.interpreter.notices import tell_waiting
from kurt.engine.language.inputs import checked
from kurt.engine.notifiers.wanted import is_wanted
from kurt.errors import StepError, StepTimeoutError
from kurt.runtime import asking, durable
from kurt.runtime.recovery import repeated, system_database
from kurt.runtime.wait_words import APPROVAL, command_of
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import ApprovalSpec, WorkflowStep


def open_approval(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """The question, fixed once.

    Raises:
        StepError: the default of a field does not fit.
    """
    spec = _spec(step)
    limit = 0.0 if step.timeout is not None and context.mocks.cuts(context.path(step.name)) else step.timeout
    until = None if limit is None else time.time() + limit
    return {
        "ask": secrets.token_hex(8),
        "message": as_text(resolve(spec.message, frame.names)),
        "fields": {name: _field(spec, name, frame) for name in spec.fields},
        "until": until,
        "told_by_settings": is_wanted(context.settings),
    }


def _spec(step: WorkflowStep) -> ApprovalSpec:
    if step.approval is None:
        raise ValueError(f"the step {step.name} asks nothing")
    return step.approval


def _field(spec: ApprovalSpec, name: str, frame: Frame) -> JsonObject:
    """What a field accepts, its default with its references replaced."""
    declared = spec.fields[name]
    field: JsonObject = declared.model_dump(exclude_unset=True, by_alias=True)
    if declared.default is not None:
        default = resolve(declared.default, frame.names)
        try:
            field["default"] = None if default is None else checked(default, declared, f"`{name}`")
        except ValueError as error:
            raise StepError(
                f"the default of a field does not fit: {error}",
                type="FieldError",
                hint=f"look at the default of `{name}`, or at where it comes from",
            ) from None
    return field


async def run_approval(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    """Wait for the answer; `NOT_RUN` where none came in time and the step is then skipped.

    Raises:
        StepError: it was rejected.
        StepTimeoutError: no answer came in time.
    """
    del frame
    stored: list[JsonObject] = []
    slot = durable.Slot()  # drawn before those of the notifications, which are sent while it waits

    async def ask() -> None:
        asked = partial(_asked, context, _spec(step), path, facts)
        stored.append(await slot.run(f"kurt.approval:{path}", asked))

    await together(ask(), _tell(context, path, facts))
    return _concluded(step, Envelope.from_json(stored[0]).value)


async def _tell(context: WorkflowContext, path: str, facts: JsonObject) -> None:
    """Notify those who want to know that the run waits."""
    wait = {"kind": APPROVAL, "path": context.base + path, "fields": facts["fields"]}
    await tell_waiting(
        context,
        path,
        message=facts["message"],
        fields={name: str(field.get("type", "any")) for name, field in facts["fields"].items()},
        command=command_of(wait, context.root_id, alone=False) or "",
        with_settings=facts["told_by_settings"],
    )


async def _asked(context: WorkflowContext, spec: ApprovalSpec, path: str, facts: JsonObject) -> JsonObject:
    wait = {"kind": APPROVAL, **{key: facts[key] for key in ("ask", "message", "fields", "until")}}
    until = facts["until"]
    seconds = None if until is None else max(0.0, until - time.time())
    look = partial(repeated(asking.answers), system_database(), {facts["ask"]: context.root_id})
    answer = (await beside(look)).get(facts["ask"])  # given while nobody executed the run
    if answer is None:
        async with told(context, path, {**wait, "topic": None}):
            answer = await answer_of(context.root_id, facts["ask"], seconds)
            answer = answer or await _without_answer(context, spec, path, facts)
    else:
        await settled(context, path)
    context.progress.log.write("INFO", path, _line(answer))
    return Envelope(state=SUCCEEDED, kind="approval", value=context.masker.mask_value(answer)).to_json()


async def _without_answer(
    context: WorkflowContext, spec: ApprovalSpec, path: str, facts: JsonObject
) -> JsonObject:
    """The time is over. Somebody may have answered this very moment: whatever is written first counts."""
    fields = {name: field.get("default") for name, field in facts["fields"].items()}
    own = asking.answer_json(
        path, approved=spec.on_timeout == "approve", by=None, fields=fields, timed_out=True
    )
    put = partial(repeated(asking.put_answer), system_database(), context.root_id, facts["ask"], own)
    return await beside(put) or own


def _line(answer: JsonObject) -> str:
    given = answer["answer"]
    if given["timed_out"]:
        return "nobody has answered in time"
    comment = f": {given['comment']}" if given["comment"] else ""
    return f"{'approved' if given['approved'] else 'rejected'} by {given['by']}{comment}"


def _concluded(step: WorkflowStep, answer: Any) -> Json:
    """What the answer makes of the step."""
    spec, given = _spec(step), answer["answer"]
    if given["timed_out"] and spec.on_timeout == "skip":
        return NOT_RUN
    if given["timed_out"] and spec.on_timeout == "fail":
        raise StepTimeoutError(
            f"nobody has answered within {format_duration(step.timeout or 0)}",
            hint="to ask once more: kurt workflows retry ID",
        )
    if not given["approved"] and spec.on_reject == "fail":
        raise StepError(
            _rejected(given),
            type="Rejected",
            hint="to ask once more: kurt workflows retry ID",
            details={"by": given["by"], "comment": given["comment"]},
        )
    return {**given, **answer["fields"]}


def _rejected(given: JsonObject) -> str:
    if given["timed_out"]:
        return "rejected, because nobody has answered in time"
    return f"rejected by {given['by']}" + (f": {given['comment']}" if given["comment"] else "")
