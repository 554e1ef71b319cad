"""On what terms the steps of a file call models: whose settings hold, what it may cost, who answers, what is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.errors import ConfigError
from kurt.types import JsonObject

if TYPE_CHECKING:
    from datetime import timedelta

    from kurt.core.calling import Retry
    from kurt.core.completion import Calls, Held, Terms
    from kurt.engine.interpreter.context import WorkflowContext
    from kurt.engine.kinds import OpenCalls, StepKind
    from kurt.engine.language.model_specs import BudgetSpec
    from kurt.engine.language.schema import WorkflowStep
    from kurt.llm.types import Completer
    from kurt.runtime.step_batch import StepBatch


def opener(context: WorkflowContext, step: WorkflowStep, opened_calls: list[Calls]) -> OpenCalls:
    """What opens calls for one execution of a step, and notes them."""

    async def opened(
        *, model: str | None = None, retry: Retry = None, cache: bool | timedelta | None = None
    ) -> Calls:
        calls = await open_calls(context, step, model=model, retry=retry, cache=cache)
        opened_calls.append(calls)
        return calls

    return opened


async def open_calls(
    context: WorkflowContext, step: WorkflowStep, *, batch: StepBatch | None = None, **wanted: Any
) -> Calls:
    """Open the calls of a step, or of its rows; see `OpenCalls`.

    Raises:
        ConfigError: a setting cannot be read.
        StorageError: what was spent before cannot be read.
    """
    from kurt.core.completion import calls_here  # noqa: PLC0415 - most files call no model

    return await calls_here(terms_of(context, step, **wanted), batch=batch)


def terms_of(
    context: WorkflowContext,
    step: WorkflowStep,
    *,
    model: str | None = None,
    retry: Retry = None,
    cache: bool | timedelta | None = None,
) -> Terms:
    """The terms of one step."""
    from kurt.core.completion import Terms  # noqa: PLC0415 - as above
    from kurt.llm.retry import RetryPolicy  # noqa: PLC0415 - as above

    if retry is None and step.retry_of(context.definition) is not None:
        retry = RetryPolicy(attempts=1)  # the step's own attempts are what its file counts
    return Terms(
        step=step_name(context, step),
        module=context.definition.name,
        setting=step.name,
        model=model,
        budgets=_budgets(context, step),
        retry=retry,
        cache=None if context.mocks.llm else cache,
        completer=_completer(context, step),
        settings=context.settings,
        mask=context.masker.mask,
    )


def model_identity(context: WorkflowContext, step: WorkflowStep, kind: StepKind) -> str | None:
    """Which model a step asks, and where, None if that is said nowhere; without its key, which may change."""
    from kurt.llm.providers import chosen_model, resolve  # noqa: PLC0415 - as above

    settings, module = context.settings, context.definition.name
    wanted, setting = step.spec.get("model"), kind.model_setting
    explicit = wanted if isinstance(wanted, str) and "${" not in wanted else None
    model = chosen_model(settings, explicit, module=module, step=step.name, kind=setting)
    if model is None:
        return None
    try:
        where = resolve(settings, model, module=module, step=step.name, kind=setting, key="-").shown
    except ConfigError:
        where = ""
    return f"{model} {where}"


def step_name(context: WorkflowContext, step: WorkflowStep) -> str:
    """A step's path without the keys of items: what its calls are counted under."""
    return context.definition.path_of(step.pointer) or step.name


def _completer(context: WorkflowContext, step: WorkflowStep) -> Completer | None:
    """Who answers in place of Kurt's client, None for that."""
    if not context.mocks.llm:
        return None
    from kurt.llm.mock import MockCompleter  # noqa: PLC0415 - as above

    return MockCompleter(context.mocks.answers, step_name(context, step))


def _budgets(context: WorkflowContext, step: WorkflowStep) -> list[Held]:
    """All budgets that hold for a step: its own, its file's, and those of the files that run this one."""
    from kurt.core.completion import Held  # noqa: PLC0415 - as above
    from kurt.llm.budget import Budget  # noqa: PLC0415 - as above

    found: list[Held] = []
    if (own := step.budget) is not None:
        found.append(Held(Budget(own.usd, own.tokens, "step", own.on_spent)))
    for stored in file_budgets(context):
        budget = Budget(stored["usd"], stored["tokens"], "run", stored["on_spent"])
        found.append(Held(budget, stored["below"]))
    return found


def file_budgets(context: WorkflowContext) -> list[JsonObject]:
    """The budgets of this file and of those that run it, as they are handed on to files that this one runs."""
    outside = list(context.outside.budgets)
    own = context.definition.budget
    return outside if own is None else [*outside, _stored(own, context)]


def _stored(budget: BudgetSpec, context: WorkflowContext) -> JsonObject:
    below = None if context.owner_id == context.root_id else context.owner_id
    return {"usd": budget.usd, "tokens": budget.tokens, "on_spent": budget.on_spent, "below": below}
