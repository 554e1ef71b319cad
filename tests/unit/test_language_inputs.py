"""Inputs: declared types, texts from a command line, all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kurt.engine.language.inputs import bind_inputs, parse_text
from kurt.engine.language.schema import InputSpec, WorkflowDefinition
from kurt.errors import InputError
from tests.support.definitions import definition, faults_in


def declaring(**inputs: Any) -> WorkflowDefinition:
    """A definition with these inputs."""
    step = {"name": "a", "type": "cli", "spec": {"command": "x"}}
    return WorkflowDefinition.model_validate({"name": "pages", "inputs": inputs, "steps": [step]})


def bound(spec: Any, value: Any) -> Any:
    """What a value becomes for an input of this declaration."""
    return bind_inputs(declaring(x=spec), {"x": value})["x"]


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"type": "string"}, "5", "5"),
        ({"type": "str"}, "", ""),
        ({"type": "int"}, 5, 5),
        ({"type": "int"}, 5.0, 5),
        ({"type": "float"}, 5, 5),
        ({"type": "number"}, 1.5, 1.5),
        ({"type": "bool"}, False, False),
        ({"type": "list"}, [1, "a"], [1, "a"]),
        ({"type": "list", "items": "int"}, [1, 2.0], [1, 2]),
        ({"type": "list", "items": {"type": "list", "items": "string"}}, [["a"]], [["a"]]),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
        ({"type": "dict"}, {}, {}),
        ({"type": "any"}, None, None),
        ({"type": "date"}, "2026-11-21", "2026-11-21"),
        ({"type": "path"}, "a/b.txt", "a/b.txt"),
        ({"enum": ["a", 1]}, 1, 1),
        ({"type": "int", "min": 1, "max": 5}, 5, 5),
        ({"type": "string", "min": 1, "max": 3}, "abc", "abc"),
        ({"type": "list", "max": 2}, [1, 2], [1, 2]),
        ({"type": "string", "pattern": "^https?://"}, "http://x", "http://x"),
        ({"type": "string"}, None, None),
        ({"type": "int", "default": 3}, None, 3),
    ],
)
def test_values_that_fit(spec: Any, value: Any, expected: Any) -> None:
    found = bound(spec, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        ({"type": "string"}, 5, "`x` must be a text, not 5"),
        ({"type": "int"}, "5", "`x` must be a whole number, not the text '5'"),
        ({"type": "int"}, 5.5, "`x` must be a whole number, not 5.5"),
        ({"type": "int"}, True, "`x` must be a whole number, not true"),
        ({"type": "float"}, False, "`x` must be a number, not false"),
        ({"type": "bool"}, 1, "`x` must be true or false, not 1"),
        ({"type": "list"}, {"a": 1}, "`x` must be a list, not a mapping"),
        ({"type": "object"}, [], "`x` must be a mapping, not a list"),
        ({"type": "date"}, "2026-13-01", "`x` must be a date such as 2026-11-21"),
        ({"type": "list", "items": "int"}, [1, "a"], "`x[1]` must be a whole number"),
        ({"enum": ["a", "b"]}, "c", "`x` must be one of `a`, `b`, not 'c'"),
        ({"type": "int", "min": 1}, 0, "`x` must be at least 1, not 0"),
        ({"type": "float", "max": 1.5}, 2, "`x` must be at most 1.5, not 2"),
        ({"type": "string", "min": 2}, "a", "`x` must have at least 2 characters, not 1"),
        ({"type": "list", "max": 1}, [1, 2], "`x` must have at most 1 items, not 2"),
        ({"type": "string", "pattern": "^a$"}, "b", "`x` must match the pattern '^a$'"),
        ({"type": "string", "required": True}, None, "`x` must be a text, not null"),
    ],
)
def test_values_that_do_not_fit(spec: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        bound(spec, value)
    assert message in caught.value.message
    assert caught.value.hint == "the inputs of 'pages' are `x`"
    assert caught.value.exit_code == 2


def test_all_faults_at_once() -> None:
    with pytest.raises(InputError, match="4 inputs are wrong") as caught:
        bind_inputs(
            declaring(urls={"type": "list", "required": True}, limit={"type": "int"}, mode={"enum": ["a"]}),
            {"limit": "x", "mode": "b", "url": []},
        )
    assert caught.value.causes == (
        "the input `urls` is missing",
        "`limit` must be a whole number, not the text 'x'",
        "`mode` must be one of `a`, not 'b'",
        "there is no input `url`; did you mean `urls`?",
    )


@pytest.mark.parametrize(
    ("spec", "texts", "expected"),
    [
        ({"type": "string"}, ["x=5"], "5"),
        ({"type": "string"}, ["x="], ""),
        ({"type": "string"}, ["x=a=b: [c"], "a=b: [c"),
        ({"type": "path"}, ["x=~/a"], "~/a"),
        ({"type": "date"}, ["x=2026-11-21"], "2026-11-21"),
        ({"type": "int"}, ["x=5"], 5),
        ({"type": "float"}, ["x=1e3"], 1000.0),
        ({"type": "bool"}, ["x=true"], True),
        ({"type": "any"}, ["x=no"], "no"),
        ({"type": "any"}, ["x='5'"], "5"),
        ({"type": "any"}, ["x=[1, a, {b: c}]"], [1, "a", {"b": "c"}]),
        ({"type": "any"}, ["x="], None),
        ({"type": "any"}, ["x=http://a: b"], "http://a: b"),
        ({"type": "object"}, ['x={"a": "\\ud83d\\ude00"}'], {"a": "😀"}),
        ({"type": "list"}, ["x=[1, 2]"], [1, 2]),
        ({"type": "list"}, ["x=1"], [1]),
        ({"type": "list", "items": "string"}, ["x=1", "x=a,b"], ["1", "a,b"]),
        ({"type": "list", "items": "int"}, ["x=1", "x=[2, 3]"], [1, 2, 3]),
    ],
)
def test_texts(spec: Any, texts: list[str], expected: Any) -> None:
    found = bind_inputs(declaring(x=spec), {"x": "replaced"}, texts=texts)["x"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["x"], "'x' is not `name=value`"),
        (["=5"], "'=5' is not `name=value`"),
        (["x=1", "x=2"], "`x`: it is given twice"),
        (["x=[1"], "`x`: '[1' is not valid YAML"),
        (["x={a: 1, a: 2}"], "`x`: the key `a` is here twice"),
        (["x=.inf"], "`x`: '.inf' is not a number of JSON"),
        (["x=[NaN]"], None),
        (["y=1"], "there is no input `y`"),
    ],
)
def test_texts_that_are_refused(texts: list[str], message: str | None) -> None:
    if message is None:
        assert bind_inputs(declaring(x={}), texts=texts) == {"x": ["NaN"]}
        return
    with pytest.raises(InputError) as caught:
        bind_inputs(declaring(x={}), texts=texts)
    assert message in caught.value.message


def test_defaults_and_what_is_not_given() -> None:
    inputs = declaring(a={"default": [1]}, b={"type": "int"}, c={"required": True, "default": None})
    assert bind_inputs(inputs) == {"a": [1], "b": None, "c": None}


def test_no_inputs_are_declared() -> None:
    with pytest.raises(InputError, match="no input `x`") as caught:
        bind_inputs(declaring(), {"x": 1})
    assert caught.value.hint == "it declares no inputs"


def test_a_pattern_cannot_be_made_to_hang() -> None:
    spec = {"type": "string", "pattern": "(a|a)*(a|a)*$b"}
    with pytest.raises(InputError, match=r"must match|too long"):
        bound(spec, "a" * 100_000)


def test_shorthand(tmp_path: Path) -> None:
    text = """\
        inputs: {a: 10, b: 1.5, c: true, d: text, e: [1], f: null}
        steps: [{wait: {for: 1s}}]
        """
    specs = definition(tmp_path, text).inputs
    assert {name: (spec.type, spec.default) for name, spec in specs.items()} == {
        "a": ("int", 10),
        "b": ("float", 1.5),
        "c": ("bool", True),
        "d": ("string", "text"),
        "e": ("list", [1]),
        "f": ("any", None),
    }


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{type: int, default: x}", "the default of `a` must be a whole number"),
        ("{type: string, default: '${b}'}", "cannot hold references"),
        ("{type: string, pattern: '('}", "`)` is missing"),
        ("{type: int, items: string}", "`items` has no meaning"),
        ("{type: int, min: 5, max: 1}", "`min` is greater"),
        ("{enum: []}", "at least 1 item"),
        ("{default: c, enum: [a, b]}", "must be one of"),
    ],
)
def test_declarations_that_make_no_sense(tmp_path: Path, spec: str, message: str) -> None:
    (fault,) = faults_in(tmp_path, f"inputs:\n  a: {spec}\nsteps: [{{wait: {{for: 1s}}}}]\n")
    assert message in fault.message
    assert (fault.line, bool(fault.hint)) == (2, True)


def test_parse_text_without_a_declaration() -> None:
    assert [parse_text("5"), parse_text("x"), parse_text("5", InputSpec(type="string"))] == [5, "x", "5"]
