"""The primitives as a person uses them: real processes in a shell, in pipes, on a terminal."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.environment import child_environment
from tests.support.terminal import run_in_terminal


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where the commands run, with some files."""
    (tmp_path / "rows.json").write_text('[{"name": "Ada"}, {"name": "Bob"}, {"name": "Cleo"}]')
    (tmp_path / "rows.csv").write_text("name,n\nAda,3\nBob,1\nCleo,2\n")
    return tmp_path


@pytest.fixture
def shell(here: Path, home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`shell("kurt ... | kurt ...", code=0)`: real processes."""
    prelude = f'kurt() {{ {shlex.quote(sys.executable)} -m kurt "$@"; }}; '

    def call(command: str, *, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["sh", "-c", prelude + command],
            cwd=here,
            env=child_environment(home),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{command}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


Shell = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_pipe_works_with_default_formats(shell: Shell, here: Path) -> None:
    shell(
        "kurt workflows read rows.csv | kurt workflows transform --data - --filter 'int(n) > 1' --sort -n"
        " | kurt workflows write --data - --output out.json"
    )
    expected = [{"name": "Ada", "n": "3"}, {"name": "Cleo", "n": "2"}]
    assert json.loads((here / "out.json").read_text()) == expected


def test_a_pipe_works_with_json_lines_and_with_foreach(shell: Shell) -> None:
    done = shell(
        "export KURT_FORMAT=jsonl; kurt workflows read rows.json | kurt workflows foreach"
        " --command 'kurt workflows transform --select name' | kurt workflows write --format csv"
    )
    assert done.stdout == "value\nAda\nBob\nCleo\n"


def test_a_reader_that_stops_early_is_no_error(shell: Shell) -> None:
    done = shell('kurt workflows write --data \'["x", "y"]\' --format text | head -n 1')
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_five_megabytes_travel_by_file_and_stdin(shell: Shell, here: Path) -> None:
    text = "${x} 'quote' \"double\"\n; rm -rf ~ $(id) \\ ü" * 100_000
    (here / "big.txt").write_text(text)
    shell(
        "kurt workflows write --data @big.txt --output copy.txt && cmp big.txt copy.txt &&"
        " kurt workflows read big.txt | kurt workflows write --format text --output copy2.txt && cmp big.txt copy2.txt"
    )


def test_on_a_terminal_a_value_is_shown_for_people(here: Path, home: Path) -> None:
    def shown(*argv: str) -> list[str]:
        command = [sys.executable, "-m", "kurt", "workflows", *argv]
        env = child_environment(home, {"TERM": "xterm", "NO_COLOR": "1"})
        return run_in_terminal(command, cwd=here, env=env)[0]

    assert shown("read", "rows.csv")[:4] == ["NAME  N", "Ada   3", "Bob   1", "Cleo  2"]
    assert "there is no data" in shown("transform")[0]


# What they load


@pytest.mark.parametrize(
    "argv",
    [
        ["read", "rows.json"],
        ["transform", "--data", "[1]", "--filter", "item > 0"],
        ["validate", "--data", "[1]", "--type", "list"],
        ["write", "--data", "1", "--output", "out.json"],
        ["foreach", "--data", "[1]", "--command", "workflows transform"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_primitive_loads_nothing_that_it_does_not_need(here: Path, home: Path, argv: list[str]) -> None:
    heavy = ("dbos", "sqlalchemy", "pydantic", "rich", "yaml", "jinja2", "jsonschema_rs", "asyncio", "pandas")
    code = (
        "import sys\n"
        "from kurt.cli.main import cli\n"
        "try:\n"
        f"    cli.main(['workflows', *{argv!r}], 'kurt')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env=child_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
