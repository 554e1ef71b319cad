"""What a command prints when it fails, and the exit status it ends with.

0 done, 1 the command or the run failed, 2 the command was not understood, 3 not found, 4 credentials are missing,
130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.output import colours, discard_stdout, paint, write_error_line
from kurt.cli.session import TABLE, Session
from kurt.errors import DefinitionError, Fault, KurtError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_MACHINE = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
    }
)


class UnexpectedError(KurtError):
    """An error that Kurt did not foresee."""

    code = "unexpected"


class InterruptedByUserError(KurtError):
    """Interrupted."""

    code = "interrupted"
    exit_code = INTERRUPTED


def report(error: BaseException, session: Session) -> int:
    """Print an error as the session wants it and return the exit status."""
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        discard_stdout()
        return 0
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        write_error_line(error.format_message())
        return error.exit_code
    known = as_kurt_error(error, session)
    if session.mode_of_errors() == TABLE:
        for line in _lines(known, _trace(error) if session.debug else ""):
            write_error_line(line)
    else:
        write_error_line(_json(known, _trace(error) if session.debug else ""))
    return error.exit_code if isinstance(error, click.ClickException) else known.exit_code


def as_kurt_error(error: BaseException, session: Session) -> KurtError:
    """Any error as one that can be shown; the traceback of one that nobody foresaw goes to a file."""
    if isinstance(error, KurtError):
        return error
    if isinstance(error, click.ClickException):
        return _from_click(error, session)
    if isinstance(error, KeyboardInterrupt | EOFError | click.Abort):
        return InterruptedByUserError()
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return StorageError(_os_message(error), hint=_os_hint(error))
    from kurt.cli.crash import keep

    where = keep(error, session, _trace(error))
    return UnexpectedError(
        f"unexpected error: {type(error).__name__}: {str(error).strip() or 'no message'}",
        hint=f"the traceback is in {where}; --debug prints it",
    )


def _from_click(error: click.ClickException, session: Session) -> KurtError:
    message = " ".join(error.format_message().split()).replace("a valid integer range", "a valid integer")
    message = message.removesuffix(".") if message.count(". ") == 0 else message
    if not isinstance(error, click.UsageError):
        return KurtError(message)
    return UsageError(message, hint=f"{error.ctx.command_path if error.ctx else session.command} --help")


def _os_message(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' and '.join(map(repr, names))}: {error.strerror}" if names else f"{error.strerror}"


def _os_hint(error: OSError) -> str | None:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "free space on the disk, then repeat the command; nothing that was stored is lost"
    return None


def _lines(error: KurtError, trace: str) -> Iterator[str]:
    on = colours(sys.stderr)
    if trace:
        yield trace.rstrip("\n")
    if isinstance(error, DefinitionError):
        for fault in error.faults:
            yield from _fault_lines(fault, on=on)
    yield f"{paint('error:', 'red', 'bold', on=on)} {error.message}"
    for cause in error.causes:
        yield f"{paint('cause:', 'red', on=on)} {cause}"
    if error.hint:
        yield f"{paint('hint:', 'cyan', on=on)} {error.hint}"


def _fault_lines(fault: Fault, *, on: bool) -> Iterator[str]:
    place = f"{paint(fault.location, 'bold', on=on)}: " if fault.location else ""
    severity = "" if fault.severity == "error" else f"{fault.severity}: "
    yield f"{place}{severity}{fault.message}"
    if fault.hint:
        yield f"  {paint('hint:', 'cyan', on=on)} {fault.hint}"


def _json(error: KurtError, trace: str) -> str:
    import json

    described: dict[str, Any] = error.to_json()
    if error.causes:
        described["causes"] = list(error.causes)
    if trace:
        described["traceback"] = trace
    return json.dumps({"error": described}, ensure_ascii=False, default=str)


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _reader_has_gone() -> bool:
    """Whether what reads our stdout has closed it; a broken pipe may also be a database's or a child's."""
    import select

    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):  # no real file, as in tests
        return True
