"""The engine `playwright`: pages that only a browser makes readable.

The browser itself reaches nothing: each request of a page is answered by the same client as everything else, with its
checks of addresses, its limits and its manners. What it would send by other ways ends at a proxy that is not there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kurt.errors import UsageError
from kurt.integrations.web.client import Reply
from kurt.integrations.web.errors import TooLargeError, UnreachableError, WebTimeoutError

from .browser_requests import Requests, Shared
from .engine_http import HttpEngine, brought
from .engines import Brought, Target
from .needs import check_library

if TYPE_CHECKING:
    from kurt.config import Settings

    from .config import FetchConfig

PAGES = 4
"""Pages that are open at once."""

SETTLED = 5.0
"""Seconds that a page gets to become quiet after it was loaded."""

HEAP = 512
"""Megabytes that the scripts of a page may have."""

_CLOSING = 5.0
"""Seconds for closing a page; a script that never ends must not keep us."""

BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
"""Names under which systems have one, in the order in which they are tried; the first is made for this and the fastest."""

_NOWHERE = "http://127.0.0.1:9"
"""The proxy of everything that our client does not answer, such as web sockets: the port that discards."""

_ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-bypass-list=<-loopback>",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    f"--js-flags=--max-old-space-size={HEAP}",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)
_SOURCE = "(text => text.length > {limit} ? null : text)(document.documentElement.outerHTML)"


class BrowserEngine:
    """Loads pages in a browser without a window.

    Args:
        config: limits and manners.
        settings: `FETCH.BROWSER` names another browser than the one that is found; `FETCH.BROWSER_SANDBOX` is `false`
            where the system does not let a browser lock itself in.

    Raises:
        UsageError: Playwright is not installed.
    """

    name = "playwright"

    def __init__(self, config: FetchConfig, settings: Settings) -> None:
        check_library(self.name)
        self._api: Any = import_module("playwright.async_api")
        self._config = config
        self._http = HttpEngine(config)
        self._shared = Shared()
        self._program = str(settings.get("BROWSER", module="fetch") or "") or None
        self._sandbox = _wants_sandbox(settings)
        self._opening = asyncio.Lock()
        self._places = asyncio.Semaphore(PAGES)
        self._playwright: Any = None
        self._browser: Any = None
        self._broken: UsageError | None = None

    async def bring(self, target: Target) -> Brought:
        """Load a page, let its scripts run, and take what they made of it.

        The version that is here is not named to the server: scripts may show something new for the same bytes, and the
        text that is here may be that of another engine.

        Raises:
            WebError: it cannot be had.
            DataError: it is nothing that has a text.
            UsageError: there is no browser.
        """
        reply = await self._http.reply(Target(target.id, target.uri))
        found = brought(reply)
        if found.gone is not None or found.kind != "html":
            return found
        async with self._places:
            browser = await self._opened()
            context = await browser.new_context(service_workers="block", accept_downloads=False)
            try:
                async with asyncio.timeout(self._config.timeout + SETTLED):
                    return await self._load(context, reply)
            except TimeoutError as error:
                raise self._late(reply) from error
            finally:
                await self._leave(context)

    async def _load(self, context: Any, reply: Reply) -> Brought:
        requests = Requests(self._http, self._shared, reply, limit=self._config.max_bytes)
        await context.route("**/*", requests.answer)
        page = requests.page = await context.new_page()
        try:
            await page.goto(reply.url, wait_until="load", timeout=self._config.timeout * 1000)
            with suppress(self._api.TimeoutError):
                await page.wait_for_load_state("networkidle", timeout=SETTLED * 1000)
            body = await self._source(context, page)
        except self._api.TimeoutError as error:
            raise self._late(reply) from error
        except self._api.Error as error:
            if requests.error is not None:
                raise requests.error from error
            said = str(error).partition("\n")[0]
            raise UnreachableError(f"the browser cannot show it: {said}", url=reply.url) from error
        if requests.error is not None:  # the page has sent us on to one that cannot be had
            raise requests.error
        return Brought(body=body, charset="utf-8", url=page.url, http_status=reply.status)

    async def _source(self, context: Any, page: Any) -> bytes:
        """The page as its scripts have made it; asked for from a world of its own, where they have no say."""
        limit = self._config.max_bytes
        session = await context.new_cdp_session(page)
        tree = await session.send("Page.getFrameTree")
        world = await session.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
        asked = {
            "expression": _SOURCE.format(limit=limit),
            "contextId": world["executionContextId"],
            "returnByValue": True,
        }
        text = (await session.send("Runtime.evaluate", asked))["result"].get("value")
        body = None if text is None else text.encode("utf-8", "replace")
        if body is None or len(body) > limit:
            raise TooLargeError(f"scripts have made the page larger than {limit} bytes", url=page.url)
        return body

    def _late(self, reply: Reply) -> WebTimeoutError:
        return WebTimeoutError(
            f"the browser has not shown it within {self._config.timeout:g} s", url=reply.url
        )

    async def _leave(self, context: Any) -> None:
        """Close a page. A browser that does not let go of one is ended: the next page opens another."""
        try:
            async with asyncio.timeout(_CLOSING):
                await context.close()
        except Exception:  # noqa: BLE001 - it has died or hangs; what was to be said of the page is on its way
            await self._end_browser()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._broken is not None:
                raise self._broken
            if self._browser is None or not self._browser.is_connected():
                self._browser = await self._launched()
            return self._browser

    async def _launched(self) -> Any:
        self._playwright = self._playwright or await self._api.async_playwright().start()
        program = self._program or next(filter(None, map(shutil.which, BROWSERS)), None)
        try:
            return await self._playwright.chromium.launch(
                executable_path=program,
                args=list(_ARGUMENTS),
                chromium_sandbox=self._sandbox,
                proxy={"server": _NOWHERE},
                handle_sigint=False,  # we end it ourselves, when what is at work is stored
                handle_sigterm=False,
            )
        except self._api.Error as error:
            self._broken = _not_started(str(error), program)
            raise self._broken from error

    async def _end_browser(self) -> None:
        browser, self._browser = self._browser, None
        if browser is not None:
            with suppress(Exception):  # it may have died; there is nothing to lose
                async with asyncio.timeout(_CLOSING):
                    await browser.close()

    async def close(self) -> None:
        """End the browser."""
        await self._end_browser()
        if self._playwright is not None:
            await self._playwright.stop()
        await self._http.close()


def _wants_sandbox(settings: Settings) -> bool:
    """Whether the browser locks its pages in; for root it cannot."""
    said = str(settings.get("BROWSER_SANDBOX", module="fetch") or "").strip().lower()
    return os.geteuid() != 0 and said not in {"false", "0", "no", "off"}


def _not_started(said: str, program: str | None) -> UsageError:
    """Why there is no browser, and what to do."""
    if "sandbox" in said.lower():
        return UsageError(
            "the system does not let the browser lock its pages in (its sandbox)",
            hint="install Debian's chromium-sandbox, or where pages are trusted set FETCH.BROWSER_SANDBOX=false",
        )
    why = said.partition("\n")[0] if program else "there is none on this machine"
    return UsageError(
        f"no browser can be started: {why}",
        hint="install one, such as by `apt install chromium` or `playwright install chromium`, or name its program in FETCH.BROWSER",
    )
