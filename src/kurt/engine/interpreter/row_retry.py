"""How often a row's calls are repeated, as the step's `retry` says it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.engine.interpreter.retrying import after_failure
from kurt.llm.retry import RetryPolicy

if TYPE_CHECKING:
    from kurt.engine.interpreter.context import Frame, WorkflowContext
    from kurt.engine.language.schema import WorkflowStep
    from kurt.llm.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRetry(RetryPolicy):
    """The `retry` of a step, for each of its rows: like a step, a row is tried again after any failure but `when` says no.

    Attributes:
        context: the run.
        step: the step.
        frame: the names in scope.
    """

    context: WorkflowContext
    step: WorkflowStep
    frame: Frame

    def delay(
        self, error: ModelError, failures: int, draw: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait before the call is repeated, or None if it is not."""
        del draw
        return after_failure(self.context, self.step, self.frame, error, failures)[1]


def retry_of(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> RetryPolicy | None:
    """The step's policy for its rows, None where it says nothing."""
    if step.retry_of(context.definition) is None:
        return None
    return DeclaredRetry(context=context, step=step, frame=frame)
