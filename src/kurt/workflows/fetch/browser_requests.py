"""The requests of a page in a browser, answered by our own client."""

from __future__ import annotations

import html
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kurt.errors import KurtError
from kurt.integrations.web.client import Reply
from kurt.integrations.web.errors import TooLargeError

from .engine_http import HttpEngine
from .engines import Target

MOST_REQUESTS = 500
"""Requests that one page may cause."""

SHARED_BYTES = 50_000_000
"""Bytes of scripts and style sheets that are kept for the next pages of a run."""

_SHARED = frozenset({"script", "stylesheet"})
_UNSEEN = frozenset({"image", "media", "font", "ping", "eventsource"})
_HOP_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}
)


class Shared:
    """Scripts and style sheets that the pages of a site have in common: each is asked for once in a run."""

    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}
        self._room = SHARED_BYTES

    def get(self, url: str) -> Reply | None:
        """What an address was answered with."""
        return self._replies.get(url)

    def keep(self, url: str, reply: Reply) -> None:
        """Keep an answer, while there is room."""
        if reply.ok and len(reply.body) <= self._room and url not in self._replies:
            self._room -= len(reply.body)
            self._replies[url] = reply


class Requests:
    """The requests of one page.

    Args:
        http: sends those for pages, with the rules of the site.
        shared: what pages have in common.
        first: the page itself, which has been asked for already.
        limit: bytes that all answers together may have.

    Attributes:
        error: why the page could not go on to another that it wanted to show.
        page: the browser's page; requests of windows that it opens are not answered.
    """

    def __init__(self, http: HttpEngine, shared: Shared, first: Reply, *, limit: int) -> None:
        self._http = http
        self._shared = shared
        self._known = {first.url: first}
        self._left = MOST_REQUESTS
        self._room = limit
        self.error: KurtError | None = None
        self.page: Any = None

    async def answer(self, route: Any, request: Any) -> None:
        """Answer a request of the browser's, or have it fail."""
        self._left -= 1
        wanted = request.method == "GET" and request.resource_type not in _UNSEEN and self._left >= 0
        reply = await self._tried(request) if wanted and self._is_own(request) else None
        with suppress(Exception):  # the page may be closed already
            if reply is None:
                await route.abort()
            else:
                await route.fulfill(status=reply.status, headers=_headers(reply.headers), body=reply.body)

    def _is_own(self, request: Any) -> bool:
        """Whether a request is the page's, and not that of another window."""
        try:
            return request.service_worker is None and request.frame.page == self.page
        except Exception:  # noqa: BLE001 - a window that is just opening has no frame yet: the library raises its general error
            return False

    async def _tried(self, request: Any) -> Reply | None:
        is_page = request.is_navigation_request() and request.frame == self.page.main_frame
        try:
            reply = await self._page(request.url) if is_page else await self._part(request)
            self._room -= len(reply.body)
            if self._room < 0:
                raise TooLargeError(
                    "the page and what it loads have more bytes than the limit", url=request.url
                )
        except KurtError as error:
            self.error = error if is_page or isinstance(error, TooLargeError) else self.error
            return None
        except Exception:  # noqa: BLE001 - whatever a page's address makes of our client, the page lacks this part only
            return None
        return reply

    async def _page(self, url: str) -> Reply:
        """The page, or another to which its scripts lead."""
        if (known := self._known.pop(url, None)) is not None:
            return known
        reply = (await self._http.reply(Target("", url))).check()
        if reply.url == url:
            return reply
        # The browser has to know where the page is, or its links would lead astray.
        self._known[reply.url] = reply
        return _sent_on(reply.url)

    async def _part(self, request: Any) -> Reply:
        """Something that a page consists of."""
        if (kept := self._shared.get(request.url)) is not None:
            return kept
        accept = (await request.all_headers()).get("accept") or "*/*"
        reply = await self._http.client.get(request.url, accept=accept)
        if request.resource_type in _SHARED:
            self._shared.keep(request.url, reply)
        return reply


def _sent_on(url: str) -> Reply:
    """A page that leads to another at once."""
    place = html.escape(url, quote=True)
    body = f'<!doctype html><meta http-equiv="refresh" content="0;url={place}">'
    return Reply(200, url, {"content-type": "text/html; charset=utf-8"}, body.encode())


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _HOP_HEADERS}
