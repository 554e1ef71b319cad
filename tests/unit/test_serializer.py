from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd  # noqa: TID253 - a test of it
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.errors import NotFoundError, RemoteError, StepError
from kurt.runtime.serializer import dumps, loads, register_error, round_trip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$kurt"), inner),
    max_leaves=20,
)


@given(json_values)
def test_every_json_value_comes_back(value: object) -> None:
    assert round_trip(value) == value


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff",
        datetime(2026, 11, 21, 7, tzinfo=UTC),
        date(2026, 11, 21),
        timedelta(seconds=1.5),
        Decimal("1.10"),
        float("inf"),
    ],
)
def test_tagged_values_come_back(value: object) -> None:
    assert round_trip({"a": [value]}) == {"a": [value]}


def test_nan_comes_back() -> None:
    assert math.isnan(round_trip(float("nan")))


def test_dataclasses_become_mappings() -> None:
    @dataclass
    class Point:
        x: int

    assert round_trip(Point(1)) == {"x": 1}


@pytest.mark.parametrize(
    ("frame", "instead"),
    [
        (pd.DataFrame({"a": [1]}), r"frame\.to_dict\('records'\)"),
        (pl.DataFrame({"a": [1]}), r"frame\.to_dicts\(\)"),
        (pa.table({"a": [1]}), r"table\.to_pylist\(\)"),
    ],
)
def test_frames_are_refused_with_what_to_store_instead(frame: object, instead: str) -> None:
    with pytest.raises(TypeError, match=instead):
        dumps({"rows": frame})


def test_unknown_types_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="'object' cannot be stored"):
        dumps(object())


def test_keys_that_are_not_text_are_refused() -> None:
    with pytest.raises(TypeError, match="key 1"):
        dumps({1: 2})


def test_errors_are_rebuilt_when_known() -> None:
    error = round_trip(StepError("no", type="ExitCode", details={"exit_code": 3}, hint="look"))
    assert isinstance(error, StepError)
    assert (error.type, error.details, error.hint, str(error)) == ("ExitCode", {"exit_code": 3}, "look", "no")
    assert isinstance(round_trip(NotFoundError("x")), NotFoundError)
    assert isinstance(round_trip(ValueError("x")), ValueError)


def test_errors_of_other_classes_become_remote() -> None:
    class OddError(Exception):
        pass

    error = round_trip(OddError("odd"))
    assert isinstance(error, RemoteError)
    assert (error.name, str(error)) == ("OddError", "odd")
    assert dumps(error) == dumps(OddError("odd"))


def test_registered_errors_are_rebuilt() -> None:
    @register_error
    class OwnError(Exception):
        pass

    assert isinstance(loads(dumps(OwnError("mine"))), OwnError)


def test_what_looks_like_a_tag_is_data() -> None:
    assert round_trip({"$kurt": "bytes", "value": "AA=="}) == {"$kurt": "bytes", "value": "AA=="}
