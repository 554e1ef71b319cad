"""Every line of the tables of docs/workflows/expressions.md is so, and no function is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kurt.engine.expressions.evaluation import evaluate
from kurt.engine.expressions.functions import FUNCTIONS
from kurt.engine.expressions.references import resolve

PAGE = Path(__file__).parents[2] / "docs" / "workflows" / "expressions.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<asked>[^`]+)` \| `(?P<given>[^`]+)` \|$", re.MULTILINE)
ROWS = [(match["asked"], match["given"]) for match in ROW.finditer(TEXT)]
SCOPE: dict[str, Any] = {
    "title": "Tea and coffee",
    "limit": 3,
    "page": {"title": "Tea", "og:title": "All of tea", "tags": ["green", "black"], "words": 120},
    "rows": [{"name": "b", "n": 2}, {"name": "a", "n": 1}],
    "steps": {"my-step": 2},
}
"""The names of the page's own file, which the page runs."""


@pytest.mark.parametrize(("asked", "given"), ROWS)
def test_a_line_of_a_table_is_so(asked: str, given: str) -> None:
    value = resolve(asked, SCOPE) if "${" in asked else evaluate(asked, SCOPE)
    assert json.dumps(value) == json.dumps(json.loads(given))


@pytest.mark.conventions
def test_every_function_is_in_the_table() -> None:
    assert len(ROWS) > 40
    called = {name for asked, _ in ROWS for name in re.findall(r"(\w+)\(", asked)}
    assert called == set(FUNCTIONS)
