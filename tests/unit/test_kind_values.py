"""Results of user code as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.processes.values import encode
from kurt.errors import StepError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@dataclasses.dataclass
class Point:
    x: int
    more: Any = None


class Model(pydantic.BaseModel):
    when: datetime.date
    point: Point


class Custom:
    def to_json(self) -> dict[str, int]:
        return {"custom": 1}


@given(JSON)
def test_json_stays_what_it_is(value: Any) -> None:
    assert json.loads(encode(value)) == value


def test_what_has_an_obvious_json_form_is_taken() -> None:
    value = (Point(1, (2, Custom())), Model(when=datetime.date(2026, 1, 2), point=Point(3)))
    assert json.loads(encode(value)) == [
        {"x": 1, "more": [2, {"custom": 1}]},
        {"when": "2026-01-02", "point": {"x": 3, "more": None}},
    ]


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "result is a object, which"),
        ({1, 2}, "result is a set, which"),
        ({"a": [1, {"b": datetime.date(2026, 1, 2)}]}, "result['a'][1]['b'] is a date, which"),
        ([1.0, float("nan")], "result[1] is the number nan, which"),
        ({"a": float("inf")}, "result['a'] is the number inf, which"),
        ({(1, 2): 3}, "the key (1, 2) of result is a tuple, which"),
        (Point(1, b"x"), "result['more'] is a bytes, which"),
        (Point, "result is a type, which"),
        (LOOP, "nested too deeply or contains itself"),
    ],
)
def test_the_place_of_what_is_not_json_is_told(value: Any, message: str) -> None:
    with pytest.raises(StepError) as caught:
        encode(value)
    assert caught.value.type == "NotJson"
    assert message in caught.value.message
