"""Model calls as spans for OpenTelemetry, beside the rows of `llm_traces`; only where `OTEL.ENDPOINT` is set.

The names are those of the conventions for generative AI, and `kurt.*` for what these do not have. Prompts and answers are
left out. All calls of a run are in one trace.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kurt.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from kurt.config import Settings
    from kurt.core.trace_rows import TraceRow

_SERVICE = "kurt"
_NANOSECONDS = 1_000_000_000

_NAMES = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "tokens_in": "gen_ai.usage.input_tokens",
    "tokens_out": "gen_ai.usage.output_tokens",
    "tokens_cached": "gen_ai.usage.cache_read.input_tokens",
    "tokens_reasoning": "gen_ai.usage.reasoning.output_tokens",
    "error_type": "error.type",
    "run_id": "kurt.run.id",
    "step": "kurt.step",
    "row": "kurt.row",
    "attempt": "kurt.attempt",
    "kind": "kurt.attempt.kind",
    "cache_hit": "kurt.cache_hit",
    "cost": "kurt.cost",
    "currency": "kurt.cost.currency",
    "user_id": "kurt.user.id",
    "workspace_id": "kurt.workspace.id",
}
"""The attribute of each column of a trace."""


class SpanExport:
    """Sends a span for each attempt at a call, in batches by a thread of its own.

    Args:
        endpoint: the address of a collector, OTLP over HTTP; spans go to its `/v1/traces`.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
        except ImportError:
            raise ConfigError(
                "OTEL.ENDPOINT is set, but OpenTelemetry is not installed", hint="pip install 'kurt[otel]'"
            ) from None
        resource = Resource.create({"service.name": _SERVICE})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=True)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("kurt")

    def send(self, row: TraceRow) -> None:
        """Have the span of an attempt sent that is over; waits for nothing."""
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - as above

        span = self._tracer.start_span(
            f"{row.operation} {row.request_model or row.response_model or row.step}",
            context=None if row.run_id is None else _trace_of(row.run_id),
            kind=SpanKind.CLIENT,
            attributes=_attributes(row),
            start_time=int(row.started_at * _NANOSECONDS),
        )
        if row.state == "failed":
            span.set_status(Status(StatusCode.ERROR, row.error_type))
        span.end(int((row.ended_at or row.started_at) * _NANOSECONDS))

    def close(self) -> None:
        """Send what is waiting and end the thread."""
        self._provider.shutdown()


def span_export(settings: Settings) -> SpanExport | None:
    """Where spans of model calls go, None where they go nowhere."""
    endpoint = settings.get("OTEL.ENDPOINT")
    return SpanExport(str(endpoint)) if endpoint else None


def _attributes(row: TraceRow) -> dict[str, Any]:
    found = {name: value for column, name in _NAMES.items() if (value := getattr(row, column)) is not None}
    if row.finish_reason is not None:
        found["gen_ai.response.finish_reasons"] = [row.finish_reason]
    return found


def _trace_of(run_id: str) -> Context:
    """The same trace for all calls of a run, in whatever process they are made."""
    from opentelemetry.trace import (  # noqa: PLC0415 - as above
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    digest = hashlib.sha256(run_id.encode()).digest()
    whose = SpanContext(
        int.from_bytes(digest[:16]) or 1,
        int.from_bytes(digest[16:24]) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(whose))
