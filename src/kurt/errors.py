"""The errors that Kurt raises on purpose.

KurtError
  UsageError              exit 2   a wrong argument, option or combination of them
    ConfigError                    a setting that cannot be read or is not valid
    InputError                     the inputs of a workflow do not match its declaration
    DefinitionError                a workflow file has faults (carries all of them)
  NotFoundError           exit 3   an unknown run, workflow, queue or step
    AmbiguousIdError               an id prefix that fits several runs
  CredentialsError        exit 4   a key or secret is missing
  DataError               exit 1   a file or a value does not have the form that it should have
  ConflictError           exit 1   the thing exists already or is in the wrong state
  RunFailedError          exit 1   a run ended failed, cancelled or stuck
  StepError               exit 1   a step of a workflow failed
    StepTimeoutError
    ExpressionError                an expression or a reference cannot be evaluated
  StorageError            exit 1   the database or the disk refused
  RemoteError             exit 1   an error rebuilt from the database whose class is not known here
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class KurtError(Exception):
    """Something that Kurt was asked to do could not be done.

    Attributes:
        code: stable snake_case name of the error for programs.
        exit_code: the exit status of a command that ends with it.
        message: what happened, one sentence without a final full stop.
        hint: the exact command or line to change, or None.
        causes: what led to it, outermost first.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, causes: tuple[str, ...] = ()
    ) -> None:
        self.message = message or _first_line(type(self).__doc__)
        self.hint = hint
        self.causes = causes
        super().__init__(self.message)

    def to_json(self) -> dict[str, Any]:
        """The error as the JSON object that commands print: code, message, hint."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class UsageError(KurtError):
    """The command was not understood."""

    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A setting is not valid."""

    code = "config"


class InputError(UsageError):
    """The inputs do not match what the workflow declares."""

    code = "inputs"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file: where it is, what is wrong, how to mend it.

    Attributes:
        message: what is wrong.
        hint: the remedy.
        file: path as the user wrote it.
        line: 1-based line, or None where there is no place.
        column: 1-based column.
        severity: `error`, or `warning` for what does not stop a run.
    """

    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    severity: str = "error"

    @property
    def location(self) -> str:
        """`file:line:column` as far as it is known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def to_json(self) -> dict[str, Any]:
        """The fault as JSON: message, hint, file, line, column, severity."""
        return {
            "message": self.message,
            "hint": self.hint,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
        }


class DefinitionError(UsageError):
    """The workflow file has faults."""

    code = "definition"

    def __init__(self, faults: list[Fault], message: str | None = None) -> None:
        self.faults = faults
        count = f"{len(faults)} error" + ("" if len(faults) == 1 else "s")
        where = next((fault.file for fault in faults if fault.file), None)
        super().__init__(message or (f"{where} has {count}" if where else f"the workflow has {count}"))

    def to_json(self) -> dict[str, Any]:
        first = next((fault.hint for fault in self.faults if fault.severity == "error" and fault.hint), None)
        errors = [fault.to_json() for fault in self.faults]
        return {**super().to_json(), "hint": self.hint or first, "errors": errors}


class NotFoundError(KurtError):
    """There is no such thing."""

    code = "not_found"
    exit_code = 3


class AmbiguousIdError(NotFoundError):
    """The id prefix fits several runs."""

    code = "ambiguous_id"


class CredentialsError(KurtError):
    """A key or secret is missing."""

    code = "credentials"
    exit_code = 4


class ConflictError(KurtError):
    """It is in a state that does not allow this."""

    code = "conflict"


class DataError(KurtError):
    """The data does not have the form that it should have."""

    code = "data"


class RunFailedError(KurtError):
    """The run did not succeed."""

    code = "run_failed"


class StepError(KurtError):
    """A step failed.

    Attributes:
        type: name of the kind of failure, what `error.type` is in a workflow file.
        details: more facts for `error.*`: `exit_code`, `status`, `stderr`...
    """

    code = "step_failed"

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        causes: tuple[str, ...] = (),
        type: str | None = None,  # noqa: A002 - the word that `error.type` has in a workflow file
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, causes=causes)
        self.type = type or self.__class__.__name__
        self.details = details or {}


class StepTimeoutError(StepError):
    """The step took longer than its timeout."""

    code = "step_timeout"


class ExpressionError(StepError):
    """The expression cannot be evaluated."""

    code = "expression"


class StorageError(KurtError):
    """The database or the disk refused."""

    code = "storage"


class RemoteError(KurtError):
    """An error that was stored by another process and whose class is not known here.

    Attributes:
        name: class name of the stored error.
    """

    code = "remote"

    def __init__(self, message: str | None = None, *, name: str = "Error", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name


def _first_line(doc: str | None) -> str:
    """The error's default message: the first line of its docstring."""
    return (doc or "error").strip().splitlines()[0].rstrip(".")
