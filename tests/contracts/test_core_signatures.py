"""Signatures against which people have written workflows: names, order, what is by name only, and defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from kurt import core, testing
from kurt.core import CompositeStepHooks, LLMTracer, NoopStepHooks, StepHooks, TracingHooks, TrackingHooks

pytestmark = pytest.mark.conventions

ROW = "*, step_name, idx, total, latency_ms, prompt, tokens_in, tokens_out, cost"

SIGNATURES: dict[Any, str] = {
    StepHooks.on_start: "self, *, step_name, total, concurrency",
    StepHooks.on_row_success: f"self, {ROW}, result",
    StepHooks.on_row_error: f"self, {ROW}, error",
    StepHooks.on_result: "self, *, step_name, idx, total, status, error",
    StepHooks.on_end: "self, *, step_name, successful, total, errors",
    CompositeStepHooks: "hooks",
    TrackingHooks: "tracker=None, *, step_type='llm_step'",
    TracingHooks: "tracer=None, *, model_name=None, provider=None, user_id=None, workspace_id=None",
    core.track_step: "name, *, tracker=None, step_type='step', total=0",
    core.update_step_progress: "current, *, tracker=None, step_name=None",
    core.step_log: "message, *, tracker=None, level='info', step_name=None, metadata=None",
    core.log_item: ("item_id, *, status='success', message=None, elapsed=None, counter=None, tracker=None"),
    LLMTracer.query: "self, workflow_id=None, step_name=None, limit=100",
    LLMTracer.stats: "self, workflow_id=None",
    LLMTracer.stats_by_step: "self, workflow_id=None",
    core.generate_embeddings: (
        "texts, model=None, api_base=None, api_key=None, module_name=None, step_name=None, record_trace=True"
    ),
    core.generate_document_embedding: "content, max_chars=1000, **how",
    core.embedding_to_bytes: "embedding",
    core.bytes_to_embedding: "data",
    core.run_workflow: "func, *args, background=False, priority=None, **kwargs",
    core.run_with_background_support: "func, *args, background=False, priority=None, **kwargs",
    core.mock_llm: "steps, factory=None",
    core.mock_embeddings: "dimensions=1536",
    core.create_response_factory: "schema, values=None",
    core.create_content_aware_factory: "schema, keywords, defaults=None",
    core.get_live_status: "workflow_id",
    core.get_step_logs_page: "workflow_id, *, step_name=None, since_offset=None, limit=500",
    core.get_progress_page: "workflow_id, *, step_name=None, since_offset=None, limit=500",
    core.read_workflow_streams: "workflow_id, *, key='logs', since_offset=None, limit=500",
    core.SaveStep: "name, model, *, key=None, on_row_error='fail'",
    core.EmbeddingStep: (
        "*, name, input_column, output_column='embedding', max_chars=1000, batch_size=100, concurrency=3,"
        " model=None, as_bytes=True, retry=None, module=None"
    ),
    testing.crash_after: "step, workflow, *args, timeout=60.0",
}


def shown(function: Any) -> str:
    """A signature without its annotations."""
    signature = inspect.signature(function)
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(plain))[1:-1]


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_a_signature_stays_what_it_is(function: Any) -> None:
    assert shown(function) == SIGNATURES[function]


def test_the_arguments_of_a_model_step() -> None:
    parameters = inspect.signature(core.LLMStep).parameters
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert [name for name in parameters if name not in defaults] == [
        "name",
        "input_columns",
        "prompt_template",
        "output_schema",
    ]
    assert {name: value for name, value in defaults.items() if value is not None} == {
        "concurrency": 3,
        "on_row_error": "record",
        "output_prefix": "",
        "priority_enabled": False,
    }
    assert set(inspect.signature(core.LLMStep.run).parameters) == {"self", "df", "priority"}


def test_hooks_that_do_nothing_take_all_events() -> None:
    events = [name for name in vars(StepHooks) if name.startswith("on_")]
    assert len(events) == 5
    for name in events:
        facts = dict.fromkeys(list(inspect.signature(getattr(StepHooks, name)).parameters)[1:])
        for hooks in (NoopStepHooks(), CompositeStepHooks([NoopStepHooks()])):
            getattr(hooks, name)(**facts)
