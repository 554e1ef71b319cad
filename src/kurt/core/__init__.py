"""What an author of Python workflows imports; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.session import destroy_dbos, init_dbos
    from kurt.core.hooks import CompositeStepHooks, NoopStepHooks, StepHooks
    from kurt.core.llm_step import LLMStep
    from kurt.core.status import (
        format_live_status,
        format_step_logs,
        get_live_status,
        get_progress_page,
        get_step_logs,
        get_step_logs_page,
        paginate_stream,
        read_workflow_events,
        read_workflow_streams,
    )
    from kurt.core.tenancy import current_tenant, tenant
    from kurt.core.tracing_hooks import TracingHooks
    from kurt.core.tracking import (
        TrackingHooks,
        WorkflowTracker,
        log_item,
        step_log,
        track_step,
        update_step_progress,
    )
    from kurt.core.transaction import transaction

__all__ = [
    "CompositeStepHooks",
    "LLMStep",
    "NoopStepHooks",
    "StepHooks",
    "TracingHooks",
    "TrackingHooks",
    "WorkflowTracker",
    "current_tenant",
    "destroy_dbos",
    "format_live_status",
    "format_step_logs",
    "get_live_status",
    "get_progress_page",
    "get_step_logs",
    "get_step_logs_page",
    "init_dbos",
    "log_item",
    "paginate_stream",
    "read_workflow_events",
    "read_workflow_streams",
    "step_log",
    "tenant",
    "track_step",
    "transaction",
    "update_step_progress",
]

_HOMES = {
    "CompositeStepHooks": "kurt.core.hooks",
    "LLMStep": "kurt.core.llm_step",
    "NoopStepHooks": "kurt.core.hooks",
    "StepHooks": "kurt.core.hooks",
    "TracingHooks": "kurt.core.tracing_hooks",
    "TrackingHooks": "kurt.core.tracking",
    "WorkflowTracker": "kurt.core.tracking",
    "current_tenant": "kurt.core.tenancy",
    "destroy_dbos": "kurt.app.session",
    "format_live_status": "kurt.core.status",
    "format_step_logs": "kurt.core.status",
    "get_live_status": "kurt.core.status",
    "get_progress_page": "kurt.core.status",
    "get_step_logs": "kurt.core.status",
    "get_step_logs_page": "kurt.core.status",
    "init_dbos": "kurt.app.session",
    "log_item": "kurt.core.tracking",
    "paginate_stream": "kurt.core.status",
    "read_workflow_events": "kurt.core.status",
    "read_workflow_streams": "kurt.core.status",
    "step_log": "kurt.core.tracking",
    "tenant": "kurt.core.tenancy",
    "track_step": "kurt.core.tracking",
    "transaction": "kurt.core.transaction",
    "update_step_progress": "kurt.core.tracking",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
