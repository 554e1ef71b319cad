"""What an author of Python workflows imports; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.functions import run_with_background_support, run_workflow
    from kurt.app.session import destroy_dbos, init_dbos
    from kurt.core.embedding_steps import EmbeddingStep, embedding_step
    from kurt.core.embeddings import (
        bytes_to_embedding,
        embedding_to_bytes,
        generate_document_embedding,
        generate_embeddings,
    )
    from kurt.core.hooks import CompositeStepHooks, NoopStepHooks, StepHooks
    from kurt.core.llm_steps import LLMStep, llm_step
    from kurt.core.llm_tracer import LLMTracer
    from kurt.core.running import with_parent_workflow_id
    from kurt.core.save_steps import SaveStep
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
    from kurt.core.tracing_hooks import TracingHooks
    from kurt.core.tracking import (
        TrackingHooks,
        WorkflowTracker,
        log_item,
        step_log,
        track_step,
        update_step_progress,
    )
    from kurt.core.transactions import transaction
    from kurt.testing.mocks import (
        create_content_aware_factory,
        create_embedding_response,
        create_mock_embedding,
        create_response_factory,
        mock_embedding_step,
        mock_embeddings,
        mock_llm,
    )

__all__ = [
    "CompositeStepHooks",
    "EmbeddingStep",
    "LLMStep",
    "LLMTracer",
    "NoopStepHooks",
    "SaveStep",
    "StepHooks",
    "TracingHooks",
    "TrackingHooks",
    "WorkflowTracker",
    "bytes_to_embedding",
    "create_content_aware_factory",
    "create_embedding_response",
    "create_mock_embedding",
    "create_response_factory",
    "destroy_dbos",
    "embedding_step",
    "embedding_to_bytes",
    "format_live_status",
    "format_step_logs",
    "generate_document_embedding",
    "generate_embeddings",
    "get_live_status",
    "get_progress_page",
    "get_step_logs",
    "get_step_logs_page",
    "init_dbos",
    "llm_step",
    "log_item",
    "mock_embedding_step",
    "mock_embeddings",
    "mock_llm",
    "paginate_stream",
    "read_workflow_events",
    "read_workflow_streams",
    "run_with_background_support",
    "run_workflow",
    "step_log",
    "track_step",
    "transaction",
    "update_step_progress",
    "with_parent_workflow_id",
]

_HOMES = {
    "CompositeStepHooks": "kurt.core.hooks",
    "EmbeddingStep": "kurt.core.embedding_steps",
    "LLMStep": "kurt.core.llm_steps",
    "LLMTracer": "kurt.core.llm_tracer",
    "NoopStepHooks": "kurt.core.hooks",
    "SaveStep": "kurt.core.save_steps",
    "StepHooks": "kurt.core.hooks",
    "TracingHooks": "kurt.core.tracing_hooks",
    "TrackingHooks": "kurt.core.tracking",
    "WorkflowTracker": "kurt.core.tracking",
    "bytes_to_embedding": "kurt.core.embeddings",
    "create_content_aware_factory": "kurt.testing.mocks",
    "create_embedding_response": "kurt.testing.mocks",
    "create_mock_embedding": "kurt.testing.mocks",
    "create_response_factory": "kurt.testing.mocks",
    "destroy_dbos": "kurt.app.session",
    "embedding_step": "kurt.core.embedding_steps",
    "embedding_to_bytes": "kurt.core.embeddings",
    "format_live_status": "kurt.core.status",
    "format_step_logs": "kurt.core.status",
    "generate_document_embedding": "kurt.core.embeddings",
    "generate_embeddings": "kurt.core.embeddings",
    "get_live_status": "kurt.core.status",
    "get_progress_page": "kurt.core.status",
    "get_step_logs": "kurt.core.status",
    "get_step_logs_page": "kurt.core.status",
    "init_dbos": "kurt.app.session",
    "llm_step": "kurt.core.llm_steps",
    "log_item": "kurt.core.tracking",
    "mock_embedding_step": "kurt.testing.mocks",
    "mock_embeddings": "kurt.testing.mocks",
    "mock_llm": "kurt.testing.mocks",
    "paginate_stream": "kurt.core.status",
    "read_workflow_events": "kurt.core.status",
    "read_workflow_streams": "kurt.core.status",
    "run_with_background_support": "kurt.app.functions",
    "run_workflow": "kurt.app.functions",
    "step_log": "kurt.core.tracking",
    "track_step": "kurt.core.tracking",
    "transaction": "kurt.core.transactions",
    "update_step_progress": "kurt.core.tracking",
    "with_parent_workflow_id": "kurt.core.running",
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
