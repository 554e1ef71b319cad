"""Command lines of `cli` steps, and the objects that go beside them."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kurt.engine.processes.commands import option_words
from kurt.handoff import Handoff, received


class Data(click.ParamType[Any]):
    name = "data"
    takes_objects = True


PLAIN = click.Option(["--max-depth"])
FLAG = click.Option(["--max-depth"], is_flag=True)
BOTH = click.Option(["--max-depth/--no-depth"])
MANY = click.Option(["--max-depth"], multiple=True)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        (PLAIN, "a b", ["--max-depth=a b"]),
        (PLAIN, "", ["--max-depth="]),
        (PLAIN, "--help", ["--max-depth=--help"]),
        (PLAIN, 3, ["--max-depth=3"]),
        (PLAIN, 1.5, ["--max-depth=1.5"]),
        (PLAIN, {"é": None}, ['--max-depth={"é": null}']),
        (PLAIN, ["a", 1], ['--max-depth=["a", 1]']),
        (PLAIN, None, []),
        (PLAIN, False, []),
        (PLAIN, True, ["--max-depth=true"]),
        (FLAG, True, ["--max-depth"]),
        (FLAG, False, []),
        (BOTH, True, ["--max-depth"]),
        (MANY, ["a", 1, {"b": 2}], ["--max-depth=a", "--max-depth=1", '--max-depth={"b": 2}']),
        (MANY, [], []),
        (MANY, "a", ["--max-depth=a"]),
        (None, True, ["--max-depth"]),
        (None, ["a", "b"], ["--max-depth=a", "--max-depth=b"]),
    ],
)
def test_options_as_words(option: Any, value: Any, words: list[str]) -> None:
    assert option_words("max_depth", value, option, Handoff()) == words


@pytest.mark.parametrize("value", ["text", "[1]", "@obj:0", 1, True, False, None, [1], {"a": []}])
def test_options_that_take_objects_get_them(value: Any) -> None:
    handoff = Handoff()
    (word,) = option_words("data", value, click.Option(["--data"], type=Data()), handoff)
    flag, _, token = word.partition("=")
    assert flag == "--data"
    with handoff:
        assert received(token) == (True, value)


def test_a_token_means_nothing_without_its_handoff() -> None:
    first, second = Handoff(), Handoff()
    token = first.token([1])
    assert received(token) == (False, None)
    with second:
        second.token([2])
        assert received(token) == (False, None)
        with Handoff(first.objects):
            assert received(token) == (True, [1])
        assert received(token) == (False, None)


def test_only_text_can_be_a_token() -> None:
    with Handoff() as handoff:
        handoff.token(1)
        assert [received(thing) for thing in (None, 1, ["x"], {})] == [(False, None)] * 4
