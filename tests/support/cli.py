"""The command line as a user has it: real processes in a real project."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.environment import child_environment
from tests.support.processes import Spawned

KURT = [sys.executable, "-m", "kurt"]
"""How tests start Kurt."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    Attributes:
        argv: the arguments after `kurt`.
        exit_code: its exit status.
        stdout: what it printed.
        stderr: its progress, hints and errors.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Its result as JSON."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"stdout is not JSON\n{self}") from None

    def error(self) -> dict[str, Any]:
        """The error object that a command prints to stderr in JSON mode."""
        try:
            return json.loads(self.stderr)["error"]
        except (json.JSONDecodeError, KeyError):
            raise AssertionError(f"stderr is not an error object\n{self}") from None

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.stdout.splitlines()

    def __str__(self) -> str:
        return (
            f"$ kurt {' '.join(self.argv)}\nexit {self.exit_code}\n"
            f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        )


class Kurt:
    """Runs `kurt` in one project.

    Attributes:
        project: the project's folder, where commands start.
        environ: variables that every command gets on top of the scrubbed environment.
    """

    def __init__(self, project: Path, home: Path, output: Path) -> None:
        self.project = project
        self.environ: dict[str, str] = {}
        self._home = home
        self._output = output
        self._spawned: list[Spawned] = []

    def __call__(
        self,
        *argv: str | Path,
        code: int | None = 0,
        input: str | bytes | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        limit: float = 60.0,
    ) -> Result:
        """Run one command to its end.

        Args:
            argv: the arguments after `kurt`.
            code: the exit status that is expected; None accepts any.
            input: what it finds on stdin; nothing by default.
            env: variables on top of the scrubbed environment.
            cwd: where it starts; the project by default.
            limit: seconds after which the test fails.
        """
        given = tuple(str(word) for word in argv)
        done = subprocess.run(
            [*KURT, *given],
            cwd=cwd or self.project,
            env=child_environment(self._home, {**self.environ, **(env or {})}),
            input=input.encode() if isinstance(input, str) else (input or b""),
            capture_output=True,
            timeout=limit,
            check=False,
        )
        result = Result(given, done.returncode, _text(done.stdout), _text(done.stderr))
        assert code is None or result.exit_code == code, f"exit {code} was expected\n{result}"
        return result

    def json(self, *argv: str | Path, **options: Any) -> Any:
        """Run one command with `--format json` and return its result; it may write nothing to stderr."""
        result = self(*argv, "--format", "json", **options)
        assert not result.stderr, f"a successful JSON command writes nothing to stderr\n{result}"
        return result.json()

    def spawn(self, *argv: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Spawned:
        """Start a command and return at once; it is ended with the test at the latest."""
        return self.spawn_program([*KURT, *map(str, argv)], env=env, cwd=cwd)

    def spawn_program(
        self, argv: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Spawned:
        """Start any program in the project; it is ended with the test at the latest."""
        process = Spawned(
            argv,
            cwd or self.project,
            child_environment(self._home, {**self.environ, **(env or {})}),
            self._output / f"process-{len(self._spawned)}",
        )
        self._spawned.append(process)
        return process

    def end(self) -> None:
        """End every process that this object started."""
        for process in self._spawned:
            process.end()


def _text(data: bytes) -> str:
    """Output of a process as text."""
    return data.decode("utf-8", errors="replace")
