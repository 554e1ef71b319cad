"""References in texts: what they find, what they give, what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.expressions.references import (
    TemplateSyntaxError,
    has_references,
    parse_template,
    references,
    resolve,
    roots,
    show_path,
)
from kurt.errors import ExpressionError

SCOPE: dict[str, Any] = {
    "a": {"b": [1, {"c d": 2}], "none": None, "x-y": 5, "2024": "y"},
    "text": "raw ${a} 'quoted' \n",
    "yes": True,
    "number": 1.5,
    "list": [1, "zwei"],
    "empty": "",
    "zero": 0,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${a.b[0]}", 1),
        ("${a.b[1]['c d']}", 2),
        ('${a["b"][1]["c d"]}', 2),
        ("${ a.b[ 0 ] }", 1),
        ("${a.x-y}", 5),
        ("${a.2024}", "y"),
        ("${a.none}", None),
        ("${list}", [1, "zwei"]),
        ("${text}", "raw ${a} 'quoted' \n"),
        ("x ${text}", "x raw ${a} 'quoted' \n"),
        ("${yes} ${a.none} ${number} ${zero}", "true null 1.5 0"),
        ("v=${list}", 'v=[1, "zwei"]'),
        ("${a.b[1]}!", '{"c d": 2}!'),
        ("$${a}", "${a}"),
        ("$${a} ${yes}", "${a} true"),
        ("$$${yes}", "$${yes}"),
        ("${yes}$", "true$"),
        ("$ {yes} $yes", "$ {yes} $yes"),
        ("${yes}}", "true}"),
        ("${nope ?? 'x'}", "x"),
        ('${nope ?? "x\\n"}', "x\n"),
        ("${nope.deep[3] ?? 5}", 5),
        ("${nope ?? []}", []),
        ('${nope ?? {"k": [1]}}', {"k": [1]}),
        ("${a.none ?? 7}", 7),
        ("${zero ?? 7}", 0),
        ("${empty ?? 'x'}", ""),
        ("${nope ?? a.none ?? a.x-y}", 5),
        ("${nope ?? a.none}", None),
        ("${nope ?? null}", None),
        ("${nope ?? -1.5}", -1.5),
        ("", ""),
        ("no reference", "no reference"),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert resolve(text, SCOPE) == value
    assert parse_template(text).resolve(SCOPE) == value


def test_values_are_replaced_at_any_depth_and_keys_are_not() -> None:
    given_value = {"${a}": ["${yes}", {"k": "${number}"}], "n": 1}
    assert resolve(given_value, SCOPE) == {"${a}": [True, {"k": 1.5}], "n": 1}


def test_what_a_value_contains_is_never_looked_at_again() -> None:
    assert resolve(["${x}", "-${x}-"], {"x": "${y}", "y": 1}) == ["${y}", "-${y}-"]


def test_attributes_of_objects_are_out_of_reach() -> None:
    for path in ("${o.__class__}", "${o.real}", "${list.append}", "${text.upper}"):
        with pytest.raises(ExpressionError):
            resolve(path, {**SCOPE, "o": 5})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${nope}", "unknown name `nope`", "in scope are"),
        ("${lst}", "unknown name `lst`", "did you mean `list`?"),
        ("${a.bb}", "`a` has no key 'bb'", "its keys are"),
        ("${a.b[7]}", "`a.b` has 2 items, there is no [7]", None),
        ("${a.b.c}", "`a.b` is a list, it cannot have a key 'c'", None),
        ("${text.x}", "`text` is a text", None),
        ("${text[0]}", "it cannot have an index", None),
        ("${a.none.x}", "`a.none` is null", None),
        ("${nope ?? nope2}", "unknown name `nope2`", None),
    ],
)
def test_what_is_not_there(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        resolve(text, SCOPE)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${}", "is empty"),
        ("${", "not closed"),
        ("${a", "not closed"),
        ("${a.b[-1]}", "neither an index nor a quoted key"),
        ("${a[b]}", "neither an index nor a quoted key"),
        ("${a + 1}", "expression"),
        ("${a == 'x'}", "expression"),
        ("${len(a)}", "expression"),
        ("${a | upper}", "expression"),
        ("${a..b}", "unexpected '.'"),
        ("${1a}", "unexpected '1'"),
        ("${a b}", "unexpected 'b'"),
        ("${a ?? }", "cannot be read"),
        ("${a ?? 1 ?? 2}", "nothing may follow"),
        ('${a["\\x"]}', "not well quoted"),
        ("${" + "a." * 60 + "b}", "50 parts"),
        ("${" + "a ?? " * 60 + "b}", "50 defaults"),
    ],
)
def test_references_that_are_not_well_formed(text: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"\S") as caught:
        parse_template(text)
    assert message in str(caught.value)
    assert caught.value.hint


def test_names_and_paths() -> None:
    value = {"k": ["${a.b ?? c.d ?? 'x'}", "$${no} ${e}"]}
    assert roots(value) == {"a", "c", "e"}
    assert [path for reference in references(value) for path in reference.paths] == [
        ("a", "b"),
        ("c", "d"),
        ("e",),
    ]
    assert parse_template("${a.b} ${a.c}").names == {"a"}


def test_has_references() -> None:
    assert has_references({"a": ["x ${b}"]})
    assert not has_references({"a": ["$b {c}"], "n": 5})


@given(st.lists(st.text(min_size=1, max_size=10) | st.integers(0, 99), max_size=5))
def test_paths_are_shown_as_they_are_read(parts: list[str | int]) -> None:
    path = ("root", *parts)
    reference = parse_template(f"${{{show_path(path)}}}").references[0]
    assert reference.paths == (path,)


@given(st.text(max_size=60))
def test_a_text_without_references_is_itself(text: str) -> None:
    if "${" not in text:
        assert resolve(text, {}) == text


@given(st.text(max_size=40))
def test_values_of_any_text_pass_unharmed(value: str) -> None:
    assert resolve("${v}", {"v": value}) == value
    assert resolve("<${v}>", {"v": value}) == f"<{value}>"
    assert json.loads(resolve("${v} ", {"v": [value]})) == [value]


@given(st.text(alphabet=st.sampled_from(list("${}ab.[]0'\"?? -")), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        template = parse_template(text)
    except TemplateSyntaxError:
        return
    assert template.parts
