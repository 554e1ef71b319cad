"""Patterns over URIs."""

from __future__ import annotations

import pytest

from kurt.content.patterns import Patterns, PatternText
from kurt.errors import UsageError

GUIDE = "https://docs.example.com/guides/keys?lang=en"


@pytest.mark.parametrize(
    ("include", "exclude", "allowed"),
    [
        (None, None, True),
        ("", [], True),
        ("*/guides/*", None, True),
        (["*/blog/*", "*/guides/*"], None, True),
        (" */blog/* , */guides/* ", None, True),
        ("*/blog/*", None, False),
        ("/guides/*", None, True),
        ("/guides", None, False),
        ("https://docs.example.com/*", None, True),
        ("*", "*lang=en", False),
        (None, "*/blog/*", True),
        (r"re:/guides/\w{2,5}\b", None, True),
        (r"re:^/guides", None, False),
        (["re:/nothing", "*keys*"], "re:keys$", True),
        ("*/GUIDES/*", None, False),
        ("*/guides/key?\\?*", None, False),
    ],
)
def test_what_is_meant(include: PatternText, exclude: PatternText, allowed: bool) -> None:
    assert Patterns(include, exclude).allows(GUIDE) is allowed


def test_files_are_matched_by_their_path() -> None:
    assert Patterns("notes/*.md").allows("file:notes/deep/a.md")
    assert Patterns("*.md").allows("file:///elsewhere/a.md")
    assert not Patterns("notes/*").allows("file:other/notes/a.md")


def test_patterns_know_whether_there_are_any() -> None:
    assert not Patterns()
    assert Patterns(exclude="x")
    assert Patterns("a, b").include == ("a", "b")
    assert Patterns(["a,b", "re:c,d", ""]).include == ("a", "b", "re:c,d")


def test_a_broken_expression_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"re:\("):
        Patterns("re:(")
