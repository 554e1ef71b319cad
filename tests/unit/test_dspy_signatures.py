"""Signatures of DSPy in workflow files: reading them, and what is found wrong with a step before anything begins."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from kurt.engine.kinds import Finding
from kurt.engine.signatures.annotations import AnnotationError, parse_annotation
from kurt.engine.signatures.checks import findings
from kurt.engine.signatures.shapes import ShapeError, shape_of_mapping, shape_of_text
from kurt.engine.signatures.sources import SourceError, read_module

SIGNATURES = '''
import dspy
from dspy import InputField as In, OutputField
from elsewhere import Imported

class Cluster: ...

class Base(dspy.Signature):
    """Base."""
    text: str = dspy.InputField()
    note: str | None = dspy.InputField(desc="may be missing")
    limit: int = dspy.InputField(default=3)
    mood: str = dspy.OutputField()

class Derived(Base):
    more: str = dspy.InputField()
    again = OutputField()

class Other(Imported):
    x: str = dspy.InputField()

class Plain:
    pass
'''


class Own:
    """A class of the project, in these tests."""


def own(name: str) -> Any:
    return {"Own": Own}[name]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("str", str),
        (" string ", str),
        ("number", float),
        ("integer", int),
        ("boolean", bool),
        ("object", dict),
        ("any", Any),
        ("list", list),
        ("list[str]", list[str]),
        ("List[int]", list[int]),
        ("dict[str, list[float]]", dict[str, list[float]]),
        ("tuple[int, str]", tuple[int, str]),
        ('Literal["a", 1, -2, true, None]'.replace("true", "True"), Literal["a", 1, -2, True, None]),
        ("str | None", Optional[str]),  # noqa: UP045 - what is read
        ("Optional[int]", Optional[int]),  # noqa: UP045 - as above
        ("Union[int, str, None]", Union[int, str, None]),  # noqa: UP007 - as above
        ("date", datetime.date),
        ("Own", Own),
        ("list['Own']", list[Own]),
    ],
)
def test_types(text: str, meaning: Any) -> None:
    assert parse_annotation(text, own) == meaning


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("strr", "there is no type 'strr'", "did you mean `str`?"),
        ("Owm", "there is no type 'Owm'", "did you mean `Own`?"),
        ("Quite", "there is no type 'Quite'", "add a class `Quite` to signatures.py"),
        ("list[str", "'list[str' is no type", "write one such as"),
        ("dict[str]", "`dict[...]` takes 2 types, not 1", "`dict[str, str]`"),
        ("list[int, str]", "`list[...]` takes 1 type, not 2", "`list[str]`"),
        ("int[str]", "the type 'int' takes nothing in brackets", "write `int`"),
        ("Literal[int]", "`Literal[...]` holds texts", 'Literal["low", "high"]'),
        ("__import__('os').system('x')", "is no type", "write one such as"),
        ("os.PathLike", "`os.PathLike` is no type", "write one such as"),
        ("antigravity", "there is no type 'antigravity'", "signatures.py"),
        ("lambda: 1", "is no type", "write one such as"),
        ("[" * 5000, "is too long", "signatures.py"),
        ("[" * 900, "is no type", "write one such as"),
        ("", "'' is no type", "write one such as"),
    ],
)
def test_what_is_no_type(text: str, message: str, hint: str) -> None:
    with pytest.raises(AnnotationError) as error:
        parse_annotation(text, own, ["Own"])
    assert message in str(error.value)
    assert hint in error.value.hint


def test_a_type_never_imports_a_module() -> None:
    before = set(sys.modules)
    with pytest.raises(AnnotationError):
        parse_annotation("this", own)
    assert "this" not in set(sys.modules) - before


def test_a_signature_in_one_line() -> None:
    shape = shape_of_text("question, context: list[str] -> answer, score: float", own)
    assert {name: field.type for name, field in shape.inputs.items()} == {
        "question": str,
        "context": list[str],
    }
    assert {name: field.type for name, field in shape.outputs.items()} == {"answer": str, "score": float}
    assert shape.prompt is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question", "has 0"),
        ("a -> b -> c", "has 2"),
        ("-> answer", "at least one of `inputs`"),
        ("question ->", "at least one of `outputs`"),
        ("a b -> c", "no inputs of a signature"),
        ("a=1 -> c", "no inputs of a signature"),
        ("*a -> c", "no inputs of a signature"),
        ("a): pass\nimport os\ndef g(b -> c", "no inputs of a signature"),
        ("a -> a", "both an input and an output"),
        ("a -> lm", "DSPy keeps the name 'lm' for itself"),
        ("instructions -> a", "DSPy keeps the name 'instructions' for itself"),
        ("a -> model_dump", "DSPy keeps the name 'model_dump' for itself"),
        ("a -> _b", "cannot be the name of a field"),
        ("a: intt -> b", "there is no type 'intt'"),
        (f"{'a' * 5000} -> b", "too long for one line"),
    ],
)
def test_what_is_no_signature_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ShapeError) as error:
        shape_of_text(text, own)
    assert message in str(error.value)
    assert error.value.hint


def test_a_fault_of_a_mapping_names_the_field() -> None:
    with pytest.raises(ShapeError) as error:
        shape_of_mapping({"a": "str"}, {"b": "list[Unknown]"}, None, own)
    assert error.value.part == "outputs.b"
    with pytest.raises(ShapeError) as error:
        shape_of_mapping({"not-a-name": "str"}, {"b": "str"}, None, own)
    assert error.value.part == "inputs.not-a-name"


def test_a_file_is_read_and_not_run(tmp_path: Path) -> None:
    file = tmp_path / "signatures.py"
    file.write_text(SIGNATURES + "\nraise SystemExit('this file was run')\n")
    source = read_module(file)
    base, derived = source.classes["Base"], source.classes["Derived"]
    assert {name: field.required for name, field in base.inputs.items()} == {
        "text": True,
        "note": False,
        "limit": False,
    }
    assert list(derived.inputs) == ["text", "note", "limit", "more"]
    assert list(derived.outputs) == ["mood", "again"]
    assert base.is_signature is derived.is_signature is True
    assert source.classes["Plain"].is_signature is False
    assert source.classes["Other"].is_signature is None
    assert source.knows("Imported")
    assert not source.knows("Unknown")


@pytest.mark.parametrize("content", [b"class (", b"\0", "x = '\xe9'".encode("latin-1")])
def test_a_file_that_is_not_python(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signatures.py"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"signatures\.py"):
        read_module(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "signatures.py").write_text(SIGNATURES)
    (tmp_path / "research.py").write_text("def search(query): ...\nasync def read(url): ...\n")
    (tmp_path / "other.py").write_text("def search(query): ...\ndef finish(): ...\n")
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "predict.json").write_text(json.dumps({"demos": [], "signature": {"fields": []}, "lm": None}))
    (tmp_path / "thought.json").write_text(
        json.dumps({"predict": {"demos": [], "signature": {"fields": []}}})
    )
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "text.json").write_text("no JSON")
    return tmp_path


def told(root: Path, **spec: Any) -> list[Finding]:
    return list(findings({"signature": "question -> answer", "inputs": {"question": "?"}, **spec}, root))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"signature": "Base", "inputs": {"text": "t"}},
        {"signature": "signatures:Derived", "inputs": {"text": "t", "more": "${x}", "limit": 4}},
        {"signature": "Other", "inputs": {"anything": 1}},
        {"signature": "json:JSONDecoder", "inputs": {}},
        {
            "signature": {"inputs": {"a": None}, "outputs": {"b": "list[Cluster]"}, "prompt": "x"},
            "inputs": {"a": 1},
        },
        {"module": "react", "tools": ["research:search", "research:read", "json:loads"]},
        {"program": "predict.json"},
        {"program": "thought.json", "module": "chain_of_thought"},
        {"inputs": "${given}"},
        {"signature": None},
        {"signature": {"inputs": 3}},
        {"module": 7, "tools": 3, "program": 4},
    ],
)
def test_a_step_without_faults(root: Path, spec: dict[str, Any]) -> None:
    assert told(root, **spec) == []


@pytest.mark.parametrize(
    ("spec", "place", "message", "hint"),
    [
        ({"signature": "Bass"}, ("signature",), "signatures.py has no class 'Bass'", "did you mean `Base`?"),
        ({"signature": "Plain"}, ("signature",), "is no signature", "class Plain(dspy.Signature):"),
        ({"signature": "research:Base"}, ("signature",), "research.py has no class 'Base'", "add the class"),
        ({"signature": "nowhere:Base"}, ("signature",), "there is no module 'nowhere'", "nowhere.py"),
        ({"signature": "broken:Base"}, ("signature",), "broken.py is not Python", "correct that line"),
        ({"signature": "what is it"}, ("signature",), "neither a class nor a signature", "signatures.py"),
        ({"signature": "${x}"}, ("signature",), "holds no references", "`inputs`"),
        ({"signature": "question -> answer: strr"}, ("signature",), "no type 'strr'", "did you mean `str`?"),
        (
            {"signature": {"inputs": {"question": "str"}, "outputs": {"a": "list[Clustr]"}}},
            ("signature", "outputs", "a"),
            "no type 'Clustr'",
            "did you mean `Cluster`?",
        ),
        (
            {"signature": {"inputs": {"question": {"type": "${t}"}}, "outputs": {"a": "str"}}},
            ("signature", "inputs", "question"),
            "holds no references",
            "write the type itself",
        ),
        (
            {"inputs": {"question": 1, "kwestion": 2}},
            ("inputs", "kwestion"),
            "no input `kwestion`",
            "`question`",
        ),
        ({"inputs": {"kwestion": 2}}, ("inputs", "kwestion"), "no input `kwestion`", "`question`"),
        ({"inputs": {}}, ("inputs",), "the input `question` of the signature is missing", "question: ..."),
        (
            {"signature": "Derived", "inputs": {}},
            ("inputs",),
            "the inputs `text`, `more` of Derived are missing",
            "text: ..., more: ...",
        ),
        (
            {"signature": "question -> reasoning", "module": "chain_of_thought"},
            ("signature",),
            "is what `module: chain_of_thought` adds",
            "another name",
        ),
        ({"tools": ["research:search"]}, ("tools",), "`module: predict` uses no tools", "module: react"),
        ({"module": "react"}, ("module",), "needs tools", "tools: [module:function]"),
        (
            {"module": "react", "tools": ["search"]},
            ("tools", 0),
            "'search' is no function",
            "module:function",
        ),
        (
            {"module": "react", "tools": ["research:read", "research:serch"]},
            ("tools", 1),
            "research.py has no function 'serch'",
            "did you mean `search`?",
        ),
        ({"module": "react", "tools": "${x}"}, ("tools",), "hold no references", "themselves"),
        ({"module": "react", "tools": ["research:${x}"]}, ("tools", 0), "holds no references", "itself"),
        (
            {"module": "react", "tools": ["research:search", "other:search"]},
            ("tools", 1),
            "two tools are called `search`",
            "another name",
        ),
        ({"module": "react", "tools": ["other:finish"]}, ("tools", 0), "ends its turns", "another name"),
        ({"module": "react", "tools": ["broken:x"]}, ("tools", 0), "broken.py is not Python", "correct"),
        ({"module": "react", "tools": ["nowhere:x"]}, ("tools", 0), "no module 'nowhere'", "nowhere.py"),
        ({"program": "missing.json"}, ("program",), "cannot be read: No such file", "project's root"),
        ({"program": "program.pkl"}, ("program",), "would run code", 'save("program.json")'),
        ({"program": "list.json"}, ("program",), "no program that a step can use", "save"),
        ({"program": "text.json"}, ("program",), "is not JSON", "save"),
        ({"program": "thought.json"}, ("program",), "`chain_of_thought`", "module: chain_of_thought"),
    ],
)
def test_the_faults_of_a_step(
    root: Path, spec: dict[str, Any], place: tuple[Any, ...], message: str, hint: str
) -> None:
    (found,) = told(root, **spec)
    assert found.place == place
    assert message in found.message
    assert hint in found.hint


def test_a_class_without_a_file_of_signatures(tmp_path: Path) -> None:
    (found,) = told(tmp_path, signature="AnalyzeQuestions")
    assert found.message == "there is no signatures.py with the class 'AnalyzeQuestions'"
    assert "signatures.py at the project's root" in found.hint


def test_a_file_of_signatures_that_is_no_python_matters_once_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "signatures.py").write_text("class (")
    assert told(tmp_path) == []
    for signature in ("question -> answer: Cluster", "Cluster"):
        (found,) = told(tmp_path, signature=signature)
        assert "signatures.py is not Python" in found.message
