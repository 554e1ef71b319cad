"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.durations import format_duration, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("PT5M", 300),
        ("pt5m", 300),
        ("P1DT2H", 93_600),
        ("PT0.5S", 0.5),
        ("P2W", 1_209_600),
        ("90", 90),
        (" 90 ", 90),
        (90, 90),
        (0.5, 0.5),
        (0, 0),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5 parsecs",
        "m5",
        "1h-5m",
        "-5s",
        "P",
        "PT",
        "P1Y",
        "5mm",
        "1e3s",
        "NaN",
        "∞",
        "9" * 50,
        "9999999w",
    ],
)
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|out of range"):
        parse_duration(text)


@pytest.mark.parametrize("value", [True, None, [], {}, float("nan"), float("inf"), -1, 1e12])
def test_values_that_are_no_durations(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a duration|out of range"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (30, "30s"), (60, "1m"), (5400, "1h30m"), (93_601, "1d2h1s")],
)
def test_one_way_to_print(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10_000_000))
def test_whole_seconds_survive_printing(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        ("1GiB", 2**30),
        ("512 mb", 512 * 10**6),
        ("1.5K", 1500),
        ("10", 10),
        (10, 10),
        ("0", 0),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "GB", "1XB", "-1", -1, True, None, 1.5, "1 0 GB"])
def test_values_that_are_no_sizes(value: object) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(value)
