"""The kinds that call models, without a model: forms of answers, keys of kept values, counts of rows, plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kurt.engine import asking
from kurt.engine.interpreter.rows_told import Consumed, RowCounts, failed, left_out, succeeded
from kurt.engine.kept_values import Owner
from kurt.engine.language.parser import load_workflow
from kurt.engine.registry import kinds
from kurt.engine.steps.llm import LlmKind
from kurt.engine.views.graph import draw
from kurt.engine.views.plan import make_plan
from kurt.errors import StepError
from kurt.llm.calls import Answer

OBJECT = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def test_the_form_of_an_answer(tmp_path: Path) -> None:
    assert asking.form_here(None, tmp_path) == asking.Form()
    form = asking.form_here(OBJECT, tmp_path)
    assert (form.schema, form.fields, form.is_wrapped) == (OBJECT, ["title"], False)
    assert form.value(Answer({"title": "a"}, "", ())) == {"title": "a"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"enum": ["good", "bad"]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}},
    ],
)
def test_a_form_that_is_no_object_is_a_field_of_one(tmp_path: Path, schema: dict[str, Any]) -> None:
    form = asking.form_here(schema, tmp_path)
    assert form.schema is not None
    assert (form.schema["type"], form.schema["required"], form.fields) == ("object", ["value"], None)
    assert form.value(Answer({"value": 5}, "", ())) == 5
    assert form.schema.get("$defs") == schema.get("$defs")


def test_a_class_of_the_project_is_the_form(tmp_path: Path) -> None:
    text = "from pydantic import BaseModel\n\nclass A(BaseModel):\n    n: int\n\nclass B:\n    pass\n"
    (tmp_path / "forms_of_answers.py").write_text(text)
    form = asking.form_here("forms_of_answers:A", tmp_path)
    assert form.fields == ["n"]
    assert form.model is not None
    assert form.value(Answer(form.model(n=3), "", ())) == {"n": 3}
    for wrong in ("forms_of_answers:B", "forms_of_answers:C", "no_such_module:A"):
        with pytest.raises(StepError) as caught:
            asking.form_here(wrong, tmp_path)
        assert caught.value.type == "TargetNotFound"


def test_a_class_is_looked_for_without_running_the_project(tmp_path: Path) -> None:
    (tmp_path / "forms.py").write_text("raise SystemExit\nclass Summary: pass\n")
    assert LlmKind.check_project({"schema": "forms:Summary"}, tmp_path) == []
    (missing,) = LlmKind.check_project({"schema": "forms:Sumary"}, tmp_path)
    assert (missing.message, missing.place) == ("forms.py has no class 'Sumary'", ("schema",))
    assert "Summary" in missing.hint
    (missing,) = LlmKind.check_project({"schema": "nothing_here:A"}, tmp_path)
    assert "nothing_here.py" in missing.hint
    assert LlmKind.check_project({"schema": OBJECT}, tmp_path) == []


def test_a_key_is_a_digest_of_all_that_decides() -> None:
    owner = Owner("w/u", "flow", "ask")
    key = owner.key({"kind": "llm", "inputs": {"prompt": "a-secret"}})
    assert len(key) == 64
    assert key == owner.key({"inputs": {"prompt": "a-secret"}, "kind": "llm"})
    others = [
        owner.key({"kind": "llm", "inputs": {"prompt": "another"}}),
        owner.key({"kind": "embed", "inputs": {"prompt": "a-secret"}}),
        *(
            Owner(*whose).key({"kind": "llm", "inputs": {"prompt": "a-secret"}})
            for whose in (("w2/u", "flow", "ask"), ("w/u", "flow2", "ask"), ("w/u", "flow", "ask2"))
        ),
    ]
    assert len({key, *others}) == 6


def test_counts_of_rows() -> None:
    counts = RowCounts(4)
    counts.add(succeeded(Consumed(1, attempts=2, tokens=10, cost=0.25), 0.0), 1, replayed=False)
    counts.add(succeeded(Consumed(1, attempts=0, cached=1), 0.0), 1, replayed=True)
    counts.add(failed({"type": "Refused", "message": "no"}, (), 0.0), 1, replayed=False)
    counts.add(left_out("spent"), 1, replayed=False)
    assert counts.summary() == {"rows": 4, "failed": 1, "skipped": 1, "cached": 1, "calls": 2}
    assert counts.said() == "4 rows, 1 failed, 1 skipped, 1 cached, 2 model calls, 10 tokens, $0.25"
    assert counts.note((0.5, 1000)).endswith("10 tokens, $0.25, $0.5 and 1,000 tokens of the budget left")
    assert not counts.are_all_cached


FILE = """
name: flow
budget: {usd: 5}
inputs: {pages: [a, b]}
steps:
  - {name: ask, type: llm, items: "${pages}", prompt: "Tell of ${item}", concurrency: 7, cache: 7d, budget: {tokens: 1000}}
  - {name: vectors, type: embed, items: "${steps.ask}", text: "${item.answer}"}
"""


def test_plans_and_drawings_tell_of_rows_budgets_and_caches(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FILE)
    known = kinds(None)
    definition = load_workflow(tmp_path / "flow.yaml", root=tmp_path, kinds=known).definition
    plan = make_plan(definition, {"pages": ["a", "b"]}, kinds=known)
    ask, vectors = plan.to_json()["steps"]
    assert (ask["rows"], ask["cache"], ask["budget"]) == (
        {"items": 2, "concurrency": 7},
        {"ttl": 604800.0},
        {"tokens": 1000, "on_spent": "fail"},
    )
    assert ask["fields"]["prompt"] == "Tell of ${item}"
    assert vectors["rows"] == {"items": None, "concurrency": 3}
    lines = plan.lines()
    assert "  calls of models for at most $5" in lines
    assert (
        "1. ask: llm over 2 rows, at most 7 calls at once, its value is kept for 7d, for at most 1,000 tokens"
        in lines
    )
    assert "llm over $#123;pages#125;" in draw(definition)
