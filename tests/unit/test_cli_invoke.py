"""Commands inside this process: their values, what they print, their errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kurt.cli.invoke import invoke, resolve
from kurt.errors import CredentialsError, KurtError, NotFoundError, StepError, UsageError

COMMANDS = '''
import sys
import click
from datetime import datetime, timezone
from kurt.cli.command import Outcome, command
from kurt.cli.output import hint
from kurt.errors import CredentialsError

@command("times", starts_run=lambda params: {"workflow": "x", **params} if params["n"] == 3 else None)
@click.option("--n", type=int, default=1)
def times(n):
    """Times."""
    hint("next")
    return [datetime(2026, 1, 1, tzinfo=timezone.utc)] * n

@click.command()
@click.argument("how")
def plain(how):
    """Plain."""
    if how == "json":
        click.echo('{"a": 1}')
    elif how == "text":
        print("two\\nlines")
    elif how == "exit":
        sys.exit(4)
    elif how == "ok":
        sys.exit(0)
    elif how == "abort":
        raise click.Abort
    elif how == "click":
        raise click.ClickException("odd")
    elif how == "bug":
        raise ZeroDivisionError
    elif how == "key":
        raise CredentialsError("no key")

@command("bad")
def bad():
    return Outcome([1], exit_code=1)
'''


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "kurt.config").write_text("USER_ID=me\n")
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "things.py").write_text(COMMANDS)
    path = sys.path[:]
    yield str(tmp_path)
    sys.path[:] = path
    sys.modules.pop("commands.things", None)


def test_the_result_is_what_json_would_print(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["times", "--n", "2"], root) == ["2026-01-01T00:00:00.000Z"] * 2
    assert capsys.readouterr() == ("", "")


def test_the_project_is_the_one_that_was_named(root: str) -> None:
    assert invoke(["config", "get", "USER_ID"], root)["value"] == "me"


def test_what_a_plain_command_prints_is_its_value(root: str) -> None:
    assert invoke(["plain", "json"], root) == {"a": 1}
    assert invoke(["plain", "text"], root) == "two\nlines\n"
    assert invoke(["plain", "ok"], root) is None


@pytest.mark.parametrize(("how", "code"), [("exit", 4), ("abort", 1)])
def test_an_exit_status_is_an_error(root: str, how: str, code: int) -> None:
    with pytest.raises(StepError, match=f"`kurt plain` ended with exit status {code}") as caught:
        invoke(["plain", how], root)
    assert caught.value.details == {"exit_code": code}


def test_a_result_with_an_exit_status_is_an_error_with_the_result(root: str) -> None:
    with pytest.raises(StepError) as caught:
        invoke(["bad"], root)
    assert caught.value.details == {"exit_code": 1, "result": [1]}


def test_errors_come_as_they_are(root: str) -> None:
    with pytest.raises(CredentialsError):
        invoke(["plain", "key"], root)
    with pytest.raises(ZeroDivisionError):
        invoke(["plain", "bug"], root)
    with pytest.raises(KurtError, match=r"^odd$"):
        invoke(["plain", "click"], root)
    with pytest.raises(NotFoundError):
        invoke(["config", "get", "NONE"], root)


@pytest.mark.parametrize("argv", [["nonsense"], ["times", "--n", "x"], ["config"], ["plain"]])
def test_words_that_are_not_understood(root: str, argv: list[str]) -> None:
    with pytest.raises(UsageError):
        invoke(argv, root)


def test_a_command_can_be_understood_without_being_executed(root: str) -> None:
    resolved = resolve(["times", "--n", "3"], root)
    assert (resolved.path, resolved.params) == ("kurt times", {"n": 3})
    assert resolved.starts_run(resolved.params) == {"workflow": "x", "n": 3}
    assert resolve(["config", "show", "--origin"], root).params == {"origin": True}
    assert resolve(["plain", "bug"], root).starts_run is None
    with pytest.raises(UsageError):
        resolve(["times", "--n", "x"], root)


def test_a_result_inside_a_result(root: str) -> None:
    shown = invoke(["config", "show", "--format", "table"], root)
    assert json.dumps(shown)
    assert {"key": "USER_ID", "value": "me"} in shown


def test_a_command_that_executes_a_run_is_refused_in_a_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="executes a run") as caught:
        invoke(["workflows", "run", "x.yaml"], str(tmp_path))
    assert caught.value.hint is not None
    assert "`workflow`" in caught.value.hint
