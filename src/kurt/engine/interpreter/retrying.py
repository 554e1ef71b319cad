"""Whether and when a step that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.evaluation import is_true
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import error_json, error_scope
from kurt.errors import ExpressionError
from kurt.types import JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import RetryPolicy, WorkflowStep


_HOPELESS = frozenset({"BudgetSpent", "QuotaSpent"})
"""Failures that last until somebody does something about them."""


def after_failure(
    context: WorkflowContext, step: WorkflowStep, frame: Frame, error: BaseException | JsonObject, tried: int
) -> tuple[JsonObject, float | None]:
    """The failure as it is stored, and the seconds until the next attempt, None when there is to be none.

    Args:
        context: the run.
        step: the step that failed.
        frame: the names in scope.
        error: how it failed.
        tried: how often it has been tried.
    """
    described: JsonObject = context.masker.mask_value(
        error_json(error) if isinstance(error, BaseException) else error
    )
    try:
        wait = _wait(step.retry_of(context.definition), frame, described, tried)
        return described, 0.0 if wait is not None and context.mocks.hurry else wait
    except ExpressionError as wrong:
        return _undecided(context, wrong, described), None


def _wait(policy: RetryPolicy | None, frame: Frame, error: JsonObject, tried: int) -> float | None:
    if policy is None or tried >= policy.max_attempts or error.get("type") in _HOPELESS:
        return None
    names = {**frame.names, "error": error_scope(error)}
    if policy.when is not None and not is_true(policy.when, names):
        return None
    return backoff(policy, tried, error)


def _undecided(context: WorkflowContext, wrong: ExpressionError, failure: JsonObject) -> JsonObject:
    """The failure of `retry.when`, with the failure about which it was to decide."""
    described: JsonObject = context.masker.mask_value(error_json(wrong))
    message = f"`retry.when` cannot be computed: {described['message']}; the step itself failed: {failure['message']}"
    return {**described, "message": message, "failure": failure}


def backoff(policy: RetryPolicy, failed: int, error: Mapping[str, Any]) -> float:
    """Seconds to wait after the `failed`-th attempt; a `retry_after` of the failure is honoured."""
    match policy.backoff:
        case "exponential":
            wait = policy.delay_seconds * 2 ** (failed - 1)
        case "linear":
            wait = policy.delay_seconds * failed
        case _:
            wait = policy.delay_seconds
    wait = min(wait, policy.max_delay_seconds)
    if policy.jitter:
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
    asked = error.get("retry_after")
    return max(wait, float(asked)) if isinstance(asked, (int, float)) else wait
