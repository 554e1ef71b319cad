"""The child run of one item or branch: what it is given, how it runs, what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import FAILED, Envelope, StepFailed, error_json
from kurt.engine.language.analysis import default_paths, paths_used, steps_used
from kurt.runtime import durable, names, resting
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep

_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A step of the parent that a branch waits for by itself.

    Attributes:
        name: its name.
        output: the variable that it sets.
        path: its path, under which its checkpoints stand.
        child: id of the child that runs it, None for a simple step of the parent.
        skips: its failure counts as null.
    """

    name: str
    output: str | None
    path: str
    child: str | None
    skips: bool


async def start_step(
    context: WorkflowContext,
    step: WorkflowStep,
    frame: Frame,
    *,
    siblings: Sequence[WorkflowStep] = (),
    waits_for: Sequence[Dependency] = (),
) -> str:
    """Start one step of the context's level as a child; its id. Draws one number."""
    path = context.path(step.name)
    payload = _payload(context, path, step.pointer, frame, [step], siblings=siblings)
    payload["waits_for"] = [asdict(dependency) for dependency in waits_for]
    return await _start(context, path, "", payload)


async def start_item(
    context: WorkflowContext,
    step: WorkflowStep,
    path: str,
    key: str,
    frame: Frame,
    *,
    earlier: str | None = None,
) -> str:
    """Start one item of a `foreach` as a child; its id. Draws one number.

    Args:
        context: the run.
        step: the block.
        path: path of the item.
        key: its key.
        frame: the names in scope.
        earlier: id of the same item in an earlier attempt of the block; if it succeeded, so has this one.
    """
    payload = _payload(context, path, step.pointer, frame, step.steps, collect=step.collect)
    payload["item"] = True
    if earlier is not None:
        payload["earlier"] = earlier
    return await _start(context, context.path(step.name), key, payload)


async def start_attempt(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, number: int
) -> str:
    """Start one attempt of a block as a child; its id. Draws one number.

    Args:
        context: the run.
        step: the block.
        path: its path.
        frame: the names in scope.
        number: 1 for the first attempt.
    """
    payload = _payload(context, path, step.pointer, frame, [step])
    payload["block_attempt"] = number
    if number > 1:
        payload["earlier"] = attempt_id(context, path, number - 1)
    return await _start(context, path, _attempt_key(number), payload)


def attempt_id(context: WorkflowContext, path: str, number: int) -> str:
    """Id of the child that is one attempt of a block."""
    return names.child_id(context.run_id, path, _attempt_key(number))


def _attempt_key(number: int) -> str:
    return f"attempt {number}"


def _payload(  # noqa: PLR0913 - where the child stands, and what it may see
    context: WorkflowContext,
    path: str,
    pointer: str,
    frame: Frame,
    steps: Sequence[WorkflowStep],
    *,
    collect: Json = None,
    siblings: Sequence[WorkflowStep] = (),
) -> JsonObject:
    """What the child needs: where it stands, and those names in scope that its steps use."""
    paths = paths_used(steps, extra=collect, siblings=siblings) | default_paths(context.definition)
    used = sorted({str(used[0]) for used in paths})
    scope = {name: frame.names[name] for name in used if name in frame.names and name not in _REBUILT}
    if "steps" in scope and (wanted := steps_used(paths)) is not None:
        scope["steps"] = {name: value for name, value in scope["steps"].items() if name in wanted}
    around = context.around.to_json()
    return {
        "root": context.root_id,
        "owner": context.owner_id,
        "parent": context.run_id,
        "path": path,
        "prefix": context.prefix,
        "pointer": pointer,
        "scope": scope,
        **({"around": around} if around else {}),
    }


_REBUILT = frozenset({"env", "run", "secrets"})
"""Names that each process makes anew; secrets must not be stored."""


async def _start(context: WorkflowContext, path: str, key: str, payload: JsonObject) -> str:
    run_id = names.child_id(context.run_id, path, key)
    attributes = {
        "kind": "branch",
        "workflow": context.definition.name,
        "queue": context.queue,
        "root": context.root_id,
        "path": payload["path"],
        "key": key,
        **context.mocks.attributes,
    }
    await durable.start_child(names.BRANCH_WORKFLOW, run_id, [payload], attributes)
    return run_id


async def kept(payload: JsonObject) -> JsonObject | None:
    """The result of the same item in an earlier attempt of its block, if it succeeded there."""
    if not payload.get("item") or not payload.get("earlier"):
        return None
    outcome = await durable.outcome(payload["earlier"])
    return outcome.value if outcome is not None and outcome.status == "SUCCESS" else None


async def ready(payload: JsonObject, frame: Frame) -> bool:
    """Wait for what the branch needs, and take the values over; False if one of them failed."""
    for stored in payload.get("waits_for", []):
        dependency = Dependency(**stored)
        ok, value = await _finished(payload["parent"], dependency)
        if not ok:
            return False
        frame.record(dependency.name, dependency.output, value)
    return True


async def _finished(parent: str, dependency: Dependency) -> tuple[bool, Json]:
    # What it waits for is in the database, and may come from another process.
    with resting.waiting():
        while (found := await _look(parent, dependency)) is None:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_EVERY)
    return found


async def _look(parent: str, dependency: Dependency) -> tuple[bool, Any] | None:
    """What a needed step came to, or None while it goes on."""
    if dependency.child is not None:
        outcome = await durable.outcome(dependency.child)
        if outcome is None:
            return None
        return (True, outcome.value["value"]) if outcome.error is None and outcome.value else (False, None)
    stored = await durable.checkpoints(parent, [dependency.path])
    for record in stored.get(dependency.path, []):
        envelope = Envelope.from_json(record)
        if envelope.state != FAILED:
            return True, envelope.value
        if envelope.next_at is None:
            return dependency.skips, None
    return None


def value_of(context: WorkflowContext, step: WorkflowStep, outcome: durable.Outcome) -> Json:
    """The value of a child's step; what it lived with is counted in the context.

    Raises:
        StepFailed: the child failed.
    """
    if outcome.status == "CANCELLED":
        raise StepFailed(context.path(step.name), {"type": "Cancelled", "message": "it was cancelled"})
    if outcome.error is not None:
        raise failure(context.path(step.name), outcome.error)
    result = outcome.result()
    context.tally.add(result["tally"])
    return result["value"]


def failure(path: str, error: BaseException) -> StepFailed:
    """The failure of a child as the failure of the step for which it stands."""
    described = error_json(error)
    described["message"] = described.pop("reason", described["message"])
    return StepFailed(described.pop("step", path), described)
