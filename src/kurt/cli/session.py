"""What holds for one command: its format, colours, verbosity and project.

The global options may stand before or after the command's name; both write into the session of the running command.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from kurt.errors import KurtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from kurt.config import Settings

in_step: ContextVar[bool] = ContextVar("kurt_in_step", default=False)
"""Whether a command is called by a step or by another program in this process, where no run can be executed."""

TABLE, JSON, JSONL, SILENT = "table", "json", "jsonl", "silent"
FORMATS = (TABLE, JSON, JSONL)
"""What `--format` takes."""


class Session:
    """State of one command line.

    Args:
        argv: the words after the program's name.
        on_settings: is told when the project's settings have been read.

    Attributes:
        argv: the words after the program's name.
        format: what `--format` says, or None.
        color: `auto`, `always` or `never`.
        quiet: no progress and no hints.
        debug: errors show their traceback.
        project: folder of `--project`, or None for the working directory.
        user: whose runs alone are shown, what `--user` says, or None.
        workspace: likewise, what `--workspace` says.
        command: the command's full name as far as it is known, such as `kurt workflows run`.
    """

    def __init__(
        self, argv: Sequence[str] = (), *, on_settings: Callable[[Settings], None] | None = None
    ) -> None:
        self.argv = tuple(argv)
        self.format: str | None = None
        self.color = "auto"
        self.quiet = False
        self.debug = False
        self.project: str | None = None
        self.user: str | None = None
        self.workspace: str | None = None
        self.command = "kurt"
        self._mode: str | None = None
        self._settings: Settings | None = None
        self._on_settings = on_settings

    def settings(self) -> Settings:
        """The project's settings, read once.

        Raises:
            ConfigError: they cannot be read.
        """
        if self._settings is None:
            from pathlib import Path

            from kurt.config import load_settings

            given = {"FORMAT": self.format, "USER_ID": self.user, "WORKSPACE_ID": self.workspace}
            overrides = {key: value for key, value in given.items() if value}
            self._settings = load_settings(Path(self.project) if self.project else None, overrides=overrides)
            if self._on_settings is not None:
                self._on_settings(self._settings)
        return self._settings

    def mode(self) -> str:
        """How results are printed: what the option, the variable or the settings say.

        Raises:
            UsageError: `KURT_FORMAT` is no format.
        """
        if self.format is not None:
            return self.format
        if self._mode is None:
            self._mode = _format_of_environment() or self._format_of_settings()
        return self._mode

    def check(self) -> None:
        """Refuse a wrong `KURT_FORMAT` before the command does anything.

        Raises:
            UsageError: it is no format.
        """
        if self.format is None:
            _format_of_environment()

    def mode_of_errors(self) -> str:
        """How an error is printed, also one that came before the options were understood."""
        for position, word in enumerate(self.argv):
            name, _, value = word.partition("=")
            if name == "--format":
                value = value or "".join(self.argv[position + 1 : position + 2])
                if value in FORMATS:
                    return value
        try:
            return self.mode()
        except KurtError:  # the variable itself may be what is wrong
            return TABLE

    def _format_of_settings(self) -> str:
        try:
            return str(self.settings().get("FORMAT"))
        except KurtError:  # a command that needs the settings says itself what is wrong with them
            return TABLE


def _format_of_environment() -> str | None:
    """What `KURT_FORMAT` says.

    Raises:
        UsageError: it is no format.
    """
    chosen = os.environ.get("KURT_FORMAT", "").lower()
    if chosen and chosen not in FORMATS:
        raise UsageError(f"KURT_FORMAT={chosen!r} is no format", hint=f"use one of {', '.join(FORMATS)}")
    return chosen or None


class _Outermost:
    """The session of the process's own command, for threads that know no context variables.

    Attributes:
        session: that session, None while no command runs.
    """

    session: Session | None = None


_outermost = _Outermost()
_session: ContextVar[Session | None] = ContextVar("kurt_session", default=None)
_forced: ContextVar[str | None] = ContextVar("kurt_mode", default=None)


def current() -> Session:
    """The session of the running command, also in threads that it started; outside of one, one with defaults."""
    return _session.get() or _outermost.session or Session()


@contextmanager
def opened(session: Session) -> Generator[Session]:
    """Make a session the current one."""
    token = _session.set(session)
    outermost = _outermost.session is None
    if outermost:
        _outermost.session = session
    try:
        yield session
    finally:
        _session.reset(token)
        if outermost:
            _outermost.session = None


@contextmanager
def rendering(mode: str) -> Generator[None]:
    """Print results in this mode, whatever options and settings say; `silent` prints nothing at all."""
    token = _forced.set(mode)
    try:
        yield
    finally:
        _forced.reset(token)


def current_mode() -> str:
    """How results are printed now: `table`, `json`, `jsonl` or `silent`.

    Raises:
        UsageError: `KURT_FORMAT` is no format.
    """
    return _forced.get() or current().mode()


def forced_mode() -> str | None:
    """The mode that `rendering` has decided on, or None."""
    return _forced.get()
