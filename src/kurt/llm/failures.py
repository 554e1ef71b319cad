"""What an answer of a provider that is no answer means."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from kurt.llm.errors import (
    ModelError,
    QuotaSpentError,
    RateLimitedError,
    RefusedError,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kurt.llm.providers import Endpoint
    from kurt.types import Json

TEXT_LIMIT = 500
"""Characters of a provider's own words that go into an error."""

_SPENT_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}
)
_SPENT_WORDS = (
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
    "exceeded your current quota",
)
_SERVERS_LIMIT = 500
_NEVER = frozenset({501, 505})
_LATER = frozenset({408, 409, 425})
_UNAUTHORISED = frozenset({401, 403})


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, endpoint: Endpoint, now: float
) -> ModelError:
    """The error for an answer whose status says that it is none.

    Args:
        status: HTTP status.
        headers: those of the answer.
        body: its body, possibly in part.
        endpoint: who answered; its key is hidden in the message.
        now: seconds since the epoch, for a date in Retry-After.
    """
    code, said = _said(body)
    said = hidden(said, endpoint)
    wait = retry_after(headers, now)
    where = f"{endpoint.provider} ({endpoint.shown})"
    if _is_spent(status, code, said):
        return QuotaSpentError(
            f"the quota at {where} is spent: {said}",
            status=status,
            hint="add credit or raise the limit there, then resume",
        )
    should = headers.get("x-should-retry")
    if status == 429:
        return RateLimitedError(
            f"{where} allows no more calls now: {said}",
            status=status,
            retry_after=wait,
            retryable=False if should == "false" else None,
            hint="set a rate limit for the step (requests and tokens per minute), or lower its concurrency",
        )
    if status in _LATER or (status >= _SERVERS_LIMIT and status not in _NEVER) or should == "true":
        return ServerError(
            f"{where} failed with {status}: {said}",
            status=status,
            retry_after=wait,
            retryable=False if should == "false" else None,
        )
    return _refused(status, said, where, endpoint)


def _refused(status: int, said: str, where: str, endpoint: Endpoint) -> ModelError:
    """A 4xx that the same request cannot heal, with the remedy where it is known."""
    if status in _UNAUTHORISED:
        return RefusedError(
            f"{where} refused the key: {said}",
            type="Unauthorized",
            status=status,
            fatal=True,
            hint=f"correct {endpoint.key_variable} in .env",
        )
    if status == 404:
        return RefusedError(
            f"{where} has no model {endpoint.model!r}: {said}",
            type="UnknownModel",
            status=status,
            fatal=True,
            hint="correct the model's name, or LLM.BASE_URL",
        )
    if 300 <= status < 400:
        return RefusedError(
            f"{where} sends calls elsewhere ({status}), and a key is not sent after them",
            type="Redirected",
            status=status,
            fatal=True,
            hint="set LLM.BASE_URL to the address that really answers",
        )
    return RefusedError(f"{where} refused the request with {status}: {said}", status=status)


def refusal_in_body(error: Any, endpoint: Endpoint, now: float) -> ModelError:
    """The error for an answer with status 200 that holds an error in place of an answer."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return refusal(status, {}, json.dumps({"error": error}).encode(), endpoint, now)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait that an answer asks for: a number of seconds, a date, or milliseconds in their own header."""
    if (text := headers.get("retry-after-ms")) is not None:
        try:
            return _seconds(float(text) / 1000)
        except ValueError:
            pass
    text = headers.get("Retry-After") or headers.get("retry-after")
    if text is None:
        return None
    try:
        return _seconds(float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _seconds(number: float) -> float | None:
    """A wait as it was written; None for what is none."""
    return max(0.0, number) if number < float("inf") else None


def hidden(text: str, endpoint: Endpoint) -> str:
    """A text of the provider without our key, and not longer than an error should be."""
    if endpoint.key:
        text = text.replace(endpoint.key, "***")
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "..."


def _is_spent(status: int, code: str, said: str) -> bool:
    if status == 402 or code in _SPENT_CODES:
        return True
    lowered = said.lower()
    return status in {400, 403, 429} and any(words in lowered for words in _SPENT_WORDS)


def _said(body: bytes) -> tuple[str, str]:
    """Code and message of a provider's error; the text itself where it is not JSON."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value: Json = json.loads(text)
    except ValueError:
        return "", " ".join(text.split()) or "no explanation"
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, str):
        return "", error
    if not isinstance(error, dict):
        return "", text
    code = error.get("code") or error.get("type") or ""
    if error.get("type") in _SPENT_CODES:
        code = error["type"]
    message = error.get("message") or error.get("detail") or value.get("detail") or value.get("message")
    return str(code), str(message or text)
