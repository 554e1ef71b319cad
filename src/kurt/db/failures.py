"""What errors of the drivers mean to a person, and what to do about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kurt.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings


class _Failure(NamedTuple):
    """A kind of failure.

    Attributes:
        pattern: what tells it in the driver's message, whatever the case.
        message: what happened; `{path}`, `{folder}` and `{text}` are put in.
        hint: the remedy, likewise.
    """

    pattern: str
    message: str
    hint: str


_SQLITE = (
    _Failure(
        "not a database|malformed|file is encrypted",
        "the database {path!r} is damaged: {text}",
        "put a copy in its place, or begin a new one: mv {path} {path}.damaged && kurt db upgrade",
    ),
    _Failure(
        "is full|disk i/o error",
        "the database {path!r} cannot be written: {text}",
        "free space on the disk, then repeat the command; nothing that was stored is lost",
    ),
    _Failure(
        "readonly|unable to open",
        "the database {path!r} cannot be written: {text}",
        "give yourself the right to write the folder {folder} and all files in it",
    ),
    _Failure(
        "no such module: fts5",
        "the SQLite of this Python cannot search texts: it was built without FTS5",
        "use another Python, such as that of your distribution or of python.org, or set DATABASE_URL to Postgres",
    ),
    _Failure(
        "no such (table|column)",
        "the database {path!r} lacks a part of its schema: {text}",
        "run `kurt db upgrade`",
    ),
    _Failure(
        "locked",
        "another process has held the database {path!r} for too long: {text}",
        "see which process has it open (`kurt worker list`), then repeat the command",
    ),
    _Failure("", "the database {path!r} refused: {text}", "run `kurt doctor`"),
)
_IS_A_FOLDER = _Failure("", "the database {path!r} is a folder", "set PATH_DB to a file")
_NO_FOLDER = _Failure(
    "",
    "the database {path!r} cannot be opened: there is no folder {folder!r}",
    "run `mkdir -p {folder}`, or set PATH_DB to another place",
)

_POSTGRES = (
    _Failure(
        'database "[^"]*" does not exist',
        "the Postgres server has no such database: {text}",
        "create it with `createdb NAME`, or correct DATABASE_URL",
    ),
    _Failure(
        'role "[^"]*" (does not exist|is not permitted)|password|authentication|no pg_hba',
        "the Postgres server refused the login: {text}",
        "correct DATABASE_URL in .env",
    ),
    _Failure(
        "permission denied for|must be owner",
        "the Postgres user may not do this: {text}",
        "let a user who may create tables run `kurt db upgrade`, or grant it to this one",
    ),
    _Failure(
        "connection|resolve host|timeout|terminat|starting up|shutting down",
        "the Postgres server cannot be reached: {text}",
        "check that the server runs and that DATABASE_URL names it",
    ),
    _Failure("does not exist", "the database lacks a part of its schema: {text}", "run `kurt db upgrade`"),
    _Failure("", "the Postgres database refused: {text}", "run `kurt doctor`"),
)


def storage_error(settings: Settings, error: BaseException) -> StorageError:
    """What a driver's or SQLAlchemy's error means, with the remedy.

    Args:
        settings: the project's settings, for the name of the database.
        error: the error as it was raised; SQLAlchemy's is looked into.
    """
    cause = getattr(error, "orig", None) or error
    text = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    if settings.is_sqlite:
        return _sqlite_error(settings.sqlite_path, text)
    return _made(_told(_POSTGRES, str(cause)), text=text)


def _sqlite_error(path: Path, text: str) -> StorageError:
    failure = _told(_SQLITE, text)
    if path.is_dir():
        failure = _IS_A_FOLDER
    elif not path.parent.is_dir():
        failure = _NO_FOLDER
    return _made(failure, path=str(path), folder=str(path.parent), text=text)


def _told(failures: tuple[_Failure, ...], text: str) -> _Failure:
    return next(failure for failure in failures if re.search(failure.pattern, text, re.IGNORECASE))


def _made(failure: _Failure, **facts: str) -> StorageError:
    return StorageError(failure.message.format(**facts), hint=failure.hint.format(**facts))
