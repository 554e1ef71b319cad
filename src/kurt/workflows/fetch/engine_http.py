"""The engine `http`: web pages and files as their servers send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.errors import DataError
from kurt.integrations.web.client import Limits, Reply, WebClient
from kurt.integrations.web.politeness import Politeness
from kurt.integrations.web.robots import RobotsCache

from .engines import Brought, Target

if TYPE_CHECKING:
    from .config import FetchConfig

_KINDS = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/plain": "text",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
_ANYTHING = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
_MARKDOWN_ENDINGS = (".md", ".mdx", ".markdown")


def web_client(config: FetchConfig) -> WebClient:
    """A client with the limits that the config sets."""
    return WebClient(
        allow_private=config.allow_private,
        limits=Limits(
            body=config.max_bytes, seconds=config.timeout, connect_seconds=min(15.0, config.timeout)
        ),
        politeness=Politeness(per_host=config.per_host, delay=config.delay),
        connections=config.concurrency,
    )


class HttpEngine:
    """Asks servers itself.

    Args:
        config: limits and manners.

    Attributes:
        client: sends the requests.
    """

    name = "http"

    def __init__(self, config: FetchConfig) -> None:
        self.client = web_client(config)
        self._rules = RobotsCache(self.client) if config.respect_robots else None

    async def bring(self, target: Target) -> Brought:
        """Ask for a page, or for what has become of it.

        Raises:
            WebError: it cannot be had.
            DataError: it is nothing that has a text.
        """
        return brought(await self.reply(target))

    async def reply(self, target: Target) -> Reply:
        """What a page is answered with, if its site lets us ask.

        Raises:
            WebError: there was no answer that may be used.
        """
        return await self.client.get(
            target.uri, etag=target.etag, last_modified=target.last_modified, rules=self._rules
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()


def brought(reply: Reply) -> Brought:
    """What an answer brings.

    Raises:
        WebError: it is an error of the server's.
        DataError: it is nothing that has a text.
    """
    if reply.not_modified:
        return Brought(unchanged=True, url=reply.url, http_status=304)
    if reply.gone:
        return Brought(
            gone=f"the server answered with {reply.status}", url=reply.url, http_status=reply.status
        )
    reply.check()
    return Brought(
        body=reply.body,
        kind=kind_of(reply),
        charset=reply.charset,
        url=reply.url,
        http_status=reply.status,
        etag=reply.etag,
        last_modified=reply.last_modified,
    )


def kind_of(reply: Reply) -> str:
    """What a body is, by its beginning where the server does not say it clearly.

    Raises:
        DataError: it is nothing that has a text.
    """
    head = reply.body[:1024].lstrip()
    if reply.content_type in _ANYTHING:
        if head.startswith(b"%PDF-"):
            return "pdf"
        if head.startswith(b"PK\x03\x04") and _path(reply).endswith(".docx"):
            return "docx"
        if head[:200].lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
            return "html"
        if reply.content_type == "text/plain" and _path(reply).endswith(_MARKDOWN_ENDINGS):
            return "markdown"
    kind = _KINDS.get(reply.content_type)
    if kind is None:
        raise DataError(
            f"the server sent {reply.content_type or 'something that it does not name'}, which has no text to read",
            hint="fetch reads HTML, PDF, Word, Markdown and plain text",
        )
    return kind


def _path(reply: Reply) -> str:
    return reply.url.partition("?")[0].lower()
