"""Any value at any place of a file gives located faults with remedies, and never an error of the checker itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kurt.engine.language.source import read_source
from kurt.engine.views.plan import make_plan
from kurt.errors import DefinitionError
from tests.support.definitions import BUILT_IN, faults_in, loaded
from tests.unit.test_language_definition import RICH

FILE: dict[str, Any] = read_source(RICH).value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


VALUES = [
    *[None, True, 0, -1, 1.5, "", "x", "${", "${nope}", "${mode}", "1 +", "a b", "5m"],
    *[[], [1], [None], [[]], [{}], ["a"], {}, {"a": 1}, {"a": {"b": []}}],
    *["cli", "parallel", "foreach", "switch", "workflow", "wait", "nope"],
    *[
        {"fallback": []},
        {"fallback": {}},
        {"fallback": "step1"},
        {"items": None},
        {"on": None, "cases": None},
    ],
    *[
        {"type": "run"},
        [{"type": "parallel", "steps": None}],
        {"workflow": "flow.yaml"},
        {"for": [], "until": {}},
    ],
]
mutations = st.lists(
    st.tuples(st.sampled_from(list(places(FILE))), st.sampled_from(VALUES)), min_size=1, max_size=3
)


def mutated(changes: list[tuple[tuple[Any, ...], Any]]) -> str:
    """The file with other values at some places, as JSON, which is YAML too."""
    document: Any = deepcopy(FILE)
    for path, value in changes:
        target = document
        for key in path[:-1]:
            target = target[key] if isinstance(target, dict | list) and _has(target, key) else None
        if isinstance(target, dict | list) and (isinstance(target, dict) or _has(target, path[-1])):
            target[path[-1]] = deepcopy(value)
    return json.dumps(document)


def _has(target: Any, key: Any) -> bool:
    return key in target if isinstance(target, dict) else isinstance(key, int) and key < len(target)


@given(mutations)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_faults_are_located_and_have_remedies(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = mutated(changes)
    for fault in faults_in(folder, text):
        assert fault.file == "flow.yaml"
        assert fault.line == 1
        assert fault.column
        assert fault.message
        assert fault.hint
    try:
        workflow = loaded(folder, text)
    except DefinitionError:
        return
    plan = make_plan(workflow.definition, {"urls": ["a"], "mode": "x"}, kinds=BUILT_IN)
    assert json.loads(json.dumps(plan.to_json())) == plan.to_json()
    assert plan.lines()
