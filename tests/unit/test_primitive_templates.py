"""Templates: what they see, what they may not do, and how faults are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kurt.app.primitives import templates
from kurt.app.primitives.templates import render_template
from kurt.errors import DataError, NotFoundError, UsageError


def rendered(folder: Path, text: str, data: Any = None, *, name: str = "t.j2") -> str:
    (folder / name).write_text(text)
    return render_template(folder / name, data)


def test_the_data_and_its_keys_are_names(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ data.a }} {{ a }}", {"a": 1}) == "1 1"
    assert rendered(tmp_path, "{{ data[0] }}", ["x"]) == "x"
    assert rendered(tmp_path, "{{ data }}", {"data": 1}) == "{'data': 1}"


def test_loops_work_as_in_jinja(tmp_path: Path) -> None:
    text = (
        "{% for x in data if x > 1 %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}"
    )
    assert rendered(tmp_path, text, [1, 2, 3]) == "1/2,2/2"
    assert rendered(tmp_path, "{% for a, b in data|dictsort %}{{ a }}{{ b }}{% endfor %}", {"x": 1}) == "x1"
    assert rendered(tmp_path, "{% for x in [1, 2] %}{{ x }}{% else %}none{% endfor %}") == "12"
    assert rendered(tmp_path, "{% for x in [] %}{{ x }}{% else %}none{% endfor %}") == "none"
    tree = "{% for x in data recursive %}{{ x.n }}{{ loop(x.c) if x.c }}{% endfor %}"
    assert rendered(tmp_path, tree, [{"n": 1, "c": [{"n": 2, "c": []}]}]) == "12"


def test_templates_of_the_folder_can_be_included(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("[{{ a }}]")
    assert rendered(tmp_path, "{% include 'part.j2' %}", {"a": 1}) == "[1]"
    (tmp_path.parent / "outside.j2").write_text("secret")
    with pytest.raises(DataError, match=r"outside\.j2"):
        rendered(tmp_path, "{% include '../outside.j2' %}")


def test_markup_is_escaped_where_the_name_says_markup(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ data }}", "<b>", name="t.html.j2") == "&lt;b&gt;"
    assert rendered(tmp_path, "{{ data }}", "<b>", name="t.md.j2") == "<b>"


def test_an_unknown_name_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.j2:2: 'titel' is undefined") as caught:
        rendered(tmp_path, "x\n{{ titel }}", {"title": 1})
    assert caught.value.hint is not None
    assert "title" in caught.value.hint


def test_a_fault_of_the_template_is_a_usage_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"t\.j2:2: not a valid template"):
        rendered(tmp_path, "x\n{% for %}")
    with pytest.raises(NotFoundError, match="no template"):
        render_template(tmp_path / "none", 1)


@pytest.mark.parametrize(
    "text",
    [
        "{{ data.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ data.append(1) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ 1 / 0 }}",
        "{{ data + 'x' }}",
        "{{ data|no_such_filter if false }}{{ data.pop() }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ [1, 2] * 99999999 }}",
        "{{ 9 ** 99999 }}",
        "{% for x in range(1000000) %}{% endfor %}",
    ],
)
def test_what_a_template_may_not_do_ends_as_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises((DataError, UsageError)):
        rendered(tmp_path, text, [1])


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n else '' }}{% endmacro %}{{ f(60) }}",
    ],
)
def test_a_template_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(templates, "MAX_SECONDS", 0.2)
    with pytest.raises(DataError, match=r"took longer than 0\.2 seconds"):
        rendered(tmp_path, text)


def test_a_template_that_makes_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_CHARACTERS", 1000)
    with pytest.raises(DataError, match="more than 1000 characters"):
        rendered(tmp_path, "{% for a in range(999) %}xx{{ a }}{% endfor %}")
