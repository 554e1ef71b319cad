"""On what terms the steps of a file call models: whose settings hold, what it may cost, who answers, what is hidden."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

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
    from kurt.llm.budget import Budget
    from kurt.llm.types import Completer
    from kurt.runtime.step_batch import StepBatch


_KEY = re.compile(r"\[[^\]]*\]")
_OWNER = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)?")
"""What can be the beginning of a setting's name."""


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
    """A step's path in the whole run, without the keys of items: what its calls are counted under."""
    return _KEY.sub("", context.base) + own_name(context, step)


def own_name(context: WorkflowContext, step: WorkflowStep) -> str:
    """A step's path in its file, without the keys of items."""
    return context.definition.path_of(step.pointer) or step.name


def _completer(context: WorkflowContext, step: WorkflowStep) -> Completer | None:
    """Who answers in place of Kurt's client, None for that."""
    if not context.mocks.llm:
        return None
    from kurt.llm.mock import MockCompleter  # noqa: PLC0415 - as above

    return MockCompleter(context.mocks.answers, context.mocks.below + step_name(context, step))


def _budgets(context: WorkflowContext, step: WorkflowStep) -> list[Held]:
    """All budgets that hold for a step: its own, its file's, and those of the files that run this one."""
    from kurt.core.completion import Held  # noqa: PLC0415 - as above

    found: list[Held] = []
    if step.budget is not None:
        stored = _stored(step.budget, context, f"{context.definition.name}.{step.name}")
        found.append(Held(_budget(stored, "step")))
    found += [Held(_budget(stored, "run"), stored["below"]) for stored in file_budgets(context)]
    return found


def _budget(stored: JsonObject, scope: Literal["step", "run"]) -> Budget:
    from kurt.llm.budget import Budget  # noqa: PLC0415 - as above

    return Budget(stored["usd"], stored["tokens"], scope, stored["on_spent"], stored["hint"])


def file_budgets(context: WorkflowContext) -> list[JsonObject]:
    """The budgets of this file and of those that run it, as they are handed on to files that this one runs."""
    outside, own = list(context.outside.budgets), context.definition.budget
    return outside if own is None else [*outside, _stored(own, context, context.definition.name)]


def _stored(budget: BudgetSpec, context: WorkflowContext, owner: str) -> JsonObject:
    """A budget of a file; a setting of the same workflow or step stands above it, since a run keeps its file as it was."""
    limits: dict[str, float | None] = {"usd": budget.usd, "tokens": budget.tokens}
    for name in limits:
        setting = context.settings.get(f"{owner}.LLM_BUDGET_{name}")
        if setting not in (None, ""):
            limits[name] = _amount(setting, f"{owner}.LLM_BUDGET_{name}".upper())
    tokens = limits["tokens"]
    return {
        "usd": limits["usd"],
        "tokens": None if tokens is None else int(tokens),
        "on_spent": budget.on_spent,
        "below": None if context.owner_id == context.root_id else context.owner_id,
        "hint": _raised(budget, context, owner),
    }


def _amount(setting: object, name: str) -> float:
    try:
        return max(0.0, float(str(setting)))
    except ValueError:
        raise ConfigError(f"{name}={setting!r} is no amount", hint=f"write {name}=5") from None


def _raised(budget: BudgetSpec, context: WorkflowContext, owner: str) -> str:
    """How a budget of a file is raised."""
    if not _OWNER.fullmatch(owner):
        return "raise `budget` in the file, and start a new run"
    name = f"{owner}.LLM_BUDGET_{'TOKENS' if budget.usd is None else 'USD'}".upper()
    return (
        f"a run keeps its file as it was: set {name} in kurt.config, then: kurt workflows retry {context.root_id}; "
        "what was paid is not paid again"
    )
