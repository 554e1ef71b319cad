"""Engines that have a service get and read web pages: Firecrawl, Tavily, Jina. They need keys.

The address of a page is given to the service; nothing else of the project is. A page's `robots.txt` is the service's
business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.errors import CredentialsError, DataError
from kurt.integrations.web.client import Limits, Reply, WebClient
from kurt.integrations.web.errors import StatusError
from kurt.integrations.web.guard import checked_url
from kurt.integrations.web.politeness import Politeness

from .engines import Brought, Target
from .needs import KEYS

if TYPE_CHECKING:
    from kurt.config import Settings

    from .config import FetchConfig

_LONGEST_REASON = 300
_REFUSED = frozenset({401, 403})
_SPENT = frozenset({402, 432, 433})


@dataclass(frozen=True, slots=True)
class Service:
    """How a service is asked.

    Attributes:
        title: its name for people.
        key: name of the environment variable with its key.
        base: address of its interface; the setting `FETCH.<NAME>_BASE_URL` has another.
        path: of the request.
        ask: what is sent for an address.
        read: what an answer says; raises `DataError` for one that says that there is nothing.
        headers: more to send.
    """

    title: str
    key: str
    base: str
    path: str
    ask: Callable[[str], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Brought]
    headers: Mapping[str, str]


def _ask_firecrawl(url: str) -> dict[str, Any]:
    return {"url": url, "formats": ["markdown"], "onlyMainContent": True}


def _read_firecrawl(answer: Mapping[str, Any]) -> Brought:
    data = _mapping(answer.get("data"))
    if not answer.get("success") or not data:
        raise DataError(f"Firecrawl did not get it: {_reason(answer)}")
    facts = _mapping(data.get("metadata"))
    status = facts.get("statusCode")
    if status in {404, 410}:
        return Brought(gone=f"the server answered with {status}", http_status=status)
    if isinstance(status, int) and status >= 400:
        raise StatusError(f"the server answered Firecrawl with {status}", status=status)
    return Brought(
        markdown=_text(data.get("markdown")),
        url=_text(facts.get("url")) or _text(facts.get("sourceURL")) or None,
        http_status=status if isinstance(status, int) else None,
        facts=_facts(
            title=facts.get("title"),
            author=facts.get("author"),
            published=facts.get("publishedTime"),
            language=facts.get("language"),
            description=facts.get("description"),
        ),
    )


def _ask_tavily(url: str) -> dict[str, Any]:
    return {"urls": [url], "format": "markdown", "extract_depth": "basic"}


def _read_tavily(answer: Mapping[str, Any]) -> Brought:
    results = answer.get("results")
    if not isinstance(results, list) or not results:
        failed = answer.get("failed_results")
        first = failed[0] if isinstance(failed, list) and failed else answer
        raise DataError(f"Tavily did not get it: {_reason(_mapping(first))}")
    found = _mapping(results[0])
    return Brought(
        markdown=_text(found.get("raw_content")),
        url=_text(found.get("url")) or None,
        facts=_facts(title=found.get("title")),
    )


def _ask_jina(url: str) -> dict[str, Any]:
    return {"url": url}


def _read_jina(answer: Mapping[str, Any]) -> Brought:
    data = _mapping(answer.get("data"))
    if not data:
        raise DataError(f"Jina did not get it: {_reason(answer)}")
    return Brought(
        markdown=_text(data.get("content")),
        url=_text(data.get("url")) or None,
        facts=_facts(
            title=data.get("title"),
            published=data.get("publishedTime"),
            description=data.get("description"),
        ),
    )


SERVICES = {
    "firecrawl": Service(
        "Firecrawl",
        KEYS["firecrawl"],
        "https://api.firecrawl.dev",
        "/v2/scrape",
        _ask_firecrawl,
        _read_firecrawl,
        {},
    ),
    "tavily": Service(
        "Tavily", KEYS["tavily"], "https://api.tavily.com", "/extract", _ask_tavily, _read_tavily, {}
    ),
    "jina": Service(
        "Jina",
        KEYS["jina"],
        "https://r.jina.ai",
        "/",
        _ask_jina,
        _read_jina,
        {"X-Return-Format": "markdown"},
    ),
}
"""All services by the name of their engine."""


class ServiceEngine:
    """Has a service get and read pages.

    Args:
        name: which one.
        config: limits and manners.
        settings: its key, and its address where that is another.

    Raises:
        CredentialsError: the key is not set.
    """

    def __init__(self, name: str, config: FetchConfig, settings: Settings) -> None:
        self.name = name
        self._service = SERVICES[name]
        key = settings.secret(self._service.key)
        if key is None:
            raise CredentialsError(
                f"the engine {name} needs a key of {self._service.title}",
                hint=f"set {self._service.key} in the environment or in .env",
            )
        given = settings.get(f"{name}_BASE_URL".upper(), module="fetch")
        self._url = f"{str(given or self._service.base).rstrip('/')}{self._service.path}"
        self._headers = {"Authorization": f"Bearer {key}", **self._service.headers}
        self._refused: CredentialsError | None = None
        self._targets_private = config.allow_private
        self._client = WebClient(
            allow_private=given is not None,  # who names a service of one's own means it
            limits=Limits(body=config.max_bytes, seconds=max(config.timeout, 90.0)),
            politeness=Politeness(per_host=config.per_host, delay=config.delay),
        )

    async def bring(self, target: Target) -> Brought:
        """Have a page read.

        Raises:
            CredentialsError: the service refuses the key.
            WebError: the service cannot be reached, or refuses.
            DataError: it did not get the page.
        """
        if self._refused is not None:
            raise self._refused  # what it has said of one page it says of all
        # An address of our own network is none of a service's business, even if it could not reach it.
        checked_url(target.uri, allow_private=self._targets_private)
        reply = await self._client.post(self._url, json=self._service.ask(target.uri), headers=self._headers)
        title = self._service.title
        if reply.status in _REFUSED:
            self._refused = CredentialsError(
                f"{title} refuses the key: {_said(reply)}", hint=f"check {self._service.key}"
            )
            raise self._refused
        if reply.status in _SPENT:
            raise StatusError(f"{title} asks for payment: {_said(reply)}", status=reply.status)
        if not reply.ok:
            raise StatusError(f"{title} answered with {reply.status}: {_said(reply)}", status=reply.status)
        return self._service.read(_answer(reply))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _answer(reply: Reply) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(reply.body))
    except ValueError as error:
        raise DataError(f"the service did not answer with JSON: {error}") from error


def _said(reply: Reply) -> str:
    try:
        return _reason(_mapping(json.loads(reply.body)))
    except ValueError:
        return reply.body[:_LONGEST_REASON].decode("utf-8", "replace")


def _reason(answer: Mapping[str, Any]) -> str:
    for name in ("error", "detail", "message", "readableMessage", "warning"):
        if value := answer.get(name):
            inner = value.get("error") if isinstance(value, Mapping) else None
            return str(inner or value)[:_LONGEST_REASON]
    return "it gives no reason"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _facts(**given: Any) -> dict[str, Any]:
    return {name: value.strip() for name, value in given.items() if isinstance(value, str) and value.strip()}
