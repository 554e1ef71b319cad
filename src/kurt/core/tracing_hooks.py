"""Labels for the traces of a step's calls."""

from __future__ import annotations

from typing import Any

from kurt.core.hooks import StepHooks
from kurt.core.row_traces import Labels


class TracingHooks(StepHooks):
    """Says whose calls a step makes, and of which model, where the calls do not tell.

    In a workflow each attempt is traced with or without these hooks; they add to that row and never write a second.
    With a `tracer` of one's own, rows outside of a workflow are recorded by it.

    Args:
        tracer: records rows outside of a workflow.
        model_name: the model.
        provider: whose endpoint it is.
        user_id: whose calls they are; by default the run's user.
        workspace_id: in which workspace; by default the run's.
    """

    direct = True

    def __init__(
        self,
        tracer: Any = None,
        *,
        model_name: str | None = None,
        provider: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
    ) -> None:
        self.tracer = tracer
        self.labels = Labels(model_name, provider, user_id, workspace_id)
