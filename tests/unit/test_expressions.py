"""Expressions: values, errors, and what they look up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.expressions.evaluation import Expression, compile_expression, evaluate, is_true
from kurt.engine.expressions.functions import FUNCTIONS
from kurt.errors import ExpressionError

SCOPE: dict[str, Any] = {
    "mode": "fast",
    "n": 3,
    "xs": [1, 2, 3],
    "names": ["b", "a"],
    "none": None,
    "empty": "",
    "page": {"title": "T", "my-key": 1, "from": 2, "tags": [{"name": "x"}]},
    "quote": "it's ${mode} == 'x'",
    "steps": {"my-step": {"ok": True}},
    "error": {"type": "HttpError", "status": 503},
}


@pytest.mark.parametrize(
    "text",
    [
        "mode == 'fast'",
        "${mode} == 'fast'",
        "'${mode}' == 'fast'",
        '"${mode}" == "fast"',
        "'x-${mode}-${n}' == 'x-fast-3'",
        "quote == '${quote}'",
        "${quote} == quote",
        "len(xs) > 0 and n in xs",
        "1 < n <= 3",
        "not 3 < n",
        "n != 4 or missing",
        "mode in ['fast', 'full']",
        "'as' in mode and 'zz' not in mode",
        "'title' in page",
        "page.title == 'T' and page['my-key'] == 1",
        "page.tags[0].name == 'x' and xs[-1] == 3",
        'page["from"] == 2 and ${page.from} == 2',
        "steps['my-step'].ok and ${steps.my-step}.ok and ${steps.my-step.ok}",
        "error.status in [429, 503]",
        "${page}.title == ${page}['title']",
        "xs[${n} - 1] == 3",
        "len(${xs}) == 3",
        "(n if mode == 'slow' else 10) == 10",
        "default(page.nothing.at.all, 'd') == 'd'",
        "default(none, 'd') == 'd' and default(empty, 'd') == ''",
        "${page.nothing ?? 'd'} == 'd' and '${page.nothing ?? n}' == 3",
        "none == null and none == None",
        "true and not false and True != False",
        "[1, [2]] == [1, [2]] and {'a': n} == {'a': 3}",
        "true != 1 and 1 == 1.0 and '1' != 1 and not [] == {}",
        "not (1 in [true, '1']) and 1 in [true, 1.0] and [1] in [[1]]",
        "'\\n' == '\\x0a' and r'\\n' == '\\\\n' and '\\d' == r'\\d'",
        "n\n  ==\n  3",
        "-n + 5 == 2 and +n == 3",
        "7 % 4 == 3 and 7 / 2 == 3.5 and 2 * 3 - 1 == 5",
        "'a' + 'b' == 'ab' and [1] + xs == [1, 1, 2, 3]",
        "'a' < 'b' and 1 < 1.5",
    ],
)
def test_what_is_true(text: str) -> None:
    assert evaluate(text, SCOPE) is True
    assert is_true(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("len('abc') + len(xs) + len(page)", 10),
        ("lower('AB') + upper('cd') + strip(' e ')", "abCDe"),
        ("[startswith(mode, 'fa'), endswith(mode, 'x')]", [True, False]),
        ("[contains(mode, 'as'), contains(xs, 2), contains(page, 'x')]", [True, True, False]),
        (r"[matches(mode, '^f\w+t$'), matches('a b', '\bb\b'), matches(mode, 'z')]", [True, True, False]),
        ("replace('a-b-c', '-', '+')", "a+b+c"),
        ("split('a,b', ',') + split('x\\ny')", ["a", "b", "x", "y"]),
        ("join(xs, '-') + join(names)", "1-2-3ba"),
        ("[int('12'), int(3.9), int(true), float('1.5'), float(2)]", [12, 3, 1, 1.5, 2.0]),
        ("str(xs) + str('x') + str(null)", "[1, 2, 3]xnull"),
        ("[json('x'), parse_json('[1]')]", ['"x"', [1]]),
        ("[bool([]), bool('x')]", [False, True]),
        ("[min(xs), max(1, 5, 2), min('b', 'a'), sum(xs), sum([])]", [1, 5, "a", 6, 0]),
        ("[any([0, 1]), all([0, 1]), any([]), all([])]", [True, False, False, True]),
        ("sorted(names) + sorted([2, 1]) + reversed(xs)", ["a", "b", 1, 2, 3, 2, 1]),
        ("[first(xs), last(xs), first([]), last([])]", [1, 3, None, None]),
        ("keys(page) + values({'a': 1})", ["title", "my-key", "from", "tags", 1]),
        ("[abs(-2), round(2.567, 1), round(2.5)]", [2, 2.6, 2]),
        ("default(nope, 5)", 5),
        ("n and 'yes'", "yes"),
        ("none or 'no'", "no"),
        ("(1, 2)", [1, 2]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = evaluate(text, SCOPE)
    assert (found, type(found)) == (value, type(value))


def test_every_function_is_tested() -> None:
    cases = [case for name in ("test_values", "test_what_is_true") for case in _cases(name)]
    assert not {name for name in FUNCTIONS if not any(f"{name}(" in text for text in cases)}


def _cases(test: str) -> list[str]:
    mark = next(mark for mark in globals()[test].pytestmark if mark.name == "parametrize")
    return [case if isinstance(case, str) else case[0] for case in mark.args[1]]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nope", "unknown name `nope`", "in scope are"),
        ("mod == 'fast'", "unknown name `mod`", "did you mean `mode`?"),
        ("page.titel", "`page` has no key 'titel'", "did you mean `title`?"),
        ("xs[5]", "there is no [5]", None),
        ("xs[n]", "there is no item [3]", None),
        ("none.x", "`none` is null", None),
        ("n.real", "`n` is a number", None),
        ("'a' < 1", "cannot compare a text with a number", None),
        ("xs < xs", "cannot compare a list with a list", None),
        ("'a' + 1", "cannot add a number to a text", None),
        ("true + 1", "cannot add a number to a boolean", None),
        ("'a' * 3", "`*` takes numbers", None),
        ("'%s' % n", "`%` takes numbers", None),
        ("-'a'", "takes a number", None),
        ("1 / 0", "division by zero", None),
        ("1 % 0", "division by zero", None),
        ("1 in n", "looks into a text, a list or a mapping", None),
        ("1 in 'a'", "looks for text in a text", None),
        ("page[0]", "`page` is a mapping, it has no 0", None),
        ("page[n]", "a mapping cannot be indexed with a number", None),
        ("int('1.5')", "'1.5' is not a whole number", None),
        ("float('nan')", "not a finite number", None),
        ("float('x')", "'x' is not a number", None),
        ("min([])", "empty list", None),
        ("sum(['a'])", "takes numbers, not a text", None),
        ("sorted([1, 'a'])", "either numbers or texts", None),
        ("len(n)", "not a number", None),
        ("lower(n)", "takes a text, not a number", None),
        ("matches(mode, '(')", "`)` is missing", None),
        ("parse_json('{')", "not JSON", None),
        ("parse_json('NaN')", "not JSON", None),
        ("${nope} == 1", "unknown name `nope`", None),
        ("'${page.nope}' == 1", "no key 'nope'", None),
    ],
)
def test_failures_say_what_and_what_was_in_scope(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, SCOPE)
    assert message in caught.value.message
    assert repr(text) in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")
    assert caught.value.details == {"expression": text, "in_scope": sorted(SCOPE)}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "empty", None),
        ("1 +", "invalid syntax", "for example"),
        ("a b", "near 'b'", None),
        ("'open", "not closed", None),
        ("page.from", "invalid syntax", 'x["from"]'),
        ("n ** 2", "no power operator", "multiply"),
        ("n // 2", "no `//`", "int(a / b)"),
        ("n is none", "no `is`", "write `==`"),
        ("xs[0:1]", "no slices", None),
        ("[x for x in xs]", "no comprehensions", "foreach"),
        ("lambda: 1", "no functions to define", None),
        ("f'{mode}'", "no f-strings", "${name}"),
        ("b'x'", "prefix `b`", None),
        ("{1, 2}", "no sets", "list"),
        ("{1: 2}", "keys of a mapping", None),
        ("mode && n", "`&&`", "`and`"),
        ("mode || n", "`||`", "`or`"),
        ("!n", "`!`", "`not`"),
        ("mode = 'x'", "`=`", "`==`"),
        ("mode === 'x'", "`===`", "`==`"),
        ("n ? 1 : 2", "`?`", "if condition else"),
        ("{{ mode }} == 'x'", "`{{`", "${name}"),
        ("mode == 'x' # no", "`#`", None),
        ("a; b", "`;`", None),
        ("(x := 1)", "`:=`", None),
        ("mode.upper()", "no methods", "upper(...)"),
        ("xs.append(1)", "no methods", None),
        ("lenn(xs)", "`lenn` is not a function", "did you mean `len`?"),
        ("open('x')", "`open` is not a function", None),
        ("${mode}()", "a reference is not a function", None),
        ("len(xs)()", "only a function of the table", None),
        ("len()", "does not take 0 arguments", "len(x)"),
        ("len(xs, xs)", "does not take 2 arguments", None),
        ("round(1, digits=2)", "`=` has no meaning", None),
        ("len(*xs)", "no `*`", None),
        ("1j", "not a value of JSON", None),
        ("...", "not a value of JSON", None),
        ("1e999", "too large", None),
        ("9" * 400, "too large", None),
        ("~n", "not part of the language", None),
        ("n & 1", "not part of the language", None),
        ("${mode == 'x'}", "holds an expression", None),
        ("${mode", "not closed", None),
        ("_kurt_reference_0", "names may not contain", None),
        ("x" * 5000, "4000 are allowed", None),
        ("(" * 250 + "1" + ")" * 250, "nested", None),
        ("not " * 500 + "1", "nested too deep", None),
        ("x" + ".a" * 200, "nested too deep", None),
    ],
)
def test_what_is_no_expression(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_lookups() -> None:
    expression = compile_expression(
        "len(a.b) > ${c.d ?? e} and '${f}-x' == default(g[0], h) and steps['s'].x[i]"
    )
    assert {(lookup.path, lookup.optional) for lookup in expression.lookups} == {
        (("a", "b"), False),
        (("c", "d"), True),
        (("e",), True),
        (("f",), False),
        (("g", 0), True),
        (("h",), False),
        (("steps", "s", "x"), False),
        (("i",), False),
    }
    assert expression.names == {"a", "c", "e", "f", "g", "h", "steps", "i"}
    assert ("a", "b") in expression.paths


def test_what_is_false() -> None:
    for text in ("false", "null", "0", "0.0", "''", "[]", "{}"):
        assert is_true(text, {}) is False


def test_expressions_are_compiled_once() -> None:
    assert compile_expression("n + 1") is compile_expression("n + 1")
    assert isinstance(compile_expression("n + 1"), Expression)


@given(st.text(max_size=50))
def test_a_value_never_becomes_code(value: str) -> None:
    scope = {"v": value, "secret": "s"}
    assert evaluate("${v} == v and '${v}' == v", scope) is True
    assert evaluate("'<${v}>'", scope) == f"<{value}>"
    assert evaluate("len('${v}' + ${v})", scope) == 2 * len(value)
