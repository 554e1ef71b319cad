"""The formats: what is read is what was written, and faults say where they are."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.app.primitives.detect import parse_any
from kurt.app.primitives.formats import FORMATS, codec, format_by_suffix
from kurt.errors import DataError, UsageError

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def rendered(format_name: str, value: Any) -> str:
    return codec(format_name).render(value)


def parsed(format_name: str, text: str) -> Any:
    return codec(format_name).parse(text, "file")


@given(VALUES)
def test_json_comes_back(value: Any) -> None:
    assert parsed("json", rendered("json", value)) == value


@given(st.lists(VALUES, max_size=5))
def test_jsonl_comes_back(values: list[Any]) -> None:
    text = rendered("jsonl", values)
    assert text.count("\n") == len(values)
    assert parsed("jsonl", text) == values


@given(VALUES)
def test_yaml_comes_back(value: Any) -> None:
    assert parsed("yaml", rendered("yaml", value)) == value


@given(st.lists(st.lists(TEXT, min_size=1, max_size=3).map(tuple), min_size=1, max_size=5))
def test_csv_cells_come_back(rows: list[tuple[str, ...]]) -> None:
    table = [dict(zip("abc", [*row, "", ""], strict=False)) for row in rows]
    assert parsed("csv", rendered("csv", table)) == table


@given(TEXT)
def test_text_is_kept_to_the_byte(text: str) -> None:
    assert parsed("text", rendered("text", text)) == text


@given(
    st.dictionaries(TEXT.filter(bool), VALUES, max_size=3),
    TEXT.map(lambda text: text.lstrip("\r\n")).filter(lambda text: not text.startswith("---")),
)
def test_markdown_documents_come_back(front: dict[str, Any], content: str) -> None:
    document = parsed("md", rendered("md", {"front_matter": front, "content": content}))
    assert document["front_matter"] == front
    assert document["content"] == content


@pytest.mark.parametrize(
    "word", ["on", "no", "2026-11-21", "1e3", "0o17", "0x1f", ".inf", "1_000", "", "~", "12:30", "=", "<<"]
)
def test_yaml_text_that_looks_like_something_else_stays_text(word: str) -> None:
    assert parsed("yaml", rendered("yaml", {"key": word, word or "k": 1})) == {"key": word, word or "k": 1}


def test_yaml_is_read_by_the_rules_of_1_2() -> None:
    text = "a: on\nb: 2026-11-21\nc: 0o17\nd: 1e3\ne: ~\nf: !!str 12\ng: !!float 1\n200: x\n"
    assert parsed("yaml", text) == {
        "a": "on", "b": "2026-11-21", "c": 15, "d": 1000.0, "e": None, "f": "12", "g": 1.0, "200": "x",
    }  # fmt: skip


def test_yaml_knows_anchors_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\none:\n  <<: *b\n  y: 3\ntwo: *b\n"
    assert parsed("yaml", text) == {
        "base": {"x": 1, "y": 2},
        "one": {"x": 1, "y": 3},
        "two": {"x": 1, "y": 2},
    }


def test_yaml_is_written_for_people() -> None:
    shared = [1]
    value = {"title": "Grüße", "text": "one\ntwo\n", "a": shared, "b": shared}
    assert rendered("yaml", value) == "title: Grüße\ntext: |\n  one\n  two\na:\n- 1\nb:\n- 1\n"


@pytest.mark.parametrize(
    ("format_name", "text", "where", "what"),
    [
        ("json", '{"a": 1,\n "b": }', "file:2:7", "expecting value"),
        ("json", "[NaN]", "file", "the number NaN does not exist in JSON"),
        ("json", "[" * 100_000, "file", "nested too deeply"),
        ("jsonl", '{"a": 1}\n\n{"a": \n', "file:3:7", "expecting value"),
        ("yaml", "a: 1\na: 2\n", "file:2:1", "'a' is here twice"),
        ("yaml", "a: [1\nb: 2\n", "file:2:", "not valid YAML"),
        ("yaml", "a: !!python/object:os.system x\n", "file:1:4", "not supported"),
        ("yaml", "a: 1\n---\nb: 2\n", "file:2:1", "second YAML document"),
        ("yaml", "[" * 300, "file:1:201", "deeper than 200"),
        ("yaml", "? [a]\n: 1\n", "file:1:3", "a key is a list"),
        ("yaml", "a: &x [*x]\n", "file:1:8", "no finished anchor"),
        ("yaml", "a: .inf\n", "file:1:4", "not a number of JSON"),
        ("yaml", "a: !!float x\n", "file:1:4", "could not convert"),
        ("yaml", "a: &a 1\n*a : 2\n", "file:2:1", "a key is an alias"),
        ("yaml", "<<: 1\n", "file:1:5", "takes a mapping"),
        ("csv", "a,b\n1,2,3\n", "file:2", "3 cells, the header has 2"),
        ("csv", 'a,b\n1,"2\n', "file:2", "not valid CSV"),
        ("csv", "a,a\n1,2\n", "file:1", "'a' more than once"),
        ("md", "---\ntitle: [\n---\nx\n", "file:", "not valid YAML"),
        ("md", "---\ntitle: a\ntitle: b\n---\nx\n", "file:3:1", "'title' is here twice"),
        ("md", "---\n- a\n---\nx\n", "file:1", "not a mapping"),
    ],
)
def test_faults_say_where_they_are(format_name: str, text: str, where: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        parsed(format_name, text)
    assert where in caught.value.message
    assert what in caught.value.message


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(DataError, match="aliases stand for more than"):
        parsed("yaml", "\n".join(lines))


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_what_is_not_json_is_refused(format_name: str) -> None:
    for odd in ({1, 2}, float("inf"), date(2026, 11, 21)):
        with pytest.raises(DataError, match="not a JSON value"):
            rendered(format_name, [{"a": [odd]}])


def test_csv_takes_the_union_of_keys_and_writes_nested_values_as_json() -> None:
    rows = [{"a": 1, "b": None}, {"b": True, "c": {"x": [1, "ü"]}}]
    assert rendered("csv", rows) == 'a,b,c\n1,,\n,true,"{""x"": [1, ""ü""]}"\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], ""),
        ({"a": "x,y", "b": 'say "hi"'}, 'a,b\n"x,y","say ""hi"""\n'),
        (["one", 2], "value\none\n2\n"),
        ([["h", "i"], [1, None]], "h,i\n1,\n"),
        ("alone", "value\nalone\n"),
    ],
)
def test_csv_of_other_values(value: Any, text: str) -> None:
    assert rendered("csv", value) == text


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1;2,5\n", [{"a": "1", "b": "2,5"}]),
        ("a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
        ("a,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
        (",b\n0,x\n", [{"column1": "0", "b": "x"}]),
        ("a,b\n1\n\n2,3\n", [{"a": "1", "b": None}, {"a": "2", "b": "3"}]),
        ('a,b\n"x\ny",2\n', [{"a": "x\ny", "b": "2"}]),
        ("", []),
    ],
)
def test_csv_of_other_programs(text: str, rows: list[Any]) -> None:
    assert parsed("csv", text) == rows


