"""Spans of model calls: what a collector gets, and what is said where OpenTelemetry is missing."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from pydantic import BaseModel

from kurt.config import load_settings
from kurt.core import LLMStep, LLMTracer, TracingHooks, destroy_dbos, run_workflow
from kurt.core.trace_writer import TraceWriter
from kurt.errors import ConfigError


class Out(BaseModel):
    text: str


def answer(prompt: str) -> Any:
    if prompt == "bad":
        raise ValueError("no answer")
    return Out(text="secret answer"), {"tokens_in": 3, "tokens_out": 2, "cost": 0.25, "model": "gpt-4-0613"}


step = LLMStep(
    name="spanned",
    input_columns=["content"],
    prompt_template="{content}",
    output_schema=Out,
    llm_fn=answer,
    hooks=TracingHooks(model_name="gpt-4", provider="openai", workspace_id="acme"),
)


@DBOS.workflow(name="spans.run")
def spanned_workflow() -> str:
    step.run([{"content": "good"}, {"content": "bad"}])
    return str(DBOS.workflow_id)


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are sent to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Collector  # pyright: ignore[reportIncompatibleVariableOverride] - what http.server calls its base class

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request: Any = ExportTraceServiceRequest.FromString(body)
        assert self.path == "/v1/traces"
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.shutdown()
    server.server_close()


def value(attribute: Any) -> Any:
    kind = attribute.value.WhichOneof("value")
    found = getattr(attribute.value, kind)
    return [one.string_value for one in found.values] if kind == "array_value" else found


def test_each_attempt_is_a_span(
    tmp_project: Path, collector: Collector, reset_dbos_state: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "opentelemetry.sdk", reason="OpenTelemetry is not installed: pip install 'kurt[otel]'"
    )
    with (tmp_project / "kurt.config").open("a") as config:
        config.write(f'OTEL.ENDPOINT="http://127.0.0.1:{collector.server_port}"\n')
    run_id = run_workflow(spanned_workflow)
    traced = LLMTracer().query(run_id)
    destroy_dbos()  # sends what is waiting

    spans = [{item.key: value(item) for item in span.attributes} for span in collector.spans]
    assert len(spans) == len(traced) == 2
    good = next(span for span in spans if "error.type" not in span)
    assert good == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4",
        "gen_ai.response.model": "gpt-4-0613",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "kurt.run.id": run_id,
        "kurt.step": "spanned",
        "kurt.row": 0,
        "kurt.attempt": 1,
        "kurt.attempt.kind": "call",
        "kurt.cache_hit": False,
        "kurt.cost": 0.25,
        "kurt.cost.currency": "USD",
        "kurt.workspace.id": "acme",
    }
    bad = next(span for span in spans if "error.type" in span)
    assert (bad["error.type"], bad["kurt.row"]) == ("ValueError", 1)
    assert {span.name for span in collector.spans} == {"chat gpt-4"}
    assert len({span.trace_id for span in collector.spans}) == 1
    assert sorted(span.status.code for span in collector.spans) == [0, 2]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 10**18 for span in collector.spans)
    assert b"secret answer" not in b"".join(span.SerializeToString() for span in collector.spans)


def test_without_the_extra_the_error_says_what_to_install(
    tmp_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_project / "kurt.config").write_text('OTEL.ENDPOINT="http://127.0.0.1:9"\n')
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"OTEL\.ENDPOINT is set") as missing:
        TraceWriter(load_settings())
    assert missing.value.hint == "pip install 'kurt[otel]'"
