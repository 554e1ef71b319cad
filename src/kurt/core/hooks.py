"""Hooks: what user code is told while a batch step works. All arguments are given by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

_log = logging.getLogger(__name__)


class StepHooks:
    """What happens in a batch step; override what is of interest.

    Row events come for rows that are worked on now, not for those that a resumed run reads from its checkpoints. A hook
    that raises is logged and changes nothing.

    Attributes:
        direct: true for hooks that neither block nor call DBOS, so that they need no thread.
    """

    direct: bool = False

    def on_start(self, *, step_name: str, total: int, concurrency: int) -> None:
        """The step begins."""

    def on_row_success(  # noqa: PLR0913 - by name
        self,
        *,
        step_name: str,
        idx: int,
        total: int,
        latency_ms: int,
        prompt: str,
        tokens_in: int,
        tokens_out: int,
        cost: float,
        result: Any,
    ) -> None:
        """A row has its answer; `result` holds the fields by name, unknown tokens and costs are 0."""

    def on_row_error(  # noqa: PLR0913 - by name
        self,
        *,
        step_name: str,
        idx: int,
        total: int,
        latency_ms: int,
        prompt: str,
        tokens_in: int,
        tokens_out: int,
        cost: float,
        error: Exception,
    ) -> None:
        """A row has failed for good."""

    def on_result(self, *, step_name: str, idx: int, total: int, status: str, error: str | None) -> None:
        """A row is over: `success`, `error` or `skipped`."""

    def on_end(self, *, step_name: str, successful: int, total: int, errors: list[str]) -> None:
        """The step is over; `errors` holds the texts of the failed rows."""


class NoopStepHooks(StepHooks):
    """Hooks that do nothing."""

    direct = True


class CompositeStepHooks(StepHooks):
    """Several hooks as one, told in their order.

    Args:
        hooks: those hooks.

    Attributes:
        hooks: those hooks.
    """

    def __init__(self, hooks: Iterable[StepHooks]) -> None:
        self.hooks = list(hooks)

    def on_start(self, **facts: Any) -> None:
        tell(self.hooks, "on_start", facts)

    def on_row_success(self, **facts: Any) -> None:
        tell(self.hooks, "on_row_success", facts)

    def on_row_error(self, **facts: Any) -> None:
        tell(self.hooks, "on_row_error", facts)

    def on_result(self, **facts: Any) -> None:
        tell(self.hooks, "on_result", facts)

    def on_end(self, **facts: Any) -> None:
        tell(self.hooks, "on_end", facts)


def flattened(hooks: StepHooks | None) -> list[StepHooks]:
    """The single hooks of which hooks are made."""
    if hooks is None:
        return []
    if isinstance(hooks, CompositeStepHooks):
        return [one for inner in hooks.hooks for one in flattened(inner)]
    return [hooks]


def tell(hooks: Iterable[StepHooks], event: str, facts: dict[str, Any]) -> None:
    """Tell hooks of an event; one that raises is logged."""
    for hook in hooks:
        try:
            getattr(hook, event)(**facts)
        except Exception:  # noqa: BLE001 - a hook may do anything, and must never cost a row
            _log.warning("the hook %s.%s failed", type(hook).__name__, event, exc_info=True)
