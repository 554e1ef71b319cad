"""Documents in passages, and pieces of passages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.content.search.passages import LONGEST, excerpt, passages
from kurt.content.search.terms import terms_of


def test_a_text_is_split_along_its_headings() -> None:
    text = "intro\n\n# One\n\na\n\nb\n## Two ##\nc\n\n###\n\nd\n"
    found = [(passage.heading, passage.text) for passage in passages(text)]
    assert found == [(None, "intro"), ("One", "a\n\nb"), ("Two", "c"), (None, "d")]


def test_code_stays_in_one_piece_and_its_comments_are_no_headings() -> None:
    code = "```sh\n# not a heading\n\nkurt init\n~~~\n```"
    [passage] = passages(f"# One\n\nRun:\n\n{code}\n")
    assert passage.text == f"Run:\n\n{code}"


def test_long_texts_are_split_at_paragraphs() -> None:
    paragraph = "word " * 60
    found = passages("# One\n\n" + "\n\n".join([paragraph.strip()] * 10))
    assert len(found) == 4
    assert {passage.heading for passage in found} == {"One"}
    assert all(len(passage.text) <= LONGEST for passage in found)


def test_a_document_without_text_has_a_passage_for_its_title() -> None:
    assert [passage.text for passage in passages("")] == [""]


@given(st.text(alphabet="ab# \n`~", max_size=200))
def test_no_word_is_lost(text: str) -> None:
    kept = " ".join(f"{passage.heading or ''} {passage.text}" for passage in passages(text))
    lost = [word for word in re.findall(r"\w+", text) if word not in kept]
    assert not lost


def test_an_excerpt_is_about_what_was_searched_for() -> None:
    text = f"{'before ' * 100}the **key** is\nrotated {'after ' * 100}"
    shown = excerpt(text, ["key"])
    assert "the **key** is rotated" in shown
    assert (shown[0], shown[-1]) == ("…", "…")
    assert len(shown) <= 240
    assert excerpt("short\n text", ["x"]) == "short text"
    assert excerpt('see [a page](https://e.com/x "A title") and ![b](c.png)', []) == "see a page and b"
    scattered = f"key {'between ' * 60}a key is rotated {'after ' * 60}"
    assert "a key is rotated" in excerpt(scattered, ["key", "rotate"])
    assert excerpt("a" * 500, []) == "a" * 238 + "…"


@given(st.text(max_size=600), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.integers(20, 240))
def test_an_excerpt_is_never_longer_than_allowed(text: str, words: list[str], width: int) -> None:
    shown = excerpt(text, words, width)
    assert len(shown) <= width
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ("How do I rotate the keys?", [("rotate",), ("keys",)]),
        ('"rotate keys" now', [("rotate", "keys"), ("now",)]),
        ("the who", [("the",), ("who",)]),
        ('"" ()*-:', []),
        ("a OR b NEAR c", [("b",), ("near",), ("c",)]),
        ("keys keys", [("keys",)]),
        ('"unclosed', [("unclosed",)]),
    ],
)
def test_terms(question: str, phrases: list[tuple[str, ...]]) -> None:
    assert list(terms_of(question).phrases) == phrases
