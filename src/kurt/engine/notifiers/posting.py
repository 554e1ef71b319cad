"""Posting a notice to an address whose path is a secret, as those of chat systems are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kurt.errors import StepError
from kurt.runtime.masking import Masker
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.kinds import StepContext
    from kurt.engine.notifiers.base import Notice

_PASSING = frozenset({408, 425, 429})
"""Refusals that are over a little later, beside all of 500 and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where and how a notice is posted.

    Attributes:
        url: the address.
        method: in capitals.
        headers: beside those that every notice has.
        allow_private: whether the server may have an address that is not public.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    allow_private: bool = False


async def post(target: Target, body: Json, notice: Notice, context: StepContext) -> str:
    """Send JSON to an address; the host that has taken it.

    Redirects are not followed: what comes of a POST depends on the server. The header `Idempotency-Key` lets a receiver
    see that it has had the notice before.

    Raises:
        StepError: the address is none or is not public, or the server refused; no text in it holds the path.
    """
    from yarl import URL  # noqa: PLC0415 - comes with aiohttp, which only those pay for who use it

    from kurt.engine import web  # noqa: PLC0415 - as above

    try:
        address = URL(target.url)
    except ValueError:
        raise StepError(
            "the address of the notification is none",
            type="InvalidUrl",
            hint="write it as https://host/path",
        ) from None
    request = web.Request(
        method=target.method,
        url=address,
        headers={"Content-Type": "application/json", "Idempotency-Key": notice.id, **target.headers},
        body=json.dumps(body, allow_nan=False).encode(),
        allow_private=target.allow_private,
        redirects=0,
        max_size=1_000_000,
        timeout=context.limits.timeout,
    )
    try:
        await web.send(request, accepts=range(200, 300))
    except StepError as error:
        if error.type in ("BinaryBody", "InvalidJson", "ResponseTooLarge"):
            return str(address.host)  # it was taken; what came back is of no use
        raise _without_path(error, address.path_qs) from None
    return str(address.host)


def _without_path(error: StepError, path: str) -> StepError:
    """The error without the address and without what the server said, which may repeat it."""
    masker = Masker([path, path.strip("/")])
    status = error.details.get("status")
    passes = error.type in ("ConnectionError", "StepTimeoutError")
    if isinstance(status, int):
        passes = status in _PASSING or status >= 500
    kept = {key: error.details[key] for key in ("status", "retry_after") if key in error.details}
    return StepError(
        masker.mask(error.message), hint=error.hint, type=error.type, details={**kept, "retry": passes}
    )
