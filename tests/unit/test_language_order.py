"""What waits for what: `needs`, circles, fallbacks, and variables that two steps would set at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.language.order import Order, cycle, dependencies
from tests.support.definitions import faults_in


@dataclass
class Named:
    """A step as far as its order goes."""

    name: str
    needs: list[str] | None = None
    fallback: str | None = None


def test_list_order_by_default() -> None:
    steps = [Named("a"), Named("b", []), Named("c"), Named("d", ["b"])]
    assert dependencies(steps) == {"a": [], "b": [], "c": ["a", "b"], "d": ["b"]}
    order = Order(steps)
    assert order.waits_for("c", "a")
    assert order.waits_for("c", "b")
    assert not order.waits_for("d", "a")
    assert not order.is_sequential


def test_a_fallback_has_no_place_of_its_own() -> None:
    steps = [Named("a", fallback="b"), Named("b"), Named("c")]
    assert dependencies(steps) == {"a": [], "c": ["a"]}
    assert Order(steps).is_sequential
    assert Order(steps).substitutes == {"b"}
    assert not Order(steps).waits_for("c", "b")


def test_branches_wait_for_nothing() -> None:
    assert dependencies([Named("a"), Named("b")], independent=True) == {"a": [], "b": []}
    assert not Order([Named("a"), Named("b")], independent=True).waits_for("b", "a")


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
        ({"a": ["b"], "b": []}, None),
        ({"a": ["nope"]}, None),
    ],
)
def test_circles(needs: dict[str, list[str]], expected: list[str] | None) -> None:
    assert cycle(needs) == expected


graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.none() | st.lists(st.integers(0, size - 1).map(str), max_size=3), min_size=size, max_size=size
    )
)


@given(graphs)
def test_the_order_agrees_with_following_every_edge(needs: list[list[str] | None]) -> None:
    steps = [Named(str(index), own) for index, own in enumerate(needs)]
    order = Order(steps)
    edges = dependencies(steps)

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        while more := {other for start in (name, *found) for other in edges[start]} - found:
            found |= more
        return found

    circular = any(name in reached(name) for name in edges)
    assert (order.circle is not None) == circular
    if not circular:
        assert all(order.waits_for(a, b) == (b in reached(a)) for a in edges for b in edges)


@pytest.mark.parametrize(
    ("steps", "message", "line"),
    [
        (
            "[{name: a, wait: {for: 1s}}, {name: a, wait: {for: 1s}}]",
            "two steps of this list are named 'a'",
            1,
        ),
        (
            "[{wait: {for: 1s}}, {name: step1, wait: {for: 1s}}]",
            "two steps of this list are named 'step1'",
            1,
        ),
        ("[{name: a, needs: [b], wait: {for: 1s}}, {name: b, wait: {for: 1s}}]", "a -> b -> a", 1),
        ("[{name: a, needs: [a], wait: {for: 1s}}]", "a -> a", 1),
        ("[{name: a, needs: nope, wait: {for: 1s}}]", "no step 'nope' in this list to need", 1),
        (
            "[{name: a, wait: {for: 1s}, on_error: {fallback: b}}]",
            "no step 'b' in this list to fall back to",
            1,
        ),
        ("[{name: a, wait: {for: 1s}, on_error: {fallback: a}}]", "leads back to 'a'", 1),
        (
            (
                "[{name: a, wait: {for: 1s}, on_error: {fallback: b}}, {name: b, wait: {for: 1s}},"
                " {name: c, needs: [b], wait: {for: 1s}}]"
            ),
            "'b' runs only instead of another step",
            1,
        ),
        (
            "[{name: a, needs: [], wait: {for: 1s}, output: o}, {name: b, needs: [], wait: {for: 1s}, output: o}]",
            "may run at the same time and both set `o`",
            1,
        ),
        ("[{parallel: [{wait: {for: 1s}, output: o}, {wait: {for: 1s}, output: o}]}]", "both set `o`", 1),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, steps: str, message: str, line: int) -> None:
    (fault,) = faults_in(tmp_path, f"steps: {steps}\n")
    assert message in fault.message
    assert (fault.line, bool(fault.hint)) == (line, True)


@pytest.mark.parametrize(
    "steps",
    [
        "[{name: a, wait: {for: 1s}, output: o}, {name: b, wait: {for: 1s}, output: o}]",
        "[{name: a, needs: [], wait: {for: 1s}, output: o}, {name: b, needs: [a], wait: {for: 1s}, output: o}]",
        "[{switch: {on: '1', cases: {a: [{name: x, wait: {for: 1s}}], b: [{name: x, wait: {for: 1s}}]}}}]",
        "[{name: a, wait: {for: 1s}}, {parallel: [{name: a, wait: {for: 1s}}]}]",
    ],
)
def test_lists_that_can_be(tmp_path: Path, steps: str) -> None:
    assert faults_in(tmp_path, f"steps: {steps}\n") == []
