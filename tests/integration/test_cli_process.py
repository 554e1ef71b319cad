"""The command line as a process: pipes, terminals, signals, a full disk."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import KURT, Kurt
from tests.support.environment import child_environment

COMMANDS = '''
import time
import click
from kurt.cli.command import command
from kurt.cli.output import Column, Table, echo_progress

@command("many", view=lambda rows: Table(["n", Column("state", "state")], [[r["n"], r["state"]] for r in rows]))
@click.option("--count", default=3)
def many(count):
    """Many rows."""
    return [{"n": n, "state": "failed"} for n in range(count)]

@command("stream", view=lambda n: f"line {n}")
def stream():
    """Without end."""
    n = 0
    while True:
        yield n
        n += 1

@click.command("plain")
def plain():
    """Made with click alone."""
    while True:
        click.echo("x" * 1000)

@command("sleepy")
def sleepy():
    """Sleeps."""
    echo_progress("ready")
    time.sleep(60)

@command("bug")
def bug():
    """Has one."""
    return 1 / 0
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "commands").mkdir(parents=True)
    (folder / "kurt.config").write_text("")
    (folder / "commands" / "probe.py").write_text(COMMANDS)
    return folder


@pytest.fixture
def bare(root: Path, home: Path, tmp_path: Path) -> Kurt:
    """`kurt` in a project that has no database."""
    return Kurt(root, home, tmp_path)


def shell(root: Path, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    environ = child_environment(home, {"KURT": " ".join(KURT)})
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command", ["many --count 200000", "many --count 200000 --format jsonl", "stream", "plain"]
)
def test_a_closed_pipe_is_quiet(root: Path, home: Path, command: str) -> None:
    done = shell(root, home, f"$KURT {command} | head -2")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error(root: Path, home: Path) -> None:
    for command in ("many", "many --format json"):
        done = shell(root, home, f"$KURT {command} > /dev/full")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_an_interrupted_command_exits_130(bare: Kurt, wait_until: Callable[..., object]) -> None:
    process = bare.spawn("sleepy")
    wait_until(lambda: "ready" in process.stderr, 20)
    process.signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr == "ready\nerror: Interrupted\n"


def test_an_unexpected_error_says_where_its_traceback_is(bare: Kurt, root: Path) -> None:
    result = bare("bug", code=1)
    assert "ZeroDivisionError: division by zero" in result.stderr
    assert "Traceback" not in result.stderr
    assert "ZeroDivisionError" in (root / ".kurt" / "logs" / "kurt.log").read_text()
    assert bare("bug", "--format", "json", code=1).error()["code"] == "unexpected"


def test_debug_prints_the_traceback(bare: Kurt) -> None:
    assert "Traceback (most recent call last)" in bare("--debug", "bug", code=1).stderr
    assert "Traceback (most recent call last)" in bare("bug", "--debug", code=1).stderr


def test_python_m_kurt_and_kurt_are_one(root: Path, home: Path) -> None:
    program = Path(sys.executable).with_name("kurt")
    shown = [
        subprocess.run(
            argv,
            cwd=root,
            env=child_environment(home),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for argv in ([str(program), "--help"], [*KURT, "--help"])
    ]
    assert shown[0] == shown[1]
    assert shown[0].startswith("Usage: kurt ")


class TestTerminal:
    def screen(self, root: Path, home: Path, *argv: str, columns: int = 60, **env: str) -> str:
        """What a person sees of a command on a terminal."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [*KURT, *argv],
            cwd=root,
            env=child_environment(home, {"TERM": "xterm-256color", **env}),
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux ends a terminal so
                break
            if not piece:
                break
            seen += piece
        os.close(leader)
        assert process.wait(20) == 0
        return seen.decode()

    def test_states_are_coloured(self, root: Path, home: Path) -> None:
        assert "\x1b[31mfailed\x1b[0m" in self.screen(root, home, "many")

    @pytest.mark.parametrize(
        ("argv", "env"),
        [(["many"], {"NO_COLOR": "1"}), (["many"], {"TERM": "dumb"}), (["--color", "never", "many"], {})],
    )
    def test_unless_nobody_wants_that(
        self, root: Path, home: Path, argv: list[str], env: dict[str, str]
    ) -> None:
        assert "\x1b" not in self.screen(root, home, *argv, **env)

    def test_json_is_indented_and_plain(self, root: Path, home: Path) -> None:
        seen = self.screen(root, home, "many", "--count", "1", "--format", "json")
        assert seen.replace("\r", "") == '[\n  {\n    "n": 0,\n    "state": "failed"\n  }\n]\n'


def test_color_always_reaches_a_pipe(bare: Kurt) -> None:
    assert "\x1b[31mfailed" in bare("many", "--color", "always").stdout
    assert "\x1b" not in bare("many").stdout


def test_project_works_from_anywhere(bare: Kurt, root: Path, tmp_path: Path) -> None:
    assert bare("many", "--count", "1", cwd=tmp_path, code=2).stdout == ""
    assert bare("--project", root, "many", "--count", "1", cwd=tmp_path).lines[1] == "0  failed"
