"""Labels for the traces of a step's calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kurt.core.hooks import StepHooks
from kurt.core.row_traces import Labels
from kurt.runtime import place

if TYPE_CHECKING:
    from kurt.core.llm_tracer import LLMTracer


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

    def __init__(
        self,
        tracer: LLMTracer | None = None,
        *,
        model_name: str | None = None,
        provider: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
    ) -> None:
        self.tracer = tracer
        self.direct = tracer is None  # recording waits for the database
        self.labels = Labels(model_name, provider, user_id, workspace_id)

    def on_row_success(self, **facts: Any) -> None:
        response = json.dumps(facts["result"], ensure_ascii=False, default=str)
        self._record(facts, response=response)

    def on_row_error(self, **facts: Any) -> None:
        self._record(facts, error=str(facts["error"]))

    def _record(self, facts: dict[str, Any], **outcome: Any) -> None:
        """In a run the step itself has traced each attempt already."""
        if self.tracer is None or place.run_id() is not None:
            return
        labels = self.labels
        known = {name: facts[name] or None for name in ("tokens_in", "tokens_out", "cost")}
        self.tracer.record(
            step_name=facts["step_name"],
            row=facts["idx"],
            prompt=facts["prompt"],
            latency_ms=facts["latency_ms"],
            model=labels.model,
            provider=labels.provider,
            user_id=labels.user_id,
            workspace_id=labels.workspace_id,
            **known,
            **outcome,
        )
