"""Test files of workflow files: what may stand in them, and what is said of results that differ."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from jsonschema_rs import validator_for

from kurt.app.cases.comparing import Result, differences
from kurt.app.cases.copies import Project, copy_project
from kurt.engine.cases import reading
from kurt.engine.cases.jsonschema import case_schema
from kurt.engine.cases.schema import CaseFile, Expectation
from kurt.engine.language.parser import LoadedWorkflow, load_workflow
from kurt.engine.language.source import read_source
from kurt.errors import DefinitionError, Fault, UsageError
from tests.support.definitions import BUILT_IN, written

FLOW = """
name: flow
inputs: {limit: 10}
steps:
  - {name: fetch, type: http, url: "https://example.com", output: page}
  - name: pages
    foreach: {items: "${page.parts}", as: part}
    steps: [{name: read, type: script, code: "result = 1"}]
  - {name: inner, workflow: ./inner.yaml}
on_error: [{name: tell, type: script, code: "result = 1"}]
"""

INNER = "name: inner\nsteps: [{name: deep, type: script, code: 'result = 1'}]\n"


def load(folder: Path, text: str) -> reading.LoadedCases:
    written(folder, FLOW)
    written(folder, INNER, "inner.yaml")
    path = written(folder, text, "flow.test.yaml")

    def loaded(file: Path) -> LoadedWorkflow:
        return load_workflow(file, root=folder, kinds=BUILT_IN)

    return reading.load_cases(path, root=folder, load=loaded)


def faults(folder: Path, text: str) -> list[Fault]:
    with pytest.raises(DefinitionError) as failure:
        load(folder, text)
    return failure.value.faults


def test_all_faults_come_at_once_with_their_places(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """\
        mock: {}
        mocks: {steps: {fech: 1, read: 1, fetch: {value: 1, error: x}}}
        cases:
          - name: one
            inputs: {limits: 1}
            expect: {status: suceeded, steps: {fetch: skiped, pages: {sate: failed}}, that: ["len(", "x == 1"]}
          - name: one
            mocks: {models: [{step: fetch}]}
            answers: {nobody: 1}
          - {name: two, expects: {}}
        """,
    )
    said = {(fault.line, fault.column): (fault.message, fault.hint) for fault in found}
    assert said[1, 1] == ("unknown key `mock` in a test file", "did you mean `mocks`?")
    assert said[2, 17] == ("the workflow has no step `fech`", "did you mean `fetch`?")
    assert said[2, 26] == ("the workflow has no step `read`", "did you mean `pages.read`?")
    assert "a value or an error, not both" in said[2, 42][0]
    assert said[5, 14] == ("the workflow has no input `limits`", "did you mean `limit`?")
    assert said[6, 22][1] == "did you mean `succeeded`?"
    assert said[6, 47][1] == "did you mean `skipped`?"
    assert said[6, 63] == ("unknown key `sate` in `pages`", "did you mean `state`?")
    assert "is not an expression" in said[6, 86][0]
    assert said[6, 94][0] == "`x` is not known here"
    assert said[7, 11][0] == "there are two cases 'one'"
    assert said[10, 17] == ("unknown key `expects` in item 3 of `cases`", "did you mean `expect`?")
    assert "either an answer or an error" in said[8, 22][0]
    assert said[9, 15][0] == "the workflow has no step `nobody`"
    assert {fault.file for fault in found} == {"flow.test.yaml"}
    assert len(found) == len(said) == 14


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "a test file is a mapping"),
        ("cases: []", "`cases` list should have at least 1 item after validation, not 0, not []"),
        ("workflow: nowhere.yaml\ncases: [{name: a}]", "there is no file 'nowhere.yaml'"),
        ("cases: [{name: a}", "not valid YAML"),
        ("cases: [{name: a, name: b}]", "name"),
    ],
)
def test_what_is_no_test_file(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in fault.message for fault in faults(tmp_path, text)), faults(tmp_path, text)


def test_a_rule_for_a_model_names_a_step_that_may_ask(tmp_path: Path) -> None:
    written(tmp_path, "steps: [{name: ask, type: llm, prompt: x}]", "asking.yaml")
    text = "workflow: asking.yaml\nmocks: {models: [{step: aks, answer: 1}, {step: ask, answer: 1}]}\ncases: [{name: a}]"
    (fault,) = faults(tmp_path, text)
    assert (fault.line, fault.column, fault.hint) == (2, 25, "did you mean `ask`?")
    (fault,) = faults(tmp_path, "mocks: {models: [{step: 'pages[a].read', answer: 1}]}\ncases: [{name: a}]")
    assert fault.hint == "write `step: pages.read`, and a part of the prompt as `prompt`"
    load(tmp_path, "mocks: {models: [{step: of_a_python_workflow, answer: 1}]}\ncases: [{name: a}]")


def test_faults_of_the_workflow_come_with_those_of_its_tests(tmp_path: Path) -> None:
    written(tmp_path, "steps: [{name: a, type: scrip}]", "broken.yaml")
    found = faults(tmp_path, "workflow: broken.yaml\ncases: [{nam: a}]")
    assert [fault.file for fault in found] == ["flow.test.yaml", "broken.yaml"]


def test_paths_lead_into_blocks_handlers_and_other_files(tmp_path: Path) -> None:
    loaded = load(tmp_path, "x-shared: &a {title: A}\ncases: [{name: a, mocks: {steps: {pages.read: *a}}}]")
    assert set(loaded.steps) == {"fetch", "pages", "pages.read", "inner", "inner.deep", "on_error.tell"}
    (case,) = loaded.spec.cases
    assert reading.mock_of(case.mocks)["steps"] == {"pages.read": [{"value": {"title": "A"}}]}


def test_a_mock_is_a_value_unless_it_says_how_the_step_goes() -> None:
    spec = CaseFile.model_validate(
        {
            "mocks": {
                "steps": {
                    "text": "error",
                    "nothing": None,
                    "mapping": {"error": 1, "other": 2},
                    "said": {"value": {"error": 1}},
                    "fails": {"error": {"type": "HttpError", "status": 503}},
                    "heals": {"attempts": [{"error": "busy"}, {"value": 1}]},
                }
            },
            "cases": [{"name": "a"}],
        }
    )
    assert reading.mock_of(spec.mocks)["steps"] == {
        "text": [{"value": "error"}],
        "nothing": [{"value": None}],
        "mapping": [{"value": {"error": 1, "other": 2}}],
        "said": [{"value": {"error": 1}}],
        "fails": [{"error": {"type": "HttpError", "status": 503}}],
        "heals": [{"error": {"message": "busy"}}, {"value": 1}],
    }


def test_mocks_of_a_case_win_over_those_of_the_file() -> None:
    spec = CaseFile.model_validate(
        {
            "mocks": {"steps": {"a": 1, "b": 1}, "models": [{"answer": "of the file"}]},
            "cases": [{"name": "x", "mocks": {"steps": {"b": 2}, "models": [{"answer": "of the case"}]}}],
        }
    )
    mock = reading.mock_of(spec.cases[0].mocks, spec.mocks)
    assert mock["steps"] == {"a": [{"value": 1}], "b": [{"value": 2}]}
    assert mock["answers"] == [{"answer": "of the case"}, {"answer": "of the file"}]


@pytest.mark.parametrize("mocks", [{"steps": {"nope": 1}}, {"step": {}}, {"models": [{}]}])
def test_mocks_of_code_are_checked(mocks: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"step|mocks are not well formed"):
        reading.given_mocks(mocks, ["fetch"])


def said(expect: dict[str, Any], **result: Any) -> list[str]:
    """What is said of a result."""
    given = {"status": "succeeded", **result}
    found = differences(Expectation.model_validate(expect), Result(**given))
    return [line for one in found for line in one.lines()]


STEP = {"state": "succeeded", "value": None, "error": None, "attempts": 1, "mocked": False, "given": None}


@pytest.mark.parametrize(
    ("expect", "result", "lines"),
    [
        ({}, {}, []),
        ({"outputs": {"a": 1}}, {"outputs": {"a": 1.0}}, []),
        ({"outputs": {"a": 1}}, {"outputs": {"a": True}}, ["outputs.a: expected 1, got true"]),
        ({"outputs": {"a": 1}}, {"outputs": {"a": 1, "b": 2}}, ["outputs.b: expected nothing, got 2"]),
        ({"outputs": {"a": None}}, {"outputs": {}}, ["outputs.a: expected null, got nothing"]),
        ({"outputs": None}, {"outputs": {"a": 1}}, ['outputs: expected null, got {"a": 1}']),
        ({"includes": {"a": {"b": 1}}}, {"outputs": {"a": {"b": 1, "c": 2}, "d": 3}}, []),
        (
            {"includes": {"a": [{"b": 1}]}},
            {"outputs": {"a": [{"b": 2}]}},
            ["outputs.a[0].b: expected 1, got 2"],
        ),
        ({"outputs": [1, 2]}, {"outputs": [1]}, ["outputs: expected 2 items, got 1: [1]"]),
        ({"outputs": {"a b": 1}}, {"outputs": {"a b": 2}}, ['outputs["a b"]: expected 1, got 2']),
        ({"status": "failed"}, {}, ["status: expected failed, got succeeded"]),
        ({"error": "x"}, {}, ["status: expected failed, got succeeded"]),
        (
            {},
            {"status": "failed", "error": {"message": "boom"}},
            ["status: expected succeeded, got failed: boom"],
        ),
        ({"error": "oom"}, {"status": "failed", "error": {"message": "boom"}}, []),
        (
            {"error": {"type": "A", "message": "x"}},
            {"status": "failed", "error": {"type": "B", "message": "boom"}},
            ['error.type: expected "A", got "B"', 'error.message: expected a text with "x", got "boom"'],
        ),
        ({"calls": 2}, {"calls": {"ask": 1}}, ["calls: expected 2 calls of models, got 1 (ask: 1)"]),
        ({"calls": {"ask": 1}}, {"calls": {"ask[1]": 1}}, []),
        (
            {"calls": {"aks": 1}},
            {"calls": {"ask": 2}},
            ["calls.aks: expected 1 calls of models, got 0 (ask: 2)"],
        ),
        (
            {"that": ["len(outputs.a) == 2 and outputs.b"]},
            {"outputs": {"a": [1]}},
            ["len(outputs.a) == 2 and outputs.b: not true; outputs.a is [1]; outputs.b is null"],
        ),
        ({"steps": {"a": "not run"}}, {}, []),
        ({"steps": {"a": "skipped"}}, {}, ["step a: expected skipped, it did not run"]),
        ({"steps": {"a": {"count": 0}}}, {}, []),
    ],
)
def test_what_differs_is_said(expect: dict[str, Any], result: dict[str, Any], lines: list[str]) -> None:
    assert said(expect, **result) == lines


def test_a_path_without_keys_is_about_all_items() -> None:
    steps = [{**STEP, "path": f"pages[{key}].read", "value": value} for key, value in (("a", 1), ("b", 2))]
    assert said({"steps": {"pages.read": {"state": "succeeded", "count": 2}}}, steps=steps) == []
    assert said({"steps": {"pages.read": {"value": 1}}}, steps=steps) == [
        "step pages[b].read: value: expected 1, got 2"
    ]
    assert said({"steps": {"pages[b].read": {"value": 2, "count": 1}}}, steps=steps) == []


def test_what_a_mocked_step_was_given_is_known() -> None:
    mocked = {**STEP, "path": "fetch", "mocked": True, "given": {"url": "x", "method": "GET"}}
    assert said({"steps": {"fetch": {"given": {"url": "x"}}}}, steps=[mocked]) == []
    assert said({"steps": {"fetch": {"given": {"url": "y"}}}}, steps=[mocked]) == [
        'step fetch: given.url: expected "y", got "x"'
    ]
    assert said({"steps": {"fetch": {"given": {}}}}, steps=[{**STEP, "path": "fetch"}]) == [
        "step fetch: `given` is known of mocked steps only, and this one really worked"
    ]


def test_long_texts_are_compared_line_by_line() -> None:
    lines = said({"outputs": {"text": "a\nb\nc"}}, outputs={"text": "a\nx\nc"})
    assert lines[0] == "outputs.text: the texts differ"
    assert {line.strip() for line in lines} >= {"-b", "+x"}


def test_the_schema_takes_what_the_models_take() -> None:
    text = dedent("""
    workflow: flow.yaml
    x-free: 1
    mocks: {steps: {a: 1, b: {value: 1}, c: {attempts: [{error: x}, {value: 1}]}}, models: [{step: a, answer: {}}]}
    cases:
      - name: all of it
        inputs: {a: [1]}
        timeout: 10s
        expect: {steps: {a: skipped, b: {value: 1, error: x}}, that: [true], calls: {a: 1}, error: {type: X}}
    """)
    value = read_source(text, "x").value
    CaseFile.model_validate({key: item for key, item in value.items() if key != "x-free"})
    validator = validator_for(case_schema())
    assert [fault.message for fault in validator.iter_errors(value)] == []
    for wrong in (
        {"cases": []},
        {"cases": [{}]},
        {"cases": [{"name": "a", "expect": {"steps": {"a": "gone"}}}]},
    ):
        assert list(validator.iter_errors(wrong)), wrong


def test_every_key_is_explained_with_an_example() -> None:
    schema = case_schema()
    owners = [schema, *schema["$defs"].values()]
    keys = [(name, field) for owner in owners for name, field in owner["properties"].items()]
    assert len(keys) > 30
    bare = [name for name, field in keys if not field.get("description") or not field.get("examples")]
    assert not bare


def test_a_copy_has_what_runs_need_and_no_secrets(tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name in (
        "kurt.config",
        ".env",
        ".kurt/kurt.sqlite",
        ".git/config",
        "a/b.txt",
        "env/pyvenv.cfg",
        "env/x",
    ):
        written(root, "x", name)
    (root / "link").symlink_to("a/b.txt")
    (root / "gone").symlink_to("nowhere")
    copy_project(Project(root), tmp_path / "copy")
    found = {
        str(path.relative_to(tmp_path / "copy"))
        for path in (tmp_path / "copy").rglob("*")
        if not path.is_dir()
    }
    assert found == {"kurt.config", "a/b.txt", "link", "gone"}
    assert (tmp_path / "copy" / "link").is_symlink()
    copy_project(Project(root, ("a",), ("link",)), tmp_path / "part")
    assert {path.name for path in (tmp_path / "part").rglob("*")} == {"kurt.config", "a", "b.txt", "link"}


def test_a_project_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kurt.app.cases.copies.MOST_FILES", 2)
    for number in range(3):
        written(tmp_path / "project", "x", f"{number}.txt")
    with pytest.raises(UsageError, match="too large to be copied") as failure:
        copy_project(Project(tmp_path / "project"), tmp_path / "copy")
    assert "copy:" in str(failure.value.hint)
