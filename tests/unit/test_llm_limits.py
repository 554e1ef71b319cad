"""Places on the time line: whatever calls do, the provider's clock never sees more than the limit in a minute."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurt.errors import UsageError
from kurt.llm.limits import HORIZON, LATEST, SPAN, TRANSIT, WINDOW, Correction, RateLimit, Timeline, take_all


def busiest(moments: list[float], amounts: list[float]) -> float:
    """The largest sum of amounts within any window."""
    pairs = sorted(zip(moments, amounts, strict=True))
    times = [moment for moment, _ in pairs]
    sums = [0.0]
    for _, amount in pairs:
        sums.append(sums[-1] + amount)
    return max(sums[bisect_left(times, start + WINDOW)] - sums[first] for first, start in enumerate(times))


@settings(max_examples=30)
@given(per_minute=st.integers(1, 3000), seed=st.integers(0, 10_000), idle=st.floats(0, 0.2))
def test_requests_in_any_minute(per_minute: int, seed: int, idle: float) -> None:
    chance = random.Random(seed)
    line, now, arrivals = Timeline(), 1000.0, []
    for _ in range(per_minute * 2 + 50):
        if chance.random() < idle:
            now += chance.random() * 30
        place = line.take(RateLimit(per_minute), now, 0)
        assert place >= now
        arrivals.append(place + chance.random() * (LATEST + TRANSIT))
    assert busiest(arrivals, [1] * len(arrivals)) <= per_minute


@settings(max_examples=30)
@given(per_minute=st.integers(1_000, 200_000), seed=st.integers(0, 10_000), both=st.booleans())
def test_tokens_in_any_minute(per_minute: int, seed: int, both: bool) -> None:
    chance = random.Random(seed)
    limit = RateLimit(300 if both else None, per_minute)
    line, now, arrivals, amounts = Timeline(), 1000.0, [], []
    for _ in range(300):
        now = max(now, line.last - chance.random() * 20)
        tokens = chance.randrange(1, per_minute // 3)
        place = line.take(limit, now, tokens)
        arrivals.append(place + chance.random() * (LATEST + TRANSIT))
        amounts.append(tokens)
    assert busiest(arrivals, amounts) <= per_minute


def test_nothing_is_held_back_after_a_quiet_time() -> None:
    line = Timeline()
    assert line.take(RateLimit(60), 10.0, 0) == 10.0
    assert line.take(RateLimit(60), 500.0, 0) == 500.0


def test_tokens_that_were_not_used_are_given_back() -> None:
    line, limit = Timeline(), RateLimit(tokens_per_minute=1000)
    first = line.take(limit, 0.0, 900)
    line.correct(1000, first, -850)
    assert line.take(limit, 1.0, 900) < 5
    line.correct(1000, 1.0, +500)
    assert line.take(limit, 1.0, 100) > WINDOW


def test_a_call_beyond_the_limit_waits_for_an_empty_minute_and_then_goes() -> None:
    line, limit = Timeline(), RateLimit(tokens_per_minute=1000)
    line.take(limit, 0.0, 500)
    assert SPAN <= line.take(limit, 0.0, 1000) <= 2 * SPAN


def test_places_are_given_within_the_horizon_only() -> None:
    line = Timeline()
    given_places = take_all(line, RateLimit(60), 100.0, [0] * 50, [])
    assert len(given_places) == 5
    assert max(given_places) <= 100 + HORIZON
    assert take_all(line, RateLimit(60), 100.0, [0], []) == []


def test_a_line_survives_json() -> None:
    import json

    line, limit = Timeline(), RateLimit(60, 1000)
    take_all(line, limit, 100.0, [10, 20], [Correction(99.0, 5)])
    assert Timeline.from_json(json.loads(json.dumps(line.to_json()))) == line
    assert Timeline.from_json({}) == Timeline()


@pytest.mark.parametrize("limit", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}])
def test_a_limit_that_lets_nothing_through_is_refused(limit: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        RateLimit(**limit)
