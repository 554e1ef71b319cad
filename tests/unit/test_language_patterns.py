"""Patterns mean what they mean in `re`, and end in bounded time."""

from __future__ import annotations

import re
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurt.engine.expressions.automaton import compile_pattern
from kurt.engine.expressions.patterns import PatternError

ATOMS = [
    *[
        "a",
        "b",
        "c",
        "-",
        "x{",
        "1",
        ".",
        r"\.",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        r"\W",
        r"\S",
        r"\x61",
        r"\u0062",
        r"\n",
    ],
    *[
        "[ab]",
        "[^a]",
        r"[^A\d]",
        "[a-c1]",
        "[]a]",
        "[a-]",
        r"[\w.]",
        r"[\]]",
        "^",
        "$",
        r"\b",
        r"\B",
        r"\A",
        r"\Z",
    ],
]
REPEATS = ["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?", "+?", "??"]

patterns = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
        | inner.map(lambda item: f"({item})")
        | st.tuples(inner, st.sampled_from(REPEATS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
    ),
    max_leaves=8,
)
texts = st.text(alphabet=st.sampled_from(list("abcABC1 .-x{\n")), min_size=1, max_size=10)


def free(work: int) -> None:
    """An allowance without end."""


@given(st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?im)"]), patterns, texts)
@settings(max_examples=400)
def test_patterns_mean_the_same_as_in_re(flags: str, pattern: str, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        expected = bool(re.search(flags + pattern, text))
    assert compile_pattern(flags + pattern).search(text, free) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^https?://", "https://example.com", True),
        (r"^\d{4}-\d{2}$", "2026-11", True),
        (r"^\d{4}-\d{2}$", "2026-111", False),
        ("(?i)ERROR", "an error", True),
        ("a$", "a\n", True),
        ("a$", "a\n\n", False),
        ("", "", True),
        ("é|ß", "Straße", True),
        ("(?P<year>x)", "x", True),
    ],
)
def test_usual_patterns(pattern: str, text: str, found: bool) -> None:
    assert compile_pattern(pattern).search(text, free) is found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "missing"),
        (")", "too many"),
        ("*a", "nothing to repeat"),
        ("a**", "repeat of a repeat"),
        ("a*+", "repeat of a repeat"),
        ("[a", "ends too early"),
        ("[b-a]", "range"),
        (r"[a-\d]", "range"),
        ("a{3,2}", "repeat goes"),
        ("a{5000}", "repeat goes"),
        (r"(a)\1", "back references"),
        ("(?=a)", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"\q", "unknown escape"),
        ("\\", "ends too early"),
        ("(" * 100 + ")" * 100, "nested too deep"),
        ("a" * 2000, "1000 characters"),
        ("((a{100}){100}){100}", "too large"),
    ],
)
def test_patterns_that_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=r"\S") as caught:
        compile_pattern(pattern)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    ["(a|a)*b$", "(a*)*b", "(a+)+$b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)(.*)b$", "a?" * 30 + "a" * 30 + "b"],
)
def test_patterns_that_make_re_hang_end_at_once(pattern: str) -> None:
    began = time.process_time()
    assert compile_pattern(pattern).search("a" * 20_000, free) is False
    assert time.process_time() - began < 2
