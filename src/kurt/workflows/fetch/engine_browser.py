"""The engine `playwright`: pages that only a browser makes readable.

The browser itself reaches nothing: each request of a page is answered by the same client as everything else, with its
checks of addresses, its limits and its manners.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kurt.errors import UsageError
from kurt.integrations.web.client import Reply, WebClient
from kurt.integrations.web.errors import UnreachableError, WebError, WebTimeoutError
from kurt.integrations.web.robots import RobotsCache

from .engine_http import kind_of, web_client
from .engines import Brought, Target

if TYPE_CHECKING:
    from kurt.config import Settings

    from .config import FetchConfig

PAGES = 4
"""Pages that are open at once."""

_SETTLED = 5.0
"""Seconds that a page gets to become quiet after it was loaded."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_UNSEEN = frozenset({"image", "media", "font"})
_HOP_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}
)
_ARGUMENTS = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-webrtc", "--no-sandbox", "--disable-gpu")


class BrowserEngine:
    """Loads pages in a browser without a window.

    Args:
        config: limits and manners.
        settings: `FETCH.BROWSER` names another browser than the one that is found.

    Raises:
        UsageError: Playwright is not installed.
    """

    name = "playwright"

    def __init__(self, config: FetchConfig, settings: Settings) -> None:
        try:
            self._api: Any = import_module("playwright.async_api")
        except ImportError:
            raise UsageError(
                "the engine playwright needs a library that is not installed", hint="pip install 'kurt[js]'"
            ) from None
        self._config = config
        self._client = web_client(config)
        self._rules = RobotsCache(self._client) if config.respect_robots else None
        self._program = settings.get("BROWSER", module="fetch")
        self._opening = asyncio.Lock()
        self._places = asyncio.Semaphore(PAGES)
        self._playwright: Any = None
        self._browser: Any = None

    async def bring(self, target: Target) -> Brought:
        """Load a page, let its scripts run, and take what they made of it.

        Raises:
            WebError: it cannot be had.
            UsageError: there is no browser.
        """
        async with self._places:
            browser = await self._opened()
            context = await browser.new_context(service_workers="block", accept_downloads=False)
            try:
                return await self._load(context, target)
            finally:
                with suppress(
                    Exception
                ):  # the browser may be gone; the page was read or its error is on its way
                    await context.close()

    async def _load(self, context: Any, target: Target) -> Brought:
        requests = _Requests(self._client, self._rules, target)
        await context.route("**/*", requests.answer)
        page = await context.new_page()
        limit = self._config.timeout * 1000
        try:
            await page.goto(target.uri, wait_until="load", timeout=limit)
            with suppress(self._api.TimeoutError):
                await page.wait_for_load_state("networkidle", timeout=_SETTLED * 1000)
            text = await page.content()
        except self._api.TimeoutError as error:
            raise WebTimeoutError(f"{target.uri} was not loaded in time", url=target.uri) from error
        except self._api.Error as error:
            if requests.error is not None:
                raise requests.error from error
            if (early := requests.ending()) is not None:
                return early
            raise UnreachableError(f"the browser cannot load it: {error}", url=target.uri) from error
        return requests.ending() or requests.brought(text, self._config.max_bytes)

    async def _opened(self) -> Any:
        async with self._opening:
            if self._browser is None or not self._browser.is_connected():
                self._playwright = self._playwright or await self._api.async_playwright().start()
                program = self._program or next(filter(None, map(shutil.which, _BROWSERS)), None)
                try:
                    self._browser = await self._playwright.chromium.launch(
                        executable_path=program, args=list(_ARGUMENTS)
                    )
                except self._api.Error as error:
                    raise UsageError(
                        f"no browser can be started: {str(error).splitlines()[0]}",
                        hint="install chromium, or name one by FETCH.BROWSER, or run `playwright install chromium`",
                    ) from error
            return self._browser

    async def close(self) -> None:
        """End the browser."""
        if self._browser is not None:
            with suppress(Exception):  # it may have died; there is nothing to lose
                await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
        await self._client.close()


class _Requests:
    """The requests of one page, sent by our client."""

    def __init__(self, client: WebClient, rules: RobotsCache | None, target: Target) -> None:
        self._client = client
        self._rules = rules
        self._target = target
        self._first: Reply | None = None
        self.error: WebError | None = None

    async def answer(self, route: Any, request: Any) -> None:
        """Answer a request of the browser's, or have it fail."""
        if request.method != "GET" or request.resource_type in _UNSEEN:
            await route.abort()
            return
        main = request.is_navigation_request() and request.frame.parent_frame is None
        try:
            reply = await self._reply(request.url, main=main)
        except WebError as error:
            self.error = error if main and self.error is None else self.error
            with suppress(Exception):  # the page may be closed already
                await route.abort()
            return
        with suppress(Exception):  # as above
            await route.fulfill(status=reply.status, headers=_headers(reply.headers), body=reply.body)

    async def _reply(self, url: str, *, main: bool) -> Reply:
        if not main:
            return await self._client.get(url, accept="*/*")
        target = self._target
        reply = await self._client.get(
            url, etag=target.etag, last_modified=target.last_modified, rules=self._rules
        )
        self._first = self._first or reply
        # A browser shows no page for 304; what it shows does not matter then.
        return Reply(200, reply.url, {"content-type": "text/html"}) if reply.not_modified else reply

    def ending(self) -> Brought | None:
        """What is known without the browser: that nothing has changed, that there is nothing, that it is no page."""
        first = self._first
        if first is None:
            return None
        if first.not_modified:
            return Brought(unchanged=True, url=first.url, http_status=304)
        if first.gone:
            return Brought(gone=f"the server answered with {first.status}", http_status=first.status)
        first.check()
        kind = kind_of(first)
        if kind == "html":
            return None
        return Brought(
            body=first.body, kind=kind, charset=first.charset, url=first.url, http_status=first.status
        )

    def brought(self, text: str, limit: int) -> Brought:
        """The page as its scripts have made it."""
        body = text.encode("utf-8", "replace")
        if len(body) > limit:
            raise WebError(f"the page has more than {limit} bytes", url=self._target.uri)
        first = self._first
        # Scripts may show something new for the same bytes: such a page is always read again.
        return Brought(
            body=body,
            charset="utf-8",
            url=first.url if first else self._target.uri,
            http_status=first.status if first else None,
        )


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _HOP_HEADERS}
