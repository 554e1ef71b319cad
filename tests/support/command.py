"""Kurt's command line called inside the test's process: as a user has it, without the cost of starting Python."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.support.cli import Result


class Command:
    """Runs commands that start no executor in this process; what they print and their exit status are the result.

    Args:
        root: the project.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, *argv: str, code: int | None = 0) -> Result:
        """Run one command to its end.

        Args:
            argv: the arguments after `kurt`.
            code: the exit status that is expected; None accepts any.
        """
        from kurt.cli.main import cli

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        status: Any = None
        with redirect_stdout(out), redirect_stderr(err):
            try:
                cli.main(["--project", str(self._root), *argv], "kurt")
            except SystemExit as end:
                status = end.code
        out.flush()
        err.flush()
        shown = [stream.buffer.getvalue().decode() for stream in (out, err)]  # pyright: ignore[reportAttributeAccessIssue] - a BytesIO
        result = Result(argv, int(status or 0), *shown)
        assert code is None or result.exit_code == code, f"exit {code} was expected\n{result}"
        return result

    def json(self, *argv: str, code: int = 0) -> Any:
        """Run one command with `--format json` and return its result; a successful one writes nothing to stderr."""
        result = self(*argv, "--format", "json", code=code)
        assert code or not result.stderr, f"a successful JSON command writes nothing to stderr\n{result}"
        return result.json()
