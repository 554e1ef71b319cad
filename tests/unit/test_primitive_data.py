"""`--data`, and the streams of commands that run in this process."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kurt.cli.streams import captured
from kurt.cli.workflows.data_param import Data, DataParam
from kurt.errors import DataError, KurtError, NotFoundError, UsageError
from kurt.handoff import Handoff


@click.command()
@click.option("--data", type=DataParam())
@click.option("--plain", is_flag=True)
def show(data: Data, plain: bool) -> None:
    try:
        click.echo(repr(data.load(plain_text=plain)))
    except KurtError as error:
        click.echo(f"{type(error).__name__}: {error.message} / {error.hint}")


def shown(*argv: str, stdin: str | bytes | None = None) -> str:
    return CliRunner().invoke(show, argv, input=stdin, catch_exceptions=False).output.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "value"), [('{"a": [1]}', {"a": [1]}), ('"text"', "text"), ("null", None), ("12", 12)]
)
def test_json_text(text: str, value: Any) -> None:
    assert shown("--data", text) == repr(value)


def test_text_that_is_not_json_is_refused_unless_text_is_wanted() -> None:
    assert shown("--data", "hello, world").startswith("UsageError: --data 'hello, world' is not JSON")
    assert "'\"like this\"'" in shown("--data", "hello")
    assert shown("--data", "hello", "--plain") == "'hello'"
    assert shown("--data", '"hello"', "--plain") == "'hello'"


def test_a_long_text_is_not_repeated_in_the_error() -> None:
    assert len(shown("--data", "x" * 5000)) < 300


def test_a_file_is_read_by_its_format(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert shown("--data", f"@{tmp_path / 'x.csv'}") == "[{'a': '1', 'b': '2'}]"
    assert shown("--data", f"@{tmp_path / 'none.csv'}").startswith("NotFoundError: there is no file")


@pytest.mark.parametrize(
    ("stdin", "value"),
    [('{"a": 1}\n', {"a": 1}), ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]), ('\ufeff"ü"', "ü")],
)
def test_stdin_is_json_or_json_lines(stdin: str, value: Any) -> None:
    assert shown("--data", "-", stdin=stdin) == repr(value)


def test_stdin_that_is_something_else() -> None:
    assert "kurt workflows read - --format csv" in shown("--data", "-", stdin="a,b\n1,2\n")
    assert shown(
        "--data",
        "-",
        stdin="a,b\n1,2\n",
    ).startswith("DataError: stdin:1:1 is not valid JSON")
    assert shown("--data", "-", "--plain", stdin="a,b\n1,2\n") == "'a,b\\n1,2\\n'"
    assert shown("--data", "-", stdin="").startswith("DataError: stdin is empty")
    assert shown("--data", "-", "--plain", stdin="") == "''"
    assert shown("--data", "-", stdin=b"\xff").startswith("DataError: stdin:1 is not UTF-8")


def test_objects_are_handed_over_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"text": "@not-a-file", "list": [1]}
    with Handoff() as handoff:
        data = DataParam().convert(handoff.token(value), None, None)
        text = DataParam().convert(handoff.token("{"), None, None)
    assert data.load() is value
    assert text.load() == "{"
    with pytest.raises(NotFoundError):
        DataParam().convert("@obj:0:0", None, None).load()  # nobody's token


def test_looking_at_a_command_line_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ctx = show.make_context("show", ["--data", "-"])
    assert isinstance(ctx.params["data"], Data)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(UsageError, match="there is no data"):
        Data("-").load()


def test_each_thread_has_its_own_streams(capsys: pytest.CaptureFixture[str]) -> None:
    both = threading.Barrier(2, timeout=20)
    texts: dict[str, str] = {}

    def work(name: str) -> None:
        with captured(stdin=f"in {name}\nmore", echo=False) as capture:
            both.wait()
            click.echo(f"{name} first")
            both.wait()
            sys.stdout.write(f"{sys.stdin.readline().strip()} {sys.stdin.read()}\n")
            click.echo(b"bytes")
            both.wait()
        texts[name] = capture.text()

    real = sys.stdout
    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {name: f"{name} first\nin {name} more\nbytes\n" for name in ("a", "b")}
    assert sys.stdout is real
    assert capsys.readouterr().out == ""


def test_output_is_echoed_and_others_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with captured() as capture:
        sys.stdout.write("kept\n")
        other = threading.Thread(target=lambda: sys.stdout.write("not kept\n"))
        other.start()
        other.join()
    assert capture.text() == "kept\n"
    assert capsys.readouterr().out == "kept\nnot kept\n"


def test_binary_input_and_what_the_streams_say_of_themselves() -> None:
    with captured(stdin="ü", echo=False):
        stdout: Any = sys.stdout
        assert not sys.stdin.isatty()
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdin.buffer.read() == "ü".encode()
        with pytest.raises(TypeError):
            stdout.write(b"x")


def test_stdin_of_the_process_is_kept_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("real"))
    with captured():
        assert sys.stdin.read() == "real"


def test_errors_of_data_end_with_1() -> None:
    assert DataError().exit_code == 1
