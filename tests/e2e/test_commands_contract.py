"""What programs may rely on: the shape of each command's JSON, where it is written, and exit codes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.language import Language, language

__all__ = ["language"]

RUN = {
    "run_id", "name", "status", "outputs", "error", "created_at", "started_at", "completed_at", "scheduled_for", "schedule",
    "summary", "waiting_for", "waits", "workflow", "kind", "file", "queue", "priority", "executor_id", "parent_id",
    "forked_from", "app_version", "user_id", "workspace_id", "mocked",
}  # fmt: skip
STEP = {
    "path", "kind", "status", "attempt", "started_at", "completed_at", "next_at", "seconds", "error", "value",
    "child_run_id", "run_id", "mocked",
}  # fmt: skip
SUBMITTED = {"run_id", "workflow_id", "name", "status", "log", "queue", "existing"}
QUEUE = {
    "name", "concurrency", "worker_concurrency", "rate", "partition_concurrency", "partition_worker_concurrency",
    "partition_rate",
}  # fmt: skip
EXECUTOR = {"id", "kind", "host", "pid", "started_at", "queues", "concurrency", "run_id"}
PLAN = {"dry_run", "name", "inputs", "queue", "priority", "timeout", "debounce", "plan"}
PAGE = {"items", "next_offset", "has_more", "closed"}
ERROR = {"code", "message", "hint"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture(scope="module")
def failed(language: Language) -> str:
    language.write(
        """
        name: shape
        steps:
          - {name: say, type: emit, stream: said, value: 1}
          - {name: bad, type: script, code: 1/0}
        """,
        "workflows/shape.yaml",
    )
    return language.run("workflows/shape.yaml").id


def keys(value: Any) -> set[str]:
    """The keys of an object, or those that all objects of a list have."""
    if isinstance(value, list):
        shapes = {frozenset(one) for one in value}
        assert len(shapes) == 1, shapes
        return set(shapes.pop())
    return set(value)


def test_the_shapes_of_results(language: Language, failed: str) -> None:
    here = language.here
    shapes = {
        ("workflows", "list"): RUN,
        ("workflows", "status", failed): RUN,
        ("workflows", "steps", failed): STEP,
        ("workflows", "stream", failed, "said"): PAGE,
        ("workflows", "list", "--files"): {"name", "kind", "source"},
        ("workflows", "run", "shape", "--dry-run"): PLAN,
        ("queues", "list"): QUEUE,
        ("worker", "list"): EXECUTOR,
        ("gc", "--dry-run"): {"dry_run", "runs", "logs", "run_count", "log_count", "value_count"},
    }
    for argv, shape in shapes.items():
        assert keys(here.json(*argv)) == shape, argv
    submitted = here.json("workflows", "run", "shape", "--background", "--in", "1h")
    assert keys(submitted) == SUBMITTED
    assert keys(here.json("workflows", "cancel", submitted["run_id"])) == RUN
    for verb, argv in {"resume": [], "retry": [], "fork": ["--from", "bad"]}.items():
        target = submitted["run_id"] if verb == "resume" else failed
        again = here.json("workflows", verb, target, *argv, "--background")
        assert keys(again) == SUBMITTED, verb
        language.client.wait(again["run_id"])
    assert here.json("workflows", "delete", submitted["run_id"]) == [
        {"run_id": submitted["run_id"], "deleted": True}
    ]
    assert isinstance(here.json("workflows", "logs", failed), list)
    assert keys(here.json("workflows", "events", failed)) <= {
        "status", "started_at", "completed_at", "current_step", "stage", "stage_total", "stage_current",
        "stage_status", "waiting_for", "items",
    }  # fmt: skip


def test_times_are_utc_and_ids_are_text(language: Language, failed: str) -> None:
    run = language.here.json("workflows", "status", failed)
    for name in ("created_at", "started_at", "completed_at"):
        assert TIME.fullmatch(run[name]), (name, run[name])
    assert re.fullmatch(r"[0-9a-z]{26}", run["run_id"])
    for step in language.here.json("workflows", "steps", failed):
        assert TIME.fullmatch(step["started_at"])
    assert {key for key in run if key != key.lower()} == set()


def test_a_run_has_one_shape_wherever_it_is_shown(language: Language, failed: str) -> None:
    shown = [
        language.here("workflows", verb, failed, "--format", "json", code=code).json()
        for verb, code in (("status", 0), ("wait", 1), ("follow", 1))
    ]
    assert shown[0] == shown[1] == shown[2]
    listed = next(run for run in language.here.json("workflows", "list") if run["run_id"] == failed)
    assert listed == shown[0]


def test_exit_codes_of_a_failed_run(language: Language, failed: str) -> None:
    for verb in ("wait", "follow", "result"):
        done = language.here("workflows", verb, failed, code=1)
        assert f"error: the run {failed} failed: step 'bad' failed: division by zero" in done.stderr
        assert f"hint: kurt workflows retry {failed}" in done.stderr
    assert language.kurt("workflows", "run", "shape", code=1).exit_code == 1
    assert language.here("workflows", "status", failed).exit_code == 0, "it was asked about, not run"


@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (["workflows", "status", "nobody"], 3, "not_found"),
        (["workflows", "run", "nobody"], 3, "not_found"),
        (["workflows", "run"], 2, "usage"),
        (["workflows", "list", "--nope"], 2, "usage"),
        (["workflows", "nope"], 2, "usage"),
        (["workflows", "run", "shape", "--input", "a=b"], 2, "inputs"),
        (["workflows", "run", "shape", "--background", "--queue", "nowhere"], 3, "not_found"),
        (["queues", "update", "nowhere"], 3, "not_found"),
        (["worker", "stop", "nobody"], 3, "not_found"),
    ],
)
def test_errors_are_one_object_on_stderr(
    language: Language, failed: str, argv: list[str], code: int, error: str
) -> None:
    done = language.here(*argv, "--format", "json", code=code)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    found = json.loads(line)
    assert set(found) == {"error"}
    assert ERROR <= set(found["error"]) <= ERROR | {"causes", "errors"}
    assert found["error"]["code"] == error
    for_people = language.here(*argv, code=code)
    assert for_people.stderr.startswith(("error: ", "Usage: "))
    assert found["error"]["message"] in for_people.stderr


def test_lines_of_json(language: Language, failed: str) -> None:
    listed = language.here("workflows", "list", "--format", "jsonl")
    assert [set(json.loads(line)) for line in listed.lines] == [RUN] * len(listed.lines)
    steps = language.here("workflows", "steps", failed, "--format", "jsonl")
    assert [json.loads(line)["path"] for line in steps.lines] == ["say", "bad"]
    assert language.here("workflows", "list", "--name", "nobody", "--format", "jsonl").stdout == ""


def test_a_project_in_which_nothing_ran_yet(project: Any, kurt: Any) -> None:
    for folder in (".kurt",):
        (project / folder).rename(project.parent / "gone")
    assert kurt.json("workflows", "list") == []
    assert kurt("workflows", "status", "01k", "--format", "json", code=3).error()["code"] == "not_found"
    assert kurt.json("worker", "list") == []
    assert kurt.json("gc", "--dry-run")["run_count"] == 0
    assert not list(project.rglob("*.sqlite")), "looking makes nothing"


def test_the_database_is_where_the_settings_say(project: Any, kurt: Any) -> None:
    (project / "kurt.config").write_text('PATH_DB="data/runs.sqlite"\n')
    (project / "x.yaml").write_text("name: elsewhere\nsteps: [{type: emit, event: e, value: 1}]\n")
    run_id = kurt.json("workflows", "run", "x.yaml")["run_id"]
    assert (project / "data" / "runs.sqlite").is_file()
    assert [run["run_id"] for run in kurt.json("workflows", "list")] == [run_id]
    assert kurt.json("workflows", "list", env={"KURT_PATH_DB": "data/other.sqlite"}) == []