def test_csv_has_no_limit_on_a_cell() -> None:
    cell = "x" * 300_000
    assert parsed("csv", f"a,b\n{cell},2\n") == [{"a": cell, "b": "2"}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (["a", 1, None, {"b": 2}], 'a\n1\n\n{"b": 2}\n'),
        ({"a": 1}, '{\n  "a": 1\n}\n'),
        (True, "true\n"),
    ],
)
def test_text_of_values(value: Any, text: str) -> None:
    assert rendered("text", value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("# Title\n", "# Title\n"),
        (
            [{"a": 1, "b": "x|y"}, {"a": "two\nlines"}],
            "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n| two<br>lines |  |\n",
        ),
        (["one", "two\nlines"], "- one\n- two\n  lines\n"),
        ({"pages": 3}, "| key | value |\n| --- | --- |\n| pages | 3 |\n"),
        ({"front_matter": {"a": 1}, "title": "T", "content": "x\n"}, "---\na: 1\n---\n\nx\n"),
    ],
)
def test_markdown_of_values(value: Any, text: str) -> None:
    assert rendered("md", value) == text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Front\n---\n# Heading\n", "Front"),
        ("intro\n\n# Heading #\n\n# Second\n", "Heading"),
        ("```sh\n# comment\n```\n# Heading\n", "Heading"),
        ("no heading\n", None),
        ("---\n---\n# Heading\n", "Heading"),
    ],
)
def test_the_title_of_a_document(text: str, title: str | None) -> None:
    assert parsed("md", text)["title"] == title


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("12", 12),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a: 1\nb: [x]\n", {"a": 1, "b": ["x"]}),
        ("# comment\n- x\n- y\n", ["x", "y"]),
        ("---\na: 1\n", {"a": 1}),
        ("name,age\nAnn,3\n", [{"name": "Ann", "age": "3"}]),
        ("name;age\nAnn;3\n", [{"name": "Ann", "age": "3"}]),
        ("---\ntitle: T\n---\nText\n", {"front_matter": {"title": "T"}, "title": "T", "content": "Text\n"}),
        (
            "# Title\n\nText: more\nof it\n",
            {"front_matter": {}, "title": "Title", "content": "# Title\n\nText: more\nof it\n"},
        ),
        ("just words, and more\nwords\n", "just words, and more\nwords\n"),
        ("", ""),
        ("   \n", "   \n"),
    ],
)
def test_a_format_is_told_from_the_text(text: str, value: Any) -> None:
    assert parse_any(text, "-") == value


@pytest.mark.parametrize(
    ("path", "format_name"),
    [
        ("a.JSON", "json"),
        ("a.yml", "yaml"),
        ("a.ndjson", "jsonl"),
        ("a.markdown", "md"),
        ("a.html", "text"),
        ("a", None),
    ],
)
def test_a_format_is_told_from_the_suffix(path: str, format_name: str | None) -> None:
    assert format_by_suffix(path) == format_name


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="no format 'xml'"):
        codec("xml")


def test_half_a_character_survives_as_an_escape() -> None:
    assert json.loads(rendered("json", "\ud83d")) == "\ud83d"
    assert rendered("jsonl", ["\ud83d"]).isascii()
