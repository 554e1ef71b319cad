"""The fields of the kinds: what a file may say, and what is told about it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kurt.engine.kinds import StepKind
from kurt.engine.steps.cli import CliKind
from kurt.engine.steps.dspy import DspyKind
from kurt.engine.steps.embed import EmbedKind
from kurt.engine.steps.emit import EmitKind
from kurt.engine.steps.http import HttpKind, accepted
from kurt.engine.steps.llm import LlmKind
from kurt.engine.steps.python import PythonKind
from kurt.engine.steps.run import RunKind
from kurt.engine.steps.script import ScriptKind

KINDS: list[type[StepKind]] = [
    *(CliKind, DspyKind, EmbedKind, EmitKind, HttpKind, LlmKind, PythonKind, RunKind, ScriptKind)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_documented(kind: type[StepKind]) -> None:
    assert kind.__doc__
    for name, field in kind.Model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert field.examples, name
        for example in field.examples:
            known = field.alias or name
            if not (isinstance(example, str) and example.startswith("${")):
                required = {"value": 1} if kind is EmitKind else MINIMAL[kind]
                kind.Model.model_validate({**required, known: example})


MINIMAL: dict[type[StepKind], dict[str, Any]] = {
    CliKind: {"command": "workflows read"},
    DspyKind: {"signature": "question -> answer"},
    EmbedKind: {"text": "x"},
    LlmKind: {"prompt": "x"},
    EmitKind: {"event": "x", "value": 1},
    HttpKind: {"url": "http://x"},
    PythonKind: {"call": "a:b"},
    RunKind: {"command": ["true"]},
    ScriptKind: {"code": ""},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_that_a_step_needs(kind: type[StepKind]) -> None:
    kind.Model.model_validate(MINIMAL[kind])
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.Model.model_validate({**MINIMAL[kind], "unknown": 1})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CliKind, {}),
        (CliKind, {"command": ""}),
        (CliKind, {"command": "workflows --project /etc"}),
        (CliKind, {"command": "--help"}),
        (CliKind, {"command": "workflows; ls"}),
        (CliKind, {"command": ["workflows", "read"]}),
        (EmitKind, {"value": 1}),
        (EmitKind, {"event": "a"}),
        (EmitKind, {"event": "a", "stream": "b", "value": 1}),
        (EmitKind, {"event": "", "value": 1}),
        (HttpKind, {}),
        (HttpKind, {"url": "http://x", "method": "GET\r\nX: 1"}),
        (HttpKind, {"url": "http://x", "expect": "fine"}),
        (HttpKind, {"url": "http://x", "expect": [99]}),
        (HttpKind, {"url": "http://x", "max_size": "much"}),
        (HttpKind, {"url": "http://x", "redirects": -1}),
        (PythonKind, {}),
        (PythonKind, {"call": "os.path"}),
        (PythonKind, {"call": "a:b()"}),
        (PythonKind, {"call": "a:b", "args": 1}),
        (RunKind, {}),
        (RunKind, {"command": ""}),
        (RunKind, {"command": []}),
        (RunKind, {"command": ["true"], "parse": "xml"}),
        (ScriptKind, {}),
        (ScriptKind, {"code": "", "inputs": {"a b": 1}}),
        (ScriptKind, {"code": "", "inputs": {"class": 1}}),
        (ScriptKind, {"code": "", "inputs": {"__name__": 1}}),
    ],
)
def test_fields_that_are_refused(kind: type[StepKind], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind.Model.model_validate(fields)


@pytest.mark.parametrize(
    ("command", "faults"),
    [
        ("echo ${name}", 1),
        ("echo '${name}'", 1),
        ("echo ${name", 1),
        ("echo $${HOME}", 0),
        ("echo $${HOME} ${name}", 1),
        ("echo $HOME $(date)", 0),
        (["echo", "${name}"], 0),
        (None, 0),
    ],
)
def test_shell_text_takes_no_references(command: Any, faults: int) -> None:
    found = RunKind.check({"command": command})
    assert len(found) == faults
    assert all("`env`" in text and "`stdin`" in text and "list" in text for text in found)


def test_code_takes_no_references() -> None:
    assert ScriptKind.verbatim == {"code"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\nresult = (", "'(' was never closed, in its line 2. Correct that line"),
        ("result = [1\n2]", "invalid syntax: Perhaps you forgot a comma?, in its line 1. Correct that line"),
        ("x = '\0'", "`code` "),
        ("result = 1 is 1  # odd, and legal", None),
        ("result = [1, 2]", None),
        (None, None),
    ],
)
def test_code_that_is_not_python_is_a_fault_of_the_file(code: Any, message: str | None) -> None:
    found = ScriptKind.check({"code": code})
    assert len(found) == (message is not None)
    assert all(str(message) in text for text in found)


@pytest.mark.parametrize(
    ("expect", "codes"),
    [
        (200, {200}),
        ("204", {204}),
        ("4xx", set(range(400, 500))),
        ([201, "3XX"], {201, *range(300, 400)}),
        ([], set()),
    ],
)
def test_expected_statuses(expect: Any, codes: set[int]) -> None:
    assert accepted(expect) == codes
