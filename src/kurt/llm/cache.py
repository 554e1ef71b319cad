"""Answers that were paid before: exact, by tenant, in the table `llm_cache`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kurt.llm.types import Completer, Request, Response
    from kurt.types import JsonObject

FORMAT = 1
"""Rises when what goes into a key changes its meaning."""


class ResponseCache(Protocol):
    """A store of answers."""

    def key(self, request: Request, completer: Completer) -> str:
        """What an answer is stored under: all that can change it, and the tenant."""
        ...

    def get(self, key: str) -> Awaitable[Response | None]:
        """The stored answer, or None."""
        ...

    def put(self, key: str, response: Response) -> None:
        """Have an answer stored, soon."""
        ...


def request_key(request: Request, *, tenant: str, endpoint: str) -> str:
    """SHA-256 over all that can change an answer, and whose it is.

    Args:
        request: what is asked.
        tenant: whose answers these are; one tenant never sees another's.
        endpoint: where the request goes.
    """
    parts: JsonObject = {
        "format": FORMAT,
        "tenant": tenant,
        "endpoint": endpoint,
        "model": request.model,
        "messages": [[message.role, message.content] for message in request.messages],
        "schema": request.schema,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "params": request.params,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def endpoint_of(completer: Completer, model: str) -> str:
    """What tells one endpoint from another: the completer's own word, else its class."""
    identity = getattr(completer, "identity", None)
    if callable(identity):
        return str(identity(model))
    return f"{type(completer).__module__}.{type(completer).__qualname__}"
