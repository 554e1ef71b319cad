"""From a file to the definition that runs: normal forms, freezing, other files, what steps use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kurt.engine.expressions.until import until_seconds
from kurt.engine.language.analysis import names_used, paths_used, steps_used
from kurt.engine.language.parser import check_file, freeze, load_workflow
from kurt.engine.language.schema import ErrorHandling, WorkflowDefinition, WorkflowStep, frozen_subworkflow
from kurt.errors import DefinitionError, ExpressionError
from tests.support.definitions import BUILT_IN, definition, faults_in, loaded, written

RICH = """\
description: all of it
version: 1
inputs: {urls: {type: list}, mode: fast}
defaults: {timeout: 5m, retry: {max_attempts: 2, delay: 2s}, on_error: skip, env: {A: a}}
env: {B: "${mode}"}
secrets: [TOKEN]
queue: slow
priority: 5
timeout: 2h
limits: {memory: 1GB, cpu: 60s}
steps:
  - {type: cli, command: x y, args: {a: "${mode}"}, output: first}
  - name: each
    foreach: {items: "${urls}", as: url, key: "${url}", max_concurrent: 3, on_item_error: collect}
    steps:
      - {name: get, type: http, url: "${url}", retry: {max_attempts: 5, when: error.status == 503}, timeout: 10s}
    collect: "${steps.get.body}"
    on_error: fail
  - name: both
    type: parallel
    steps:
      - {type: run, command: [a], limits: {cpu: 5s}, on_error: retry}
      - {wait: {message: go}, timeout: 1h}
  - name: choose
    type: switch
    on: mode
    cases:
      fast: [{type: script, code: "result = 1"}]
      a/b: [{type: emit, event: e, value: 1}]
    default: [{type: emit, event: e, value: 2}]
  - {name: other, type: workflow, workflow: map, inputs: {a: 1}, when: true}
  - {name: guarded, type: run, command: [a], on_error: {fallback: [{type: run, command: [b]}]}, needs: both}
