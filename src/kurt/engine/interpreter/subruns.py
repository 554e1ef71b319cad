"""`workflow`: another file, or a Python workflow, as a child run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kurt.engine.expressions.references import resolve
from kurt.engine.interpreter import branch
from kurt.engine.interpreter.children import outcome_of
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import StepFailed
from kurt.engine.interpreter.model_terms import file_budgets
from kurt.engine.language.arguments import bind_arguments
from kurt.engine.language.inputs import bind_inputs
from kurt.engine.language.schema import WorkflowCall, WorkflowDefinition, frozen_subworkflow
from kurt.runtime import durable, names
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep


async def run_workflow_step(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> Json:
    """Start the other workflow and wait for it; its outputs.

    Raises:
        StepFailed: it failed, or its inputs do not fit.
    """
    del facts
    call = step.workflow
    if call is None:
        raise ValueError(f"{path} has no workflow")
    run_id = names.child_id(context.run_id, path)
    given = resolve(call.inputs, frame.names)
    start = _start_file if call.is_file else _start_registered
    await start(context, call, run_id, path, given)
    outcome = await outcome_of(run_id)
    return _outputs(context, call, path, outcome)


async def _start_file(
    context: WorkflowContext, call: WorkflowCall, run_id: str, path: str, given: JsonObject
) -> None:
    frozen = frozen_subworkflow(context.frozen, call.target)
    definition = WorkflowDefinition.from_frozen(frozen)
    around = replace(context.around.within(context.outside), budgets=file_budgets(context)).to_json()
    mock = context.mocks.inside(path)
    payload = {
        "frozen": frozen,
        "inputs": bind_inputs(definition, given),
        "root": context.root_id,
        "queue": context.queue,
        "base": f"{context.base}{path}.",
        **({"around": around} if around else {}),
        **({"mock": mock} if mock is not None else {}),
        **({} if context.use_cache else {"no_cache": True}),
    }
    await durable.start_child(
        names.RUN_WORKFLOW, run_id, [payload], _attributes(context, definition.name, path, "yaml")
    )


async def _start_registered(
    context: WorkflowContext, call: WorkflowCall, run_id: str, path: str, given: JsonObject
) -> None:
    function = durable.workflow_function(call.target)
    arguments, keywords = bind_arguments(function, given, call.target)
    facts = _attributes(context, call.target, path, "python")
    if budgets := file_budgets(context):
        facts[names.BUDGETS_ATTRIBUTE] = budgets
    await durable.start_child(function, run_id, arguments, facts, keywords=keywords)


def _attributes(context: WorkflowContext, workflow: str, path: str, kind: str) -> JsonObject:
    return {
        "kind": kind,
        "workflow": workflow,
        "queue": context.queue,
        "root": context.root_id,
        "path": path,
        **context.mocks.attributes,
    }


def _outputs(context: WorkflowContext, call: WorkflowCall, path: str, outcome: durable.Outcome) -> Json:
    if outcome.error is not None:
        failure = branch.failure("", outcome.error)
        # The steps of the other workflow have paths of their own.
        raise StepFailed(f"{path}.{failure.path}" if failure.path else path, failure.error)
    if outcome.status != "SUCCESS":
        raise StepFailed(path, {"type": "Cancelled", "message": f"the workflow was {outcome.status.lower()}"})
    if not call.is_file:
        return outcome.value
    context.tally.add(outcome.value.get("summary", {}))
    return outcome.value["outputs"]
