"""What a command prints when it fails, and its exit status."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner, Result

from kurt import errors
from kurt.cli.command import command

SECRET = "sk-1234567890abcdef"


@pytest.fixture
def fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`fail(error, *argv)`: how a command ends that raises this error, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(error: BaseException, *argv: str, **options: Any) -> Result:
        @command("fail")
        @click.option("--n", type=int)
        def failing(n: int | None) -> NoReturn:
            raise error

        return CliRunner().invoke(failing, list(argv), **options)

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.KurtError("it broke"), 1),
        (errors.UsageError("it broke"), 2),
        (errors.ConfigError("it broke"), 2),
        (errors.NotFoundError("it broke"), 3),
        (errors.AmbiguousIdError("it broke"), 3),
        (errors.CredentialsError("it broke"), 4),
        (errors.RunFailedError("it broke"), 1),
    ],
)
def test_each_error_has_its_exit_status(
    fail: Callable[..., Result], error: errors.KurtError, code: int
) -> None:
    result = fail(error)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "error: it broke\n")
    described = json.loads(fail(error, "--format", "json").stderr)
    assert described == {"error": {"code": error.code, "message": "it broke", "hint": None}}


def test_causes_and_the_hint_follow(fail: Callable[..., Result]) -> None:
    error = errors.KurtError("it broke", hint="kurt doctor", causes=("disk", "heat"))
    assert fail(error).stderr == "error: it broke\ncause: disk\ncause: heat\nhint: kurt doctor\n"
    assert json.loads(fail(error, "--format=json").stderr)["error"]["causes"] == ["disk", "heat"]


def test_every_fault_of_a_file_is_shown_with_its_place(fail: Callable[..., Result]) -> None:
    faults = [
        errors.Fault("unknown key 'stpes'", "did you mean steps?", "w.yaml", 3, 5),
        errors.Fault("never used", None, "w.yaml", 4, 1, "warning"),
        errors.Fault("no place"),
    ]
    result = fail(errors.DefinitionError(faults))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "w.yaml:3:5: unknown key 'stpes'",
        "  hint: did you mean steps?",
        "w.yaml:4:1: warning: never used",
        "no place",
        "error: w.yaml has 3 errors",
    ]
    described = json.loads(fail(errors.DefinitionError(faults), "--format", "json").stderr)["error"]
    assert [fault["line"] for fault in described["errors"]] == [3, 4, None]


class TestClick:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--n", "x"], "Invalid value for '--n': 'x' is not a valid integer"),
            (["--nn", "1"], "No such option '--nn'. Did you mean '--n'?"),
            (["extra"], "Got unexpected extra argument (extra)"),
            (["--n"], "Option '--n' requires an argument"),
        ],
    )
    def test_a_command_line_that_is_not_understood(
        self, fail: Callable[..., Result], argv: list[str], message: str
    ) -> None:
        result = fail(RuntimeError(), *argv)
        assert result.exit_code == 2
        assert result.stderr == f"error: {message}\nhint: fail --help\n"

    def test_as_json_too_wherever_format_stands(self, fail: Callable[..., Result]) -> None:
        for argv in (["--format", "json", "--n", "x"], ["--n", "x", "--format=jsonl"]):
            described = json.loads(fail(RuntimeError(), *argv).stderr)["error"]
            assert described["code"] == "usage"
            assert described["hint"] == "fail --help"
        assert fail(RuntimeError(), "--n", "x", env={"KURT_FORMAT": "json"}).stderr.startswith("{")

    def test_other_errors_of_click_keep_their_status(self, fail: Callable[..., Result]) -> None:
        class Special(click.ClickException):
            exit_code = 9

        result = fail(Special("odd."))
        assert (result.exit_code, result.stderr) == (9, "error: odd\n")

    def test_an_exit_is_an_exit(self, fail: Callable[..., Result]) -> None:
        assert fail(click.exceptions.Exit(5)).exit_code == 5
        assert fail(SystemExit(6)).exit_code == 6

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort(), EOFError()])
    def test_an_interruption(self, fail: Callable[..., Result], error: BaseException) -> None:
        result = fail(error)
        assert (result.exit_code, result.stderr) == (130, "error: Interrupted\n")
        assert json.loads(fail(error, "--format", "json").stderr)["error"]["code"] == "interrupted"


class TestMachine:
    def test_a_file_that_cannot_be_used_is_named(self, fail: Callable[..., Result], tmp_path: Path) -> None:
        result = fail(FileNotFoundError(2, "No such file or directory", "x.md"))
        assert (result.exit_code, result.stderr) == (1, "error: 'x.md': No such file or directory\n")
        result = fail(OSError(28, "No space left on device"))
        assert (result.exit_code, result.stderr) == (
            1,
            (
                "error: No space left on device\n"
                "hint: free space on the disk, then repeat the command; nothing that was stored is lost\n"
            ),
        )
        assert list(tmp_path.iterdir()) == []


class TestUnexpected:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / "kurt.config").write_text("")
        return tmp_path

    def test_it_says_where_the_traceback_is(self, fail: Callable[..., Result], project: Path) -> None:
        result = fail(ZeroDivisionError("by zero"))
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            "error: unexpected error: ZeroDivisionError: by zero",
            "hint: the traceback is in .kurt/logs/kurt.log; --debug prints it",
        ]
        kept = (project / ".kurt" / "logs" / "kurt.log").read_text()
        assert " ERROR fail: ZeroDivisionError\nTraceback (most recent call last):\n" in kept
        assert kept.rstrip().endswith("ZeroDivisionError: by zero")

    def test_later_ones_are_added(self, fail: Callable[..., Result], project: Path) -> None:
        fail(ValueError("first"))
        fail(sqlite3.OperationalError("second"))
        kept = (project / ".kurt" / "logs" / "kurt.log").read_text()
        assert "ValueError: first" in kept
        assert "OperationalError: second" in kept

    def test_without_a_project_it_goes_to_a_temporary_file(
        self, fail: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        hint = fail(ValueError("odd")).stderr.splitlines()[1]
        (file,) = tmp_path.glob("kurt-error-*.log")
        assert str(file) in hint
        assert "ValueError: odd" in file.read_text()

    def test_a_folder_that_cannot_be_written_is_no_second_error(
        self, fail: Callable[..., Result], project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project / ".kurt").write_text("in the way")
        monkeypatch.setattr("tempfile.tempdir", str(project / "nowhere"))
        result = fail(ValueError("odd"))
        assert result.exit_code == 1
        assert "no file (No such file or directory)" in result.stderr

    def test_debug_shows_the_traceback(self, fail: Callable[..., Result], project: Path) -> None:
        shown = fail(ValueError("odd"), "--debug").stderr
        assert shown.startswith("Traceback (most recent call last):\n")
        assert "error: unexpected error: ValueError: odd" in shown
        described = json.loads(fail(ValueError("odd"), "--debug", "--format", "json").stderr)["error"]
        assert described["code"] == "unexpected"
        assert "Traceback" in described["traceback"]
        assert "Traceback" in fail(errors.NotFoundError("known"), "--debug").stderr

    def test_secrets_stay_out_of_the_file(self, fail: Callable[..., Result], project: Path) -> None:
        (project / ".env").write_text(f"OPENAI_API_KEY={SECRET}\n")
        fail(ValueError(f"call failed with key {SECRET}"))
        kept = (project / ".kurt" / "logs" / "kurt.log").read_text()
        assert "call failed with key ***" in kept
        assert SECRET not in kept

    def test_broken_settings_do_not_hide_it(self, fail: Callable[..., Result], project: Path) -> None:
        (project / "kurt.config").write_text("nonsense")
        assert "ValueError: odd" in fail(ValueError("odd")).stderr