on_error: [{type: run, command: [c]}]
finally: [{type: run, command: [d]}]
outputs: {x: "${first}"}
"""


@pytest.fixture
def rich(tmp_path: Path) -> WorkflowDefinition:
    """The definition of a file that uses everything."""
    return definition(tmp_path, RICH)


def test_the_normal_form(rich: WorkflowDefinition) -> None:
    assert (rich.name, rich.version, rich.queue, rich.priority) == ("flow", "1", "slow", 5)
    assert (rich.timeout, rich.secrets, rich.file) == (7200, ["TOKEN"], "flow.yaml")
    assert [(step.name, step.type) for step in rich.steps] == [
        ("step1", "cli"),
        ("each", "foreach"),
        ("both", "parallel"),
        ("choose", "switch"),
        ("other", "workflow"),
        ("guarded", "run"),
    ]
    first, each, both, choose, other, guarded = rich.steps
    assert first.spec == {"command": "x y", "args": {"a": "${mode}"}}
    assert each.foreach is not None
    assert each.foreach.model_dump() == {
        "items": "${urls}",
        "variable": "url",
        "key": "${url}",
        "max_concurrent": 3,
        "on_item_error": "collect",
    }
    assert (each.collect, each.on_error) == ("${steps.get.body}", ErrorHandling(strategy="fail"))
    assert both.steps[1].wait is not None
    assert (both.steps[1].wait.message, both.steps[1].timeout) == ("go", 3600)
    assert choose.on == "mode"
    assert other.workflow is not None
    assert (other.workflow.target, other.workflow.is_file, other.workflow.inputs) == ("map", False, {"a": 1})
    assert (other.when, guarded.needs) == ("true", ["both"])


def test_defaults_hold_where_a_step_says_nothing(rich: WorkflowDefinition) -> None:
    first, each, both, *_ = rich.steps
    get, retried, waiting = each.steps[0], both.steps[0], both.steps[1]
    assert [step.timeout_seconds(rich) for step in (first, get, each, waiting)] == [300, 10, None, 3600]
    policies = [step.retry_of(rich) for step in (first, get, retried, each)]
    assert [policy and (policy.max_attempts, policy.delay_seconds, policy.when) for policy in policies] == [
        (2, 2, None),
        (5, 2, "error.status == 503"),
        (3, 2, None),
        None,
    ]
    assert [step.skips_errors for step in (first, get, retried, each)] == [True, True, False, False]


def test_steps_without_defaults(tmp_path: Path) -> None:
    plain = definition(tmp_path, "steps: [{type: run, command: [a], retry: {max_attempts: 4}}]\n")
    step = plain.steps[0]
    assert (step.timeout_seconds(plain), step.skips_errors, step.fallback) == (None, False, None)
    assert step.retry_of(plain) == step.retry


def test_a_case_is_chosen_by_text(tmp_path: Path) -> None:
    text = "steps: [{switch: {on: '1', cases: {200: [{wait: {for: 1s}}], true: [], a b: []}}}]\n"
    step = definition(tmp_path, text).steps[0]
    assert [step.matching_case(value) for value in (200, "200", True, "true", "a b", 201, None)] == [
        *["200", "200", "true", "true", "a b"],
        *[None, None],
    ]
    assert [inner.type for inner in step.case("200")] == ["wait"]
    assert step.case(None) == []


def test_pointers_lead_to_steps(rich: WorkflowDefinition) -> None:
    steps = list(rich.walk())
    assert [step.pointer for step in steps] == [
        *["steps/0", "steps/1", "steps/1/steps/0", "steps/2", "steps/2/steps/0", "steps/2/steps/1"],
        *["steps/3", "steps/3/cases/fast/0", "steps/3/cases/a~1b/0", "steps/3/default/0", "steps/4"],
        *["steps/5", "steps/5/fallback/0", "on_error/0", "finally/0"],
    ]
    assert all(rich.at(step.pointer) is step for step in steps)
    with pytest.raises(KeyError):
        rich.at("steps/99")


def test_a_frozen_definition_is_plain_json_and_comes_back(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, RICH)
    frozen = json.loads(json.dumps(freeze(workflow)))
    again = WorkflowDefinition.from_frozen(frozen)
    assert again == workflow.definition
    assert [step.pointer for step in again.walk()] == [step.pointer for step in workflow.definition.walk()]
    assert (frozen["file"], frozen["format"], len(frozen["sha256"])) == ("flow.yaml", 1, 64)


def test_freezing_does_not_depend_on_the_file_any_more(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, RICH)
    frozen = freeze(workflow)
    (tmp_path / "flow.yaml").unlink()
    assert WorkflowDefinition.from_frozen(frozen) == workflow.definition


def test_other_files_are_frozen_too(tmp_path: Path) -> None:
    written(tmp_path, "inputs: {n: 1}\nsteps: [{workflow: c.yaml}]\n", "workflows/b.yaml")
    written(tmp_path, "steps: [{wait: {for: 1s}}]\n", "workflows/c.yaml")
    path = written(
        tmp_path,
        "steps: [{workflow: b.yaml, inputs: {n: 2}}, {workflow: workflows/c.yaml}]\n",
        "workflows/a.yaml",
    )
    frozen = freeze(load_workflow(path, root=tmp_path, kinds=BUILT_IN))
    assert sorted(frozen["subworkflows"]) == ["workflows/b.yaml", "workflows/c.yaml"]
    a = WorkflowDefinition.from_frozen(frozen)
    call = a.steps[0].workflow
    assert call is not None
    assert (call.target, call.is_file) == ("workflows/b.yaml", True)
    inner = frozen_subworkflow(frozen, call.target)
    b = WorkflowDefinition.from_frozen(inner)
    assert b.steps[0].workflow is not None
    assert WorkflowDefinition.from_frozen(frozen_subworkflow(inner, b.steps[0].workflow.target)).name == "c"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("{workflow: a.yaml}", "in a circle: a.yaml -> a.yaml"),
        ("{workflow: b.yaml}", "in a circle: a.yaml -> b.yaml -> a.yaml"),
        ("{workflow: c.yaml, inputs: {m: 1}}", "c.yaml has no input `m`"),
        ("{workflow: c.yaml}", "the input `n` of c.yaml is missing"),
        ("{workflow: d.yaml}", "unknown step kind 'nope'"),
        ("{workflow: ../out.yaml}", "lies outside of the project"),
    ],
)
def test_other_files_that_cannot_be_run(tmp_path: Path, call: str, message: str) -> None:
    root = tmp_path / "project"
    written(tmp_path, "steps: [{wait: {for: 1s}}]\n", "out.yaml")
    written(root, "steps: [{workflow: a.yaml}]\n", "b.yaml")
    written(root, "inputs: {n: {required: true}}\nsteps: [{wait: {for: 1s}}]\n", "c.yaml")
    written(root, "steps: [{type: nope}]\n", "d.yaml")
    path = written(root, f"steps: [{call}]\n", "a.yaml")
    faults = check_file(path, root=root, kinds=BUILT_IN)
    assert any(message in fault.message and fault.hint and fault.line == 1 for fault in faults)


def test_a_file_that_is_run_twice_is_read_once(tmp_path: Path) -> None:
    written(tmp_path, "steps: [{type: nope}]\n", "b.yaml")
    faults = faults_in(tmp_path, "steps: [{workflow: b.yaml}, {workflow: b.yaml}]\n")
    assert [fault.file for fault in faults] == ["b.yaml"]


def test_a_file_outside_of_the_project_keeps_its_path(tmp_path: Path) -> None:
    path = written(tmp_path, "steps: [{wait: {for: 1s}}]\n")
    root = tmp_path / "project"
    root.mkdir()
    assert load_workflow(path, root=root, kinds=BUILT_IN).file == str(path.resolve())


def test_the_name_of_a_file_is_its_stem(tmp_path: Path) -> None:
    path = written(tmp_path, "steps: [{wait: {for: 1s}}]\n", "my-flow.v2.yaml")
    assert load_workflow(path, root=tmp_path, kinds=BUILT_IN).definition.name == "my-flow.v2"


def test_names_that_steps_use(rich: WorkflowDefinition) -> None:
    first, each, both, choose, other, guarded = rich.steps
    assert names_used([first]) == {"mode"}
    assert names_used([each]) == {"urls", "url", "error", "steps"}
    assert names_used(each.steps, extra=each.collect) == {"url", "error", "steps"}
    assert names_used([both, other, guarded]) == set()
    assert names_used([choose]) == {"mode"}
    assert steps_used(paths_used([each])) == {"get"}
    assert steps_used([("steps",)]) is None


def test_names_of_a_fallback_count(tmp_path: Path) -> None:
    text = """\
        inputs: {a: 1, b: 2, c: 3}
        steps:
          - {name: one, type: cli, command: x, on_error: {fallback: two}}
          - {name: two, type: cli, command: "${a}", on_error: {fallback: three}}
          - {name: three, type: cli, command: "${b}", on_error: {fallback: [{type: cli, command: "${c}"}]}}
        """
    steps = definition(tmp_path, text).steps
    assert names_used(steps[:1], siblings=steps) == {"a", "b", "c"}
    assert names_used(steps[:1]) == set()


def test_code_with_braces_of_its_own_counts_as_using_nothing() -> None:
    step = WorkflowStep(name="a", type="script", spec={"code": "f'${'", "inputs": {"x": "${y}"}})
    assert names_used([step]) == {"y"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-21T07:00:00Z", 1_795_244_400.0),
        ("2026-11-21T08:00:00+01:00", 1_795_244_400.0),
        ("2026-11-21", 1_795_219_200.0),
        (1_795_244_400, 1_795_244_400.0),
        ("${day}T07:00:00Z", 1_795_244_400.0),
        ("${at}", 1_795_244_400.0),
        ("at", 1_795_244_400.0),
        ("at if late else day", 1_795_219_200.0),
        ("'${day}T07:00:00Z'", 1_795_244_400.0),
    ],
)
def test_until(value: Any, seconds: float) -> None:
    scope = {"day": "2026-11-21", "at": "2026-11-21T07:00:00Z", "late": False}
    assert until_seconds(value, scope) == seconds


@pytest.mark.parametrize("value", ["soon", "2026-13-01", "${x}", "1 + ", True])
def test_until_that_is_no_time(value: Any) -> None:
    with pytest.raises(ExpressionError):
        until_seconds(value, {"x": "tomorrow"})


def test_all_faults_of_all_files_are_there(tmp_path: Path) -> None:
    written(tmp_path, "steps: [{type: nope}]\n", "b.yaml")
    with pytest.raises(DefinitionError, match="2 errors") as caught:
        loaded(tmp_path, "steps: [{workflow: b.yaml}, {type: nope2}]\n")
    assert {fault.file for fault in caught.value.faults} == {"b.yaml", "flow.yaml"}
