"""The smaller public names of the core, each doing what its signature says, with and without a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS, DBOSConfiguredInstance
from pydantic import BaseModel

from kurt.config import load_settings
from kurt.core import (
    CompositeStepHooks,
    EmbeddingStep,
    LLMStep,
    LLMTracer,
    TracingHooks,
    TrackingHooks,
    WorkflowTracker,
    bytes_to_embedding,
    destroy_dbos,
    embedding_step,
    generate_document_embedding,
    generate_embeddings,
    get_live_status,
    get_step_logs,
    log_item,
    paginate_stream,
    read_workflow_events,
    run_with_background_support,
    run_workflow,
    step_log,
    track_step,
    transaction,
    update_step_progress,
    with_parent_workflow_id,
)
from kurt.core.tenancy import tenant
from kurt.runtime.runs import open_reader
from kurt.testing import faults
from kurt.testing.model_server import ModelServer

KEY = "sk-test-0123456789abcdef"
TABLE = [{"content": "a"}, {"content": "bad"}, {"content": "c"}]


class Out(BaseModel):
    text: str = ""


def answer(prompt: str) -> Any:
    if prompt == "bad":
        raise ValueError("no answer")
    return Out(text=prompt), {"tokens_in": 3, "tokens_out": 2, "cost": 0.25}


def make(**options: Any) -> LLMStep:
    given: dict[str, Any] = {
        "name": "part",
        "input_columns": ["content"],
        "prompt_template": "{content}",
        "output_schema": Out,
        "llm_fn": answer,
    }
    return LLMStep(**{**given, **options})


LABELS = {"model_name": "gpt-4", "provider": "openai", "user_id": "ann", "workspace_id": "acme"}
hooked = make(hooks=CompositeStepHooks([TrackingHooks(step_type="own_type"), TracingHooks(**LABELS)]))
plain = make()


@DBOS.workflow(name="parts.hooked")
def hooked_workflow() -> int:
    return len(hooked.run(TABLE))


@DBOS.workflow(name="parts.plain")
def plain_workflow() -> str:
    plain.run(TABLE)
    return str(DBOS.workflow_id)


def test_hooks_add_to_what_is_tracked_and_traced_and_nothing_twice(tmp_kurt_project: Path) -> None:
    handle = DBOS.start_workflow(hooked_workflow)
    assert handle.get_result() == 3
    (shown,) = get_live_status(handle.workflow_id)["steps"]
    assert (shown["name"], shown["type"], shown["current"], shown["success"]) == ("part", "own_type", 3, 2)
    calls = LLMTracer().query(handle.workflow_id)
    assert len(calls) == 3
    labels = ("request_model", "provider", "user_id", "workspace_id")
    assert {tuple(call[name] for name in labels) for call in calls} == {tuple(LABELS.values())}
    good = next(call for call in calls if call["prompt"] == "a")
    assert (json.loads(good["response"]), good["state"]) == ({"text": "a"}, "succeeded")


def test_figures_of_a_run_and_of_its_steps(tmp_kurt_project: Path) -> None:
    run_id = run_workflow(plain_workflow)
    tracer = LLMTracer()
    tracer.record(workflow_id=run_id, step_name="by hand", tokens_in=10, tokens_out=1, cost=1.0, latency_ms=7)
    tracer.record(workflow_id=run_id, step_name="by hand", error="broken", row=0)
    stats = tracer.stats(run_id)
    assert {
        name: stats[name] for name in ("total_calls", "total_tokens_in", "total_tokens_out", "total_cost")
    } == {
        "total_calls": 5,
        "total_tokens_in": 16,
        "total_tokens_out": 5,
        "total_cost": 1.5,
    }
    assert (stats["success_count"], stats["error_count"]) == (3, 2)
    assert stats["min_latency_ms"] <= stats["avg_latency_ms"] <= stats["max_latency_ms"]
    steps = tracer.stats_by_step(run_id)
    assert (steps["part"]["total_calls"], steps["by hand"]["total_calls"]) == (3, 2)
    assert steps["by hand"]["total_cost"] == 1.0
    assert [call["state"] for call in tracer.query(run_id, "by hand")] == ["failed", "succeeded"]
    assert len(tracer.query(run_id, limit=2)) == 2
    assert tracer.stats("none")["total_calls"] == 0


def test_a_tracer_of_ones_own_records_rows_outside_of_a_run(tmp_project: Path) -> None:
    make(hooks=TracingHooks(LLMTracer(), **LABELS)).run(TABLE)
    calls = sorted(LLMTracer().query(step_name="part"), key=lambda call: call["row"])
    assert [(call["run_id"], call["state"], call["cost"]) for call in calls] == [
        (None, "succeeded", 0.25),
        (None, "failed", None),
        (None, "succeeded", 0.25),
    ]
    assert {call["workspace_id"] for call in calls} == {"acme"}


def test_tracking_outside_of_a_run_only_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    with track_step("clean", total=2) as tracker:
        update_step_progress(1)
        log_item("page-1", status="success", message="fine", elapsed=0.5, counter=(1, 2), tracker=tracker)
        step_log("half", tracker=tracker, level="warning", step_name="clean", metadata={"n": 1})
    assert [record.message for record in caplog.records] == ["[1/2] page-1: success (0.5 s) - fine", "half"]
    assert not list(tmp_path.iterdir())


@DBOS.workflow(name="parts.tracked")
def tracked_workflow() -> str:
    tracker = WorkflowTracker()
    tracker.start_step("fetch", step_type="io", total=2)
    tracker.update_progress(1, step_name="fetch")
    tracker.log_item("page-2", status="error", message="gone", step_name="fetch")
    tracker.log("so far", level="warning", step_name="fetch", metadata={"n": 1})
    tracker.end_step("fetch", status="error", error="one of two")
    return str(DBOS.workflow_id)


def test_a_tracker_tells_of_steps(tmp_kurt_project: Path) -> None:
    run_id = run_workflow(tracked_workflow)
    (shown,) = get_live_status(run_id)["steps"]
    assert (shown["status"], shown["current"], shown["error"], shown["type"]) == ("error", 2, 1, "io")
    assert shown["message"] == "one of two"
    lines = get_step_logs(run_id, step_name="fetch")
    assert [(line["level"], line["message"]) for line in lines] == [
        ("error", "page-2: error - gone"),
        ("warning", "so far"),
    ]
    assert lines[1]["metadata"] == {"n": 1}
    assert paginate_stream(run_id, "logs", since_offset=1, limit=1)["items"][0]["message"] == "so far"


@DBOS.workflow(name="parts.child")
@with_parent_workflow_id
def child_workflow(config: dict[str, Any]) -> str:
    return str(DBOS.workflow_id)


def test_a_run_may_name_the_one_under_which_it_was_started(tmp_kurt_project: Path) -> None:
    run_id = run_with_background_support(child_workflow, {"parent_workflow_id": "above"})
    assert read_workflow_events(run_id)["parent_workflow_id"] == "above"
    other = run_workflow(child_workflow, {})
    assert "parent_workflow_id" not in read_workflow_events(other)


def test_the_priority_of_a_background_run_is_kept(tmp_kurt_project: Path) -> None:
    queued = run_workflow(child_workflow, {}, background=True, priority=3)
    assert queued == {"workflow_id": queued["workflow_id"], "status": "queued"}
    assert DBOS.retrieve_workflow(queued["workflow_id"]).get_result() == queued["workflow_id"]
    with open_reader(load_settings()) as reader:
        run = reader.get(queued["workflow_id"])
    assert (run.priority, run.queue, run.name) == (3, "default", "child")


@DBOS.dbos_class("parts.Asker")
class Asker(DBOSConfiguredInstance):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.step = make(name=f"of_{name}")

    @DBOS.workflow(name="parts.ask")
    def ask(self) -> list[str]:
        return [row[f"{self.step.name}_status"] for row in self.step.run(TABLE)]

    @DBOS.workflow(name="parts.ask_async")
    async def ask_async(self) -> list[str]:
        return [row[f"{self.step.name}_status"] for row in await self.step.run_async(TABLE)]


asker = Asker("one")


def test_steps_work_in_workflows_that_are_methods(tmp_kurt_project: Path) -> None:
    assert asker.ask() == ["success", "error", "success"]
    assert run_workflow(asker.ask) == ["success", "error", "success"]


@transaction(name="parts.store")
def store() -> str:
    return "stored"


def test_a_workflow_is_not_called_in_the_background_without_being_one(tmp_kurt_project: Path) -> None:
    from kurt.errors import UsageError

    with pytest.raises(UsageError, match="is not a DBOS workflow"):
        run_workflow(store, background=True)


# Vectors


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as server:
        yield server


embed = embedding_step(
    name="embed", input_column="content", batch_size=2, concurrency=1, model="openai/e", as_bytes=False
)


@DBOS.step(name="parts.vectors")
def vectors_step() -> int:
    return len(generate_embeddings(["a", "b"], step_name="direct", model="openai/e"))


@DBOS.workflow(name="parts.embedded")
def embedded_workflow(count: int) -> list[list[Any]]:
    vectors_step()
    rows = embed.run([{"content": f"text {index}"} for index in range(count)])
    return [
        [row["embed_status"], row["embedding"] and len(row["embedding"]), row["embed_error"]] for row in rows
    ]


def test_vectors_come_from_an_endpoint_by_argument(
    server: ModelServer, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    found = generate_embeddings(["a", "b"], model="openai/e", api_base=server.url, api_key=KEY)
    assert len(found) == 2
    assert found[0] != found[1]
    document = generate_document_embedding("x" * 50, 10, model="openai/e", api_base=server.url, api_key=KEY)
    assert server.arrivals[-1].prompt == "x" * 10
    assert len(bytes_to_embedding(document)) == len(found[0])
    assert not list(tmp_path.iterdir())


def test_batches_are_repeated_traced_and_fail_alone(
    server: ModelServer, tmp_project: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_project / "kurt.config").open("a") as config:
        config.write(f'EMBEDDING.BASE_URL="{server.url}"\n')
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script("text 0", faults.server_error())
    server.script("text 4", always=faults.refused())
    request.getfixturevalue("dbos_launched")
    handle = DBOS.start_workflow(embedded_workflow, 6)
    rows = handle.get_result()
    assert [row[0] for row in rows] == ["success"] * 4 + ["error"] * 2
    assert rows[0][1] == rows[3][1] > 0
    assert rows[5][2]
    calls = LLMTracer().query(handle.workflow_id, "embed")
    assert sorted((call["row"], call["attempt"], call["state"]) for call in calls) == [
        (0, 1, "failed"),
        (0, 2, "succeeded"),
        (1, 1, "succeeded"),
        (2, 1, "failed"),
    ]
    (direct,) = LLMTracer().query(handle.workflow_id, "direct")
    assert (direct["operation"], direct["state"]) == ("embeddings", "succeeded")
    shown = next(step for step in get_live_status(handle.workflow_id)["steps"] if step["name"] == "embed")
    assert (shown["status"], shown["success"], shown["error"]) == ("partial", 4, 2)


def test_lexical_vectors_are_labelled_so(tmp_kurt_project: Path) -> None:
    lexical = EmbeddingStep(name="lexical", input_column="content")

    @DBOS.workflow(name="parts.lexical")
    def lexical_workflow() -> str:
        lexical.run(TABLE)
        return str(DBOS.workflow_id)

    with tenant(workspace_id="acme"):
        run_id = run_workflow(lexical_workflow)
    (call,) = LLMTracer().query(run_id)
    assert (call["provider"], call["cost"], call["workspace_id"]) == ("lexical", 0.0, "acme")


def test_a_process_may_begin_and_end_dbos_again(tmp_project: Path, reset_dbos_state: None) -> None:
    for _ in range(2):
        assert run_workflow(child_workflow, {})
        destroy_dbos()
