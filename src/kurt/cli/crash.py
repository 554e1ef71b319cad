"""Keeping the traceback of an error that nobody foresaw, where the user can find it."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kurt.errors import KurtError

if TYPE_CHECKING:
    from kurt.cli.session import Session
    from kurt.config import Settings

LOG_NAME = "kurt.log"


def keep(error: BaseException, session: Session, trace: str) -> str:
    """Write a traceback to the project's `.kurt/logs/kurt.log`, else to a temporary file; returns its path."""
    settings = _settings(session)
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = f"{moment} ERROR {session.command}: {type(error).__name__}\n{_masked(trace, settings)}\n"
    if settings is not None and settings.is_project:
        path = settings.logs_dir / LOG_NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:  # a full or read-only disk may be the very error
            return _temporary(text)
        return os.path.relpath(path) if path.is_relative_to(os.getcwd()) else str(path)  # noqa: PTH109 - only its text is needed
    return _temporary(text)


def _temporary(text: str) -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="kurt-error-",
            suffix=".log",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
    except OSError as error:
        return f"no file ({error.strerror})"
    return file.name


def _settings(session: Session) -> Settings | None:
    try:
        return session.settings()
    except (KurtError, OSError):  # they may be what is wrong
        return None


def _masked(trace: str, settings: Settings | None) -> str:
    from kurt.config import is_secret
    from kurt.runtime.masking import Masker

    environ = settings.environ if settings else os.environ
    return Masker(value for name, value in environ.items() if is_secret(name)).mask(trace)
