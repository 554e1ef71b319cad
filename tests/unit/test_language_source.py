"""Reading YAML 1.2 with the places of keys and values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.language.source import MAX_BYTES, MAX_DEPTH, decode, read_bytes, read_source
from kurt.errors import DefinitionError, Fault, NotFoundError


def faults_of(text: str) -> list[Fault]:
    """Every fault that reading the text gives."""
    try:
        source = read_source(text, "x.yaml")
    except DefinitionError as error:
        return error.faults
    return [*source.faults, *(fault for _, fault in source.odd_keys)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("2026-11-21", "2026-11-21"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-5", -5),
        ("+5", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("=", "="),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("! 5", "5"),
        ("${x}", "${x}"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read = read_source(f"a: {text}").value["a"]
    assert (read, type(read)) == (value, type(value))


def test_keys_and_values_have_places() -> None:
    source = read_source("a: 1\nsteps:\n  - name: x\n    args: {url: y}\n")
    assert source.position(("a",)) == (1, 4)
    assert source.position(("a",), key=True) == (1, 1)
    assert source.position(("steps", 0, "args", "url")) == (4, 17)
    assert source.position(("steps", 0, "args", "url"), key=True) == (4, 12)
    assert source.position(("steps", 0, "nothing", "below")) == (3, 5)
    assert source.position(()) == (1, 1)


def test_anchors_aliases_and_merges() -> None:
    source = read_source("x-a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc: {<<: [*a, {r: 4}]}\nd: *a\n")
    assert source.value["b"] == {"p": 1, "q": 3}
    assert source.value["c"] == {"p": 1, "q": 2, "r": 4}
    assert source.value["d"] == {"p": 1, "q": 2}
    assert source.position(("b", "p"), key=True) == (1, 10)


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read_source('{"<<": {a: 1}}').value == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("a: 1\na: 2\n", 2, 1, "twice", "remove or rename"),
        ("a: {b: 1, c: 2, b: 3}\n", 1, 17, "twice; the first is on line 1", "remove or rename"),
        ("200: x\n", 1, 1, "`200` is not text", 'quote it: "200"'),
        ("? [a]\n: b\n", 1, 3, "must be text", "quote"),
        ("a:\n\tb: 1\n", 2, 1, "not valid YAML", "spaces, not with tabs"),
        ("a: {url: ${url}}\n", 1, 11, "not valid YAML", "quote the reference"),
        ("a: b: c\n", 1, 5, "not valid YAML", "quote the value"),
        ("a: @x\n", 1, 4, "not valid YAML", "quote the value"),
        ("a: 'x\n", 2, 1, "not valid YAML", "close the quote"),
        ('a: "\\d"\n', 1, 5, "not valid YAML", "single quotes"),
        ("a: [1, 2\nb: 3\n", 2, 2, "not valid YAML", "close the bracket"),
        ("a: .inf\n", 1, 4, "not a number of JSON", "quote it"),
        ("a: 1e999\n", 1, 4, "too large", "quote it"),
        (f"a: {'9' * 2000}\n", 1, 4, "2000 digits", "quote it"),
        ("a: !!python/object:os.system x\n", 1, 4, "not supported", "remove the tag"),
        ("a: *b\n", 1, 4, "no anchor", "&b"),
        ("a: &a [*a]\n", 1, 8, "itself", "&a"),
        ("a: {<<: 5}\n", 1, 9, "takes a mapping", "<<: *name"),
        ("a: 1\n--- \nb: 2\n", 2, 1, "more than one", "a file of its own"),
        ("", 1, 1, "empty", "steps:"),
        ("# only a comment\n", 1, 1, "comments only", "steps:"),
        ("a: \x07\n", 1, 4, "control characters", "remove"),
    ],
)
def test_faults_have_a_place_and_a_remedy(text: str, line: int, column: int, message: str, hint: str) -> None:
    (fault,) = faults_of(text)
    assert (fault.file, fault.line, fault.column) == ("x.yaml", line, column)
    assert message in fault.message
    assert hint in (fault.hint or "")


def test_every_duplicate_is_reported_also_before_a_syntax_error() -> None:
    assert [fault.line for fault in faults_of("a: 1\na: 2\nb: {c: 1, c: 2}\nd: 'x\n")] == [2, 3, 5]


def test_what_stands_at_a_refused_key_is_left_out() -> None:
    assert read_source("a: 1\na: {b: 2}\n? [x]\n: {y: 1}\nc: 3").value == {"a": 1, "c": 3}


@pytest.mark.parametrize(
    "text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)]
)
def test_depth_is_limited(text: str) -> None:
    assert "nested deeper" in faults_of(text)[-1].message


def test_depth_within_the_limit_is_read() -> None:
    assert read_source("[" * MAX_DEPTH + "]" * MAX_DEPTH).value


def test_aliases_cannot_expand_without_bounds() -> None:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
    )
    assert "aliases expand to too many" in faults_of(laughs)[-1].message
    assert (
        "aliases expand to too many" in faults_of(f"a: &a {'x' * 900_000}\nb: [{'*a, ' * 100}]\n")[-1].message
    )


def test_size_is_limited(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="1 error"):
        decode(b"a" * (MAX_BYTES + 1), "x.yaml")
    assert "longer than" in faults_of("a" * (MAX_BYTES + 1))[0].message


def test_line_ends_and_byte_order_marks() -> None:
    assert read_source(decode("\ufeffa: 1\r\nb:\r\n  - x\r\n".encode(), "x")).value == {"a": 1, "b": ["x"]}


def test_text_that_is_not_utf8_is_located() -> None:
    with pytest.raises(DefinitionError) as caught:
        decode("a: 1\nbü: ".encode() + b"\xff\n", "x.yaml")
    fault = caught.value.faults[0]
    assert (fault.line, fault.column, fault.hint) == (2, 5, "save the file as UTF-8")
    assert "0xff" in fault.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_bytes(tmp_path / "none.yaml")
    with pytest.raises(DefinitionError):
        read_bytes(tmp_path)


_TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\u2028\u2029"),
    max_size=20,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT.filter(bool), inner, max_size=4),
    max_leaves=12,
)


@given(JSON.filter(lambda value: value is not None))
def test_json_is_read_as_itself(value: object) -> None:
    assert read_source(json.dumps(value, ensure_ascii=False)).value == value


def test_half_a_character_is_refused() -> None:
    assert "half a character" in faults_of("a: \ud800")[0].message


@given(st.text(alphabet=st.sampled_from(list("abc:-?[]{},&*!|>'\"%@`#~ \n\t<0.$")), max_size=60))
def test_any_text_gives_a_value_or_located_faults(text: str) -> None:
    for fault in faults_of(text):
        assert fault.message
        assert fault.file == "x.yaml"
