"""DSPy's modules as a step makes them: saved programs, values in and out, and functions as tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from kurt.engine.processes.tools import call_tool, describe_tools
from kurt.engine.signatures import modules
from kurt.engine.signatures.shapes import Shape, ShapeField, shape_of_text
from kurt.errors import StepError
from kurt.llm.adapters.dspy import load_dspy
from kurt.project_code import make_importable

DSPY: Any = load_dspy()
MODULES = ["predict", "chain_of_thought", "react"]


def signature(text: str = "question -> answer") -> Any:
    return modules.signature_of(DSPY, shape_of_text(text, {}.__getitem__))


def make(module: str, text: str = "question -> answer") -> Any:
    async def nothing(**_: Any) -> None: ...

    tool = modules.tool_of(DSPY, {"name": "look", "description": "Look.", "args": {}}, nothing)
    return modules.make_module(DSPY, module, signature(text), tools=[tool])


def predictors(made: Any) -> list[Any]:
    return [predictor for _, predictor in made.named_predictors()]


@pytest.fixture(params=MODULES)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A program with an example and new instructions, saved with a model and an address of its own."""
    program = make(request.param)
    for predictor in predictors(program):
        predictor.signature = predictor.signature.with_instructions("Speak as a sailor.")
        predictor.demos = [DSPY.Example(question="Land?", answer="Ahoy!")]
    program.set_lm(DSPY.LM("openai/other", api_base="http://127.0.0.1:9/v1"))
    file = tmp_path / "program.json"
    program.save(file)
    return request.param, file


def test_a_program_brings_what_was_learned_and_no_model(saved: tuple[str, Path]) -> None:
    module, file = saved
    made = make(module)
    assert modules.load_program(made, module, file, file.name) == "openai/other"
    for predictor in predictors(made):
        assert predictor.signature.instructions == "Speak as a sailor."
        assert [dict(demo) for demo in predictor.demos] == [{"question": "Land?", "answer": "Ahoy!"}]
        assert predictor.lm is None


def test_a_program_of_another_module_or_signature_is_refused(saved: tuple[str, Path]) -> None:
    module, file = saved
    for other in set(MODULES) - {module}:
        with pytest.raises(StepError, match=f"`{module}`") as error:
            modules.load_program(make(other), other, file, file.name)
        assert error.value.hint == f"write `module: {module}`"
    with pytest.raises(StepError, match="another signature"):
        modules.load_program(make(module, "question, context -> answer"), module, file, file.name)


def test_what_a_program_must_not_bring(tmp_path: Path) -> None:
    file = tmp_path / "program.json"
    made = make("predict")
    made.save(file)
    state = json.loads(file.read_text())
    file.write_text(
        json.dumps({**state, "forward": "evil", "config": {"api_base": "http://evil"}, "lm": {"model": 7}})
    )
    modules.load_program(made, "predict", file, file.name)
    assert made.config == {}
    assert callable(made.forward)
    good = state["signature"]
    for damaged in (
        {"signature": 1},
        {"signature": {"fields": 3}},
        {"signature": {**good, "fields": [1, 2]}},
        {"signature": {"fields": good["fields"]}},
        {"demos": ["no mapping"]},
        {"demos": None},
    ):
        file.write_text(json.dumps({**state, **damaged}))
        with pytest.raises(StepError) as error:
            modules.load_program(made, "predict", file, file.name)
        assert error.value.type == "ProgramMismatch"


def test_names_of_fields_that_hide_methods() -> None:
    made = signature("json, schema -> copy: str, items: list[str], values: int")
    prediction = DSPY.Prediction.from_completions(
        [{"copy": "c", "items": ["i"], "values": 3}], signature=made
    )
    assert modules.value_of(prediction, made, "predict") == {"copy": "c", "items": ["i"], "values": 3}


class Row(DSPY.Signature):
    """A class of a project."""

    text: str = DSPY.InputField()
    level: Literal["low", "high"] = DSPY.InputField()
    numbers: list[int] = DSPY.InputField(default=[1])
    note: str | None = DSPY.InputField()
    out: str = DSPY.OutputField()


def test_values_are_made_fit() -> None:
    given = {"text": {"any": "thing"}, "level": "low", "numbers": ["2", 3]}
    assert modules.check_inputs(Row, given) == {"text": {"any": "thing"}, "level": "low", "numbers": [2, 3]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": "low"}, "the signature needs the input 'text'"),
        ({"text": "t", "level": "middle"}, "`inputs.level` does not fit the signature"),
        ({"text": "t", "level": "low", "numbers": [1, "x"]}, "`inputs.numbers.1` does not fit the signature"),
        ({"text": "t", "level": "low", "more": 1}, "the signature has no input 'more'"),
    ],
)
def test_values_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError) as error:
        modules.check_inputs(Row, given)
    assert message in error.value.message
    assert error.value.type == "FieldError"


def test_a_description_reaches_the_model() -> None:
    shape = Shape({"a": ShapeField(str, "the first")}, {"b": ShapeField(int)}, "Do it.")
    made = modules.signature_of(DSPY, shape)
    (system, _) = DSPY.ChatAdapter().format(made, [], {"a": "x"})
    assert "the first" in system["content"]
    assert "Do it." in system["content"]


TOOLS = '''
import pydantic


class Place(pydantic.BaseModel):
    """Where."""

    city: str


def look(place: Place, days: int = 3, *more, **others) -> str:
    """Tell the weather.

    For some days.
    """
    return f"{place.city} {days} {others}"


async def later(word):
    return word


def by_position(a, /): ...
'''


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    (tmp_path / "weather_tools.py").write_text(TOOLS)
    make_importable(str(tmp_path))
    return "weather_tools"


def test_tools_are_described_and_called(tools: str) -> None:
    look, later = describe_tools({"calls": [f"{tools}:look", f"{tools}:later"]})
    assert (look["name"], look["description"]) == ("look", "Tell the weather.\n\nFor some days.")
    assert look["args"]["place"]["properties"] == {"city": {"title": "City", "type": "string"}}
    assert look["args"]["days"] == {"type": "integer", "default": 3}
    assert list(look["args"]) == ["place", "days"]
    assert later["args"] == {"word": {}}
    assert (
        call_tool({"call": f"{tools}:look", "args": {"place": {"city": "Rome"}, "days": "4"}}) == "Rome 4 {}"
    )
    assert call_tool({"call": f"{tools}:later", "args": {"word": "w"}}) == "w"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda name: call_tool({"call": f"{name}:look", "args": {}}), "needs the argument 'place'"),
        (lambda name: call_tool({"call": f"{name}:look", "args": {"x": 1, "place": {}}}), "no argument 'x'"),
        (lambda name: call_tool({"call": f"{name}:look", "args": {"place": 1}}), "'place' does not fit"),
        (lambda name: describe_tools({"calls": [f"{name}:by_position"]}), "by position only"),
        (lambda name: describe_tools({"calls": [f"{name}:absent"]}), "has no 'absent'"),
    ],
)
def test_tools_that_cannot_be_called(tools: str, call: Callable[[str], Any], message: str) -> None:
    with pytest.raises(StepError) as error:
        call(tools)
    assert message in error.value.message
