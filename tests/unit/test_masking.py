"""Secrets are hidden in every spelling in which they leave the process."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.runtime.masking import MASK, Masker

SECRET = 'p@ss/w"ord+é\\1'

SPELLINGS = {
    "plain": SECRET,
    "json": json.dumps(SECRET),
    "json, not ascii": json.dumps(SECRET, ensure_ascii=False),
    "json in json": json.dumps(json.dumps({"key": SECRET})),
    "repr": repr(SECRET),
    "html": html.escape(SECRET),
    "url": quote(SECRET, safe=""),
    "path of a url": quote(SECRET),
    "form": quote_plus(SECRET),
    "lower-case url": quote(SECRET, safe="").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9").lower(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "url-safe base64": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_is_hidden(spelling: str) -> None:
    masked = Masker([SECRET]).mask(f"before {SPELLINGS[spelling]} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert MASK in masked
    assert "p@ss" not in masked
    assert "ord" not in masked


@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=8, max_size=30),
    before=st.text(max_size=5),
    after=st.text(max_size=5),
)
def test_a_secret_is_found_inside_base64_of_a_longer_text(secret: str, before: str, after: str) -> None:
    masker = Masker([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode((before + secret + after).encode("utf-8", "replace")).decode()
        assert MASK in masker.mask(text)


@given(st.lists(st.text(alphabet="abc", min_size=4, max_size=7), min_size=1, max_size=4), st.data())
def test_no_secret_survives_whatever_stands_around_it(secrets: list[str], data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from([*secrets, "a", "bc", "-"]), max_size=8))
    masked = Masker(secrets).mask("".join(pieces))
    assert not any(secret in masked for secret in secrets)


def test_overlapping_secrets_leave_no_part_of_either() -> None:
    assert Masker(["abcd", "cdefgh"]).mask("x abcdefgh y") == "x *** y"


def test_the_longest_secret_wins() -> None:
    assert Masker(["abcd", "abcdefgh"]).mask("abcdefgh, abcd") == "***, ***"


def test_short_secrets_are_left_and_counted() -> None:
    masker = Masker(["", "abc", "1"])
    assert masker.mask("abc 1") == "abc 1"
    assert masker.too_short == 2


def test_each_line_of_a_private_key_is_hidden() -> None:
    key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\n  Zkq9fX8sQ1x2y3z4\nab\n-----END KEY-----\n"
    masker = Masker([key])
    assert masker.mask(f"key={key}.") == "key=***."
    assert masker.mask("> Zkq9fX8sQ1x2y3z4") == "> ***"
    assert masker.mask("a tab") == "a tab"


def test_text_without_a_secret_is_returned_as_it_is() -> None:
    text = "nothing here"
    assert Masker(["hunter2!"]).mask(text) is text
    assert Masker([]).mask(text) is text


def test_values_are_masked_at_any_depth() -> None:
    masker = Masker(["hunter2!", "12345678"])
    value = {"a": ["x hunter2! y", 1, None, True], "hunter2!": {"n": 12345678, "f": 1.5}}
    assert masker.mask_value(value) == {"a": ["x *** y", 1, None, True], "***": {"n": "***", "f": 1.5}}


def test_a_million_characters_are_searched_once() -> None:
    masker = Masker(["sk-" + "a" * 40])
    assert masker.mask("sk-" + "a" * 39 + "b" * 1_000_000).count(MASK) == 0
