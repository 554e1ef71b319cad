"""Results on stdout, words for people on stderr, tables, colours."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from kurt.cli import output, session
from kurt.cli.output import Column, Table, echo_progress, hint, print_result, rendering, to_jsonable, warn


def table(*columns: str | Column, rows: list[list[object]], **options: Any) -> list[str]:
    chosen: dict[str, Any] = {"terminal": False, "colour": False, "width": 80} | options
    return Table(columns, rows).render(**chosen).splitlines()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestTable:
    def test_columns_are_aligned_and_numbers_stand_right(self) -> None:
        assert table("name", "n", rows=[["a", 5], ["long", 100], ["x", None]]) == [
            "NAME    N",
            "a       5",
            "long  100",
            "x",
        ]

    def test_a_table_without_rows_says_so(self) -> None:
        assert Table(["a"], [], empty="no runs").render(terminal=True, colour=True) == "no runs"

    def test_headings_can_be_left_out(self) -> None:
        assert Table(["a"], [["b"]], header=False).render(terminal=False, colour=False) == "b"

    def test_in_a_pipe_values_are_whole(self) -> None:
        long = "x" * 500
        assert table(Column("text", shrink=True), rows=[[long]], width=40)[1] == long

    def test_on_a_terminal_long_texts_are_cut_and_ids_are_not(self) -> None:
        lines = table(
            "id", Column("text", shrink=True), rows=[["i" * 26, "word " * 30]], terminal=True, width=60
        )
        assert len(lines[1]) == 60
        assert lines[1].startswith("i" * 26)
        assert lines[1].endswith("…")

    def test_the_widest_column_shrinks_first(self) -> None:
        rows = [["a" * 20, "b" * 60]]
        line = table(Column("a", shrink=True), Column("b", shrink=True), rows=rows, terminal=True, width=50)[
            1
        ]
        assert len(line) == 50
        assert line.startswith("a" * 20 + "  ")

    def test_wide_characters_take_two_columns(self) -> None:
        assert table("a", "b", rows=[["日本", "x"], ["abc", "y"]]) == ["A     B", "日本  x", "abc   y"]
        cut = table(Column("a", shrink=True), rows=[["日" * 30]], terminal=True, width=21)[1]
        assert cut == "日" * 10 + "…"

    def test_states_have_a_colour_and_their_word(self) -> None:
        lines = table(
            Column("state", "state"), rows=[["failed"], ["succeeded (1 skipped)"], ["odd"]], colour=True
        )
        assert lines == [
            "\x1b[1mSTATE\x1b[0m",
            "\x1b[31mfailed\x1b[0m",
            "\x1b[32msucceeded (1 skipped)\x1b[0m",
            "odd",
        ]

    def test_values_cannot_steer_the_terminal(self) -> None:
        (line,) = table("a", rows=[["\x1b[2Jtitle\nnext\u202ereversed\u00a0end"]])[1:]
        assert line == r"\x1b[2Jtitle\nnext\u202ereversed" + "\u00a0end"

    def test_times_are_utc_in_a_pipe_and_local_on_a_terminal(self, utc: None) -> None:
        column = Column("at", "time")
        for value in ("2026-11-21T07:00:00.123Z", datetime(2026, 11, 21, 7, 0, 0, 123000, UTC)):
            assert table(column, rows=[[value]])[1] == "2026-11-21T07:00:00Z"
            assert table(column, rows=[[value]], terminal=True)[1] == "2026-11-21 08:00:00"
        assert table(column, "b", rows=[[None, "x"]])[1].strip() == "x"


class TestJson:
    def test_objects_become_plain_values(self) -> None:
        class Thing:
            def to_json(self) -> dict[str, object]:
                return {"at": datetime(2026, 1, 2, 3, 4, 5, 6000, timezone(timedelta(hours=1)))}

        assert to_jsonable(
            [Thing(), Path("a/b"), (1, 2), {3: {"b", "a"}}, float("nan"), float("inf"), 1.5]
        ) == [
            {"at": "2026-01-02T02:04:05.006Z"},
            "a/b",
            [1, 2],
            {"3": ["a", "b"]},
            None,
            None,
            1.5,
        ]

    def test_what_has_no_json_form_is_an_error(self) -> None:
        with pytest.raises(TypeError, match="object, which has no JSON form"):
            to_jsonable(object())

    @pytest.mark.parametrize(("mode", "text"), [("json", "[]\n"), ("jsonl", ""), ("table", "")])
    def test_an_empty_list(self, mode: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        with rendering(mode):
            print_result([])
        assert capsys.readouterr().out == text

    def test_json_keeps_unicode_and_is_one_line_in_a_pipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        with rendering("json"):
            print_result({"a": "ä", "b": [1]})
        assert capsys.readouterr().out == '{"a": "ä", "b": [1]}\n'

    def test_on_a_terminal_json_is_indented(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Screen(io.StringIO):
            encoding = "utf-8"

            def isatty(self) -> bool:
                return True

        screen = Screen()
        monkeypatch.setattr(sys, "stdout", screen)
        with rendering("json"):
            print_result({"a": 1})
        assert screen.getvalue() == '{\n  "a": 1\n}\n'

    def test_jsonl_is_one_line_an_element(self, capsys: pytest.CaptureFixture[str]) -> None:
        with rendering("jsonl"):
            print_result([{"a": 1}, {"a": 2}])
            print_result({"a": 3})
        assert [json.loads(line)["a"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]

    def test_an_odd_file_name_is_still_valid_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
        with rendering("json"):
            print_result({"a": "x\udc80y"})
        assert json.loads(raw.getvalue()) == {"a": "x\udc80y"}

    def test_an_ascii_stdout_gets_valid_json_and_readable_tables(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        with rendering("json"):
            print_result({"a": "ä"})
        with rendering("table"):
            print_result("ä")
        assert raw.getvalue() == b'{"a": "\\u00e4"}\n\\xe4\n'


class TestForPeople:
    def test_an_object_is_shown_as_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_result({"name": "x", "rows": [1], "done": True, "none": None})
        assert capsys.readouterr().out == "name  x\nrows  [1]\ndone  true\nnone\n"

    def test_a_list_of_objects_is_shown_as_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_result([{"a": 1}, {"a": 2, "b": "x"}])
        assert capsys.readouterr().out == "A  B\n1\n2  x\n"

    @pytest.mark.parametrize(
        ("value", "text"), [(None, ""), ("text\n", "text\n"), ([1, "b"], "1\nb\n"), (True, "true\n")]
    )
    def test_other_values(self, value: object, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        print_result(value)
        assert capsys.readouterr().out == text

    def test_items_of_an_iterator_are_shown_as_they_come(self, capsys: pytest.CaptureFixture[str]) -> None:
        seen: list[str] = []

        def items() -> Iterator[dict[str, int]]:
            for number in (1, 2):
                yield {"n": number}
                seen.append(capsys.readouterr().out)

        print_result(items(), lambda item: f"<{item['n']}>")
        with rendering("jsonl"):
            print_result(items())
        assert seen == ["<1>\n", "<2>\n", '{"n": 1}\n', '{"n": 2}\n']

    def test_silent_prints_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        with rendering("silent"):
            print_result([1])
            warn("w")
            hint("h")
            echo_progress("p")
        assert capsys.readouterr() == ("", "")

    def test_progress_hints_and_warnings_go_to_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        echo_progress("p")
        hint("h")
        warn("w")
        assert capsys.readouterr() == ("", "p\nhint: h\nwarning: w\n")

    def test_quiet_leaves_warnings(self, capsys: pytest.CaptureFixture[str]) -> None:
        quiet = session.Session()
        quiet.quiet = True
        with session.opened(quiet):
            echo_progress("p")
            hint("h")
            warn("w")
        assert capsys.readouterr().err == "warning: w\n"

    @pytest.mark.parametrize("mode", ["json", "jsonl"])
    def test_json_modes_leave_nothing(self, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
        with rendering(mode):
            echo_progress("p")
            hint("h")
            warn("w")
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("choice", "terminal", "environ", "coloured"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", False, {"TERM": "xterm"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"TERM": "xterm"}, False),
    ],
)
def test_colours(
    choice: str, terminal: bool, environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    chosen = session.Session()
    chosen.color = choice
    with session.opened(chosen):
        assert output.colours(stream) is coloured
        assert output.paint("x", "red", "bold", on=coloured) == ("\x1b[31;1mx\x1b[0m" if coloured else "x")
