"""What the fake model server can do wrong, each once or always, for prompts that hold a text."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong answer.

    Attributes:
        name: what it is, for the log.
        status: HTTP status.
        headers: of the answer.
        error: what the provider says; sent in the form of the interface that was called.
        code: its code for programs.
        text: what the model says in place of an answer that fits.
        finish_reason: why the answer ends.
        raw: the whole body, in place of an answer of the interface.
        delay: seconds before anything is sent.
        cut_after: bytes of the body after which the connection is cut.
    """

    name: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    error: str = ""
    code: str = ""
    text: str | None = None
    finish_reason: str = "stop"
    raw: bytes | None = None
    delay: float = 0.0
    cut_after: int | None = None


def rate_limited(retry_after: float | None = 1.0, *, as_date: bool = False, in_ms: bool = False) -> Fault:
    """429, with a Retry-After in seconds, as a date, or in milliseconds."""
    headers: dict[str, str] = {}
    if retry_after is not None:
        if as_date:
            headers["Retry-After"] = formatdate(time.time() + retry_after, usegmt=True)
        elif in_ms:
            headers["retry-after-ms"] = str(int(retry_after * 1000))
        else:
            headers["Retry-After"] = f"{retry_after:g}"
    return Fault("rate_limited", 429, headers, "Rate limit reached for requests", "rate_limit_exceeded")


def quota_spent() -> Fault:
    """429 of an account without money: waiting does not help, whatever Retry-After says."""
    return Fault(
        "quota_spent", 429, {"Retry-After": "1"}, "You exceeded your current quota", "insufficient_quota"
    )


def server_error(status: int = 500, retry_after: float | None = None) -> Fault:
    """The provider fails."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Fault("server_error", status, headers, "The server had an error", "server_error")


def refused(
    status: int = 400, message: str = "The request is not valid", code: str = "invalid_request_error"
) -> Fault:
    """A 4xx that the same request cannot heal."""
    return Fault("refused", status, error=message, code=code)


def hang(seconds: float = 3600.0) -> Fault:
    """Nothing comes for a long time."""
    return Fault("hang", delay=seconds)


def cut(after: int = 20) -> Fault:
    """The connection ends in mid-answer."""
    return Fault("cut", cut_after=after)


def not_json(text: str = "I would rather tell a story.") -> Fault:
    """The model answers with prose."""
    return Fault("not_json", text=text)


def wrong_schema(text: str = '{"unexpected": true}') -> Fault:
    """The model answers with JSON that breaks the schema."""
    return Fault("wrong_schema", text=text)


def cut_short(text: str = '{"half": "an answ') -> Fault:
    """The answer reached the limit of tokens."""
    return Fault("cut_short", text=text, finish_reason="length")


def huge(size: int = 50_000_000) -> Fault:
    """An answer that is far too long."""
    return Fault("huge", text="x" * size)


def not_an_answer(raw: bytes = b"<html>Bad gateway</html>", status: int = 200) -> Fault:
    """Something stands in front of the model and answers in its place."""
    return Fault("not_an_answer", status, raw=raw)


FAULTS = {
    maker.__name__: maker
    for maker in (
        rate_limited,
        quota_spent,
        server_error,
        refused,
        hang,
        cut,
        not_json,
        wrong_schema,
        cut_short,
        huge,
    )
}
"""Faults by name, for scripts that come from outside the process."""


def fault_from_json(value: Json) -> Fault:
    """A fault written as `"cut"` or `{"fault": "rate_limited", "retry_after": 2}`.

    Raises:
        ValueError: there is no such fault.
    """
    fields: JsonObject = {"fault": value} if isinstance(value, str) else dict(value)
    name = fields.pop("fault", None)
    if name not in FAULTS:
        raise ValueError(f"there is no fault {name!r}; use one of {', '.join(FAULTS)}")
    return FAULTS[name](**fields)
