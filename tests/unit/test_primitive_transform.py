"""`transform`: each operation, and their order."""

from __future__ import annotations

from typing import Any

import pytest

from kurt.app.primitives.transform import Operations, transform
from kurt.errors import DataError, ExpressionError, UsageError

ROWS: list[dict[str, Any]] = [
    {"name": "a", "n": 3, "tag": {"x": "red"}},
    {"name": "b", "n": 1, "tag": {"x": "blue"}},
    {"name": "c", "n": 2, "tag": {"x": "red"}},
]


def names(**operations: Any) -> list[str]:
    return [row["name"] for row in transform(ROWS, Operations(**operations))]


def test_without_operations_the_data_comes_back() -> None:
    assert transform({"a": 1}, Operations()) == {"a": 1}


@pytest.mark.parametrize(
    ("path", "value"),
    [("a", [{"b c": 1}]), ("a[0]", {"b c": 1}), ('a[0]["b c"]', 1), ("x ?? 7", 7)],
)
def test_select(path: str, value: Any) -> None:
    assert transform({"a": [{"b c": 1}]}, Operations(select=path)) == value


def test_select_in_a_list() -> None:
    assert transform(ROWS, Operations(select="[1].tag.x")) == "blue"


def test_select_of_what_is_not_there_names_what_is() -> None:
    with pytest.raises(ExpressionError, match="no key 'itmes'") as caught:
        transform({"items": []}, Operations(select="itmes"))
    assert "items" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("n > 1", ["a", "c"]),
        ("item.tag.x == 'red' and index > 0", ["c"]),
        ("n % 2", ["a", "b"]),
        ("false", []),
        ("default(missing, 1)", ["a", "b", "c"]),
    ],
)
def test_filter(text: str, kept: list[str]) -> None:
    assert names(filter=text) == kept


def test_map() -> None:
    assert transform(ROWS, Operations(map="{'is': upper(name), 'at': index}"))[1] == {"is": "B", "at": 1}
    assert transform([1, 2], Operations(map="item * 2 + index")) == [2, 5]


def test_a_key_never_hides_the_element_or_its_place() -> None:
    assert transform([{"item": 1, "index": 2}], Operations(map="[index, item['index']]")) == [[0, 2]]


@pytest.mark.parametrize("operation", ["filter", "map"])
def test_an_expression_that_fails_says_for_which_element(operation: str) -> None:
    with pytest.raises(ExpressionError, match=rf"--{operation} fails for element 1: .*unknown name `n`"):
        transform([{"n": 1}, {}], Operations(**{operation: "n > 0"}))


def test_unique() -> None:
    assert names(unique="tag.x") == ["a", "b"]
    assert transform([1, "1", {"a": 1, "b": 2}, {"b": 2, "a": 1}, 1], Operations(unique="")) == [
        1,
        "1",
        {"a": 1, "b": 2},
    ]


def test_sort_by_one_and_by_several_paths() -> None:
    assert names(sort=("n",)) == ["b", "c", "a"]
    assert names(sort=("-n",)) == ["a", "c", "b"]
    assert names(sort=("-tag.x", "n")) == ["c", "a", "b"]


@pytest.mark.parametrize("path", ["k", "-k"])
def test_what_has_no_value_comes_last_and_equals_keep_their_order(path: str) -> None:
    rows = [{"i": 0}, {"i": 1, "k": 1}, {"i": 2, "k": None}, {"i": 3, "k": 1}]
    assert [row["i"] for row in transform(rows, Operations(sort=(path,)))] == [1, 3, 0, 2]


def test_values_of_different_types_have_an_order() -> None:
    values = [[1], {"a": 1}, "text", 2, 1.5, True, False]
    rows = [{"k": value} for value in values]
    assert [row["k"] for row in transform(rows, Operations(sort=("k",)))] == [
        False,
        True,
        1.5,
        2,
        "text",
        [1],
        {"a": 1},
    ]


def test_group_keeps_the_order_of_first_appearance() -> None:
    assert transform(ROWS, Operations(group="tag.x")) == [
        {"key": "red", "count": 2, "items": [ROWS[0], ROWS[2]]},
        {"key": "blue", "count": 1, "items": [ROWS[1]]},
    ]


def test_limit() -> None:
    assert names(limit=2) == ["a", "b"]
    assert names(limit=0) == []
    assert names(limit=9) == ["a", "b", "c"]
    with pytest.raises(UsageError, match="negative"):
        names(limit=-1)


def test_the_order_of_operations_is_fixed() -> None:
    everything = Operations(
        select="rows",
        filter="n > 0",
        map="{'k': n % 3, 'n': n}",
        unique="n",
        sort=("-k",),
        group="k",
        limit=2,
    )
    rows = [{"n": n} for n in (0, 5, 3, 4, 5, 2)]
    assert transform({"rows": rows}, everything) == [
        {"key": 2, "count": 2, "items": [{"k": 2, "n": 5}, {"k": 2, "n": 2}]},
        {"key": 1, "count": 1, "items": [{"k": 1, "n": 4}]},
    ]


@pytest.mark.parametrize(
    "operation",
    [{"filter": "x"}, {"map": "x"}, {"unique": ""}, {"sort": ("a",)}, {"group": "a"}, {"limit": 1}],
)
def test_operations_on_elements_need_a_list(operation: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"--{next(iter(operation))} needs a list, the data is a mapping"):
        transform({"a": 1}, Operations(**operation))


@pytest.mark.parametrize("operation", [{"sort": ("nme",)}, {"group": "nme"}, {"unique": "nme"}])
def test_a_path_that_no_element_has_is_an_error(operation: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no element has a value there") as caught:
        transform(ROWS, Operations(**operation))
    assert "'name'" in str(caught.value.hint)
    assert transform([], Operations(**operation)) == []


@pytest.mark.parametrize("path", ["", "a b", "a} ${b", "a[", "a[-1]", "$(x)"])
@pytest.mark.parametrize("option", ["select", "group"])
def test_what_is_no_path_is_a_usage_error(option: str, path: str) -> None:
    with pytest.raises(UsageError, match=f"--{option}"):
        transform([{"a": 1}], Operations(**{option: path}))


def test_only_select_takes_a_default() -> None:
    with pytest.raises(UsageError, match="no default"):
        names(sort=("n ?? 1",))
