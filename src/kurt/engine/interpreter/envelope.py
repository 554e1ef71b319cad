"""What a step's checkpoint holds: its value or error, with how it came about.

The value comes last, so that a reader who wants only the rest can stop early.
"""

from __future__ import annotations

from dataclasses import dataclass

from kurt.core.failures import type_of_error
from kurt.errors import KurtError, StepError
from kurt.types import Json, JsonObject

SUCCEEDED = "succeeded"
FAILED = "failed"
SKIPPED = "skipped"
OPENED = "opened"
CACHED = "cached"
"""How a success is shown whose value came from an earlier run; it is stored as a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The checkpoint of one attempt, or of a block's beginning or end.

    Attributes:
        state: `succeeded`, `failed`, `skipped`, or `opened` for a block that began.
        kind: the step's type.
        attempt: 1 for the first attempt.
        error: `{type, message, details}` of a failure.
        next_at: when the next attempt begins, seconds since the epoch; None when there is none.
        facts: more about a block: `total`, `done`, `failed`, `child`.
        value: what the step returned.
    """

    state: str
    kind: str
    attempt: int = 1
    error: JsonObject | None = None
    next_at: float | None = None
    facts: JsonObject | None = None
    value: Json = None

    @property
    def ok(self) -> bool:
        """True unless it failed."""
        return self.state != FAILED

    def to_json(self) -> JsonObject:
        """The envelope as it is stored."""
        stored: JsonObject = {"ok": self.ok, "state": self.state, "kind": self.kind, "attempt": self.attempt}
        if self.error is not None:
            stored["error"] = self.error
        if self.next_at is not None:
            stored["next_at"] = self.next_at
        stored.update(self.facts or {})
        stored["value"] = self.value
        return stored

    @classmethod
    def from_json(cls, stored: JsonObject) -> Envelope:
        """Read a stored envelope."""
        known = {"ok", "state", "kind", "attempt", "error", "next_at", "value"}
        return cls(
            state=stored["state"],
            kind=stored["kind"],
            attempt=stored.get("attempt", 1),
            error=stored.get("error"),
            next_at=stored.get("next_at"),
            facts={key: item for key, item in stored.items() if key not in known} or None,
            value=stored.get("value"),
        )


def error_json(error: BaseException) -> JsonObject:
    """A failure as `error` shows it in a workflow file: type, message and, where there is more, its details.

    `error.exit_code`, `error.status` and the like are at the top level too.
    """
    if isinstance(error, StepError):
        return {"type": error.type, "message": error.message, "hint": error.hint, **error.details}
    if isinstance(error, KurtError):
        known = {name: getattr(error, name, None) for name in ("status", "retry_after")}
        more = {name: value for name, value in known.items() if value is not None}
        return {"type": type_of_error(error), "message": error.message, "hint": error.hint, **more}
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__}


def error_scope(error: JsonObject) -> JsonObject:
    """A failure as expressions and references see it.

    What conditions ask for is always there, null where this failure has none: `error.status in [429, 503]` must not
    fail itself because no answer came at all.
    """
    return {"status": None, "exit_code": None, **error}


class StepFailed(StepError):  # noqa: N818 - it says what happened to the step, not what kind of object it is
    """A step failed and its file does not say to go on.

    Attributes:
        path: path of the step that failed.
        error: the failure as JSON.
    """

    code = "step_failed"

    def __init__(self, path: str, error: JsonObject) -> None:
        details = {
            key: item for key, item in error.items() if key not in {"type", "message", "hint", "reason"}
        }
        super().__init__(
            f"step {path!r} failed: {error.get('message', 'no message')}",
            hint=error.get("hint"),
            type=str(error.get("type", "Error")),
            details={**details, "step": path, "reason": error.get("message")},
        )
        self.path = path
        self.error = error
