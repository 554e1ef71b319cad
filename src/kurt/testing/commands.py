"""Running commands in a test, inside the test's process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.testing import CliRunner, Result


def invoke_cli(runner: CliRunner, command: click.Command, args: Sequence[str] = (), **options: Any) -> Result:
    """Run a click command: one of `kurt`, of a plugin, or of a workflow module.

    Args:
        runner: from the fixture `cli_runner`.
        command: the command.
        args: the words after it.
        options: more for `CliRunner.invoke`: `input`, `env`.
    """
    return runner.invoke(command, list(args), **options)


def assert_cli_success(result: Result) -> None:
    """Fail with what the command printed unless it exited with 0."""
    assert result.exit_code == 0, _account(result)  # noqa: S101 - asserting is its work


def assert_cli_failure(result: Result, code: int | None = None) -> None:
    """Fail with what the command printed if it exited with 0, or not with the code that is given."""
    expected = result.exit_code != 0 if code is None else result.exit_code == code
    assert expected, _account(result)  # noqa: S101 - as above


def assert_output_contains(result: Result, text: str) -> None:
    """Fail with what the command printed unless the text is part of it."""
    assert text in result.output, f"{text!r} is not in\n{_account(result)}"  # noqa: S101 - as above


def assert_json_output(result: Result) -> Any:
    """The JSON value that the command printed; fails with what it printed if it is none."""
    try:
        return json.loads(result.stdout)
    except ValueError:
        raise AssertionError(f"this is not JSON\n{_account(result)}") from None


def _account(result: Result) -> str:
    raised = f"\n{result.exception!r}" if result.exception is not None else ""
    return f"exit {result.exit_code}\n{result.output}{raised}"
