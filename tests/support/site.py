"""A web site on loopback for tests, in a thread of its own, which remembers what it was asked for.

with Site({"/": page("Tea")}) as site:
    ...
    assert site.paths() == ["/robots.txt", "/"]
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Page:
    """What a path is answered with.

    Attributes:
        body: its bytes.
        content_type: its `Content-Type`, with the character set if one is to be said.
        status: the code.
        headers: more of them; `ETag` is made of the body unless it is given or `versioned` is false.
        versioned: answer 304 to a request that names this version.
        delay: seconds before the answer.
    """

    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    versioned: bool = True
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A request as the server saw it.

    Attributes:
        path: with its query.
        time: when it came, on the monotonic clock.
        status: what it was answered with.
        headers: of the request, by name in lower case.
        body: what came with it.
    """

    path: str
    time: float
    status: int
    headers: Mapping[str, str]
    body: bytes


class Site:
    """The server; its pages may be changed while it runs.

    Args:
        pages: a `Page`, a text that is HTML, or a handler of aiohttp for each path.

    Attributes:
        pages: likewise.
        hits: all requests so far, in order.
        url: its address without a slash at the end.
    """

    def __init__(self, pages: Mapping[str, Page | str | Handler] | None = None) -> None:
        self.pages: dict[str, Page | str | Handler] = dict(pages or {})
        self.hits: list[Hit] = []
        self.url = ""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="site", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def paths(self, status: int | None = None) -> list[str]:
        """What was asked for, in order."""
        return [hit.path for hit in self.hits if status is None or hit.status == status]

    def forget(self) -> None:
        """Begin a new list of requests."""
        self.hits.clear()

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return runner

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at, body = time.monotonic(), await request.read()
        found = self.pages.get(request.path_qs, self.pages.get(request.path))
        place = len(self.hits)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hits.append(Hit(request.path_qs, at, 0, headers, body))
        answer = await self._answer(found, request)
        if place < len(self.hits):
            self.hits[place] = Hit(request.path_qs, at, answer.status, headers, body)
        return answer

    async def _answer(self, found: Page | str | Handler | None, request: web.Request) -> web.StreamResponse:
        if found is None:
            return web.Response(status=404, text="no such page")
        if not isinstance(found, (str, Page)):
            return await found(request)
        one = Page(found.encode()) if isinstance(found, str) else found
        if one.delay:
            await asyncio.sleep(one.delay)
        headers = {"Content-Type": one.content_type, **one.headers}
        if one.versioned and one.status == 200:
            headers.setdefault("ETag", f'"{hashlib.sha256(one.body).hexdigest()[:16]}"')
            if request.headers.get("If-None-Match") == headers["ETag"]:
                return web.Response(status=304, headers={"ETag": headers["ETag"]})
        return web.Response(status=one.status, body=one.body, headers=headers)


def page(title: str, *paragraphs: str, head: str = "", more: str = "") -> str:
    """The HTML of a page with navigation and a footer around its text."""
    texts = paragraphs or tuple(
        f"This is paragraph {number} about {title}: it says enough that a reader knows what it is about,"
        " and it ends with a full stop."
        for number in range(1, 5)
    )
    body = "".join(f"<p>{text}</p>" for text in texts)
    return (
        f'<!doctype html><html lang="en"><head><title>{title}</title>{head}</head><body>'
        f'<nav><a href="/">Home</a> <a href="/about">About</a></nav>'
        f"<main><article><h1>{title}</h1>{body}{more}</article></main>"
        "<footer><p>All rights reserved.</p></footer></body></html>"
    )
