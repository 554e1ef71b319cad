"""`WebClient`: requests to servers that nobody vouches for.

Every address is checked, on each redirect again; bodies, redirects and time have limits; what may succeed later is tried
again; a server that asks for slowness gets it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Protocol, Self

import aiohttp
from yarl import URL

from kurt.engine.addresses import CheckedResolver, Lookup, system_lookup
from kurt.integrations.web import bodies
from kurt.integrations.web.errors import (
    InvalidUrlError,
    RobotsRefusedError,
    StatusError,
    TooManyRedirectsError,
    UnreachableError,
    WebError,
    WebTimeoutError,
)
from kurt.integrations.web.guard import checked_url, refused
from kurt.integrations.web.politeness import Politeness, backoff, origin_of

ACCEPT = "text/html,application/xhtml+xml,application/pdf;q=0.9,text/plain;q=0.9,*/*;q=0.5"
"""What a page may be."""

AGENT_TOKEN = "kurt"  # noqa: S105 - a name, no secret
"""Our name in robots.txt."""

_BLOCK = 64 * 1024
_ERROR_BODY = 4 * 1024
_MOVED = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_TOO_MANY = frozenset({429, 503})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of our time and memory a server gets.

    Attributes:
        body: bytes of a body, both as it is sent and after decompression.
        seconds: for one attempt, from the first redirect to the last byte.
        connect_seconds: to reach the server.
        redirects: how many are followed.
        attempts: how often a request is sent that may succeed later.
        throttled: how often it is sent while the server says 429, or 503 with `Retry-After`.
        retry_after: the longest `Retry-After` that is waited for, in seconds; a longer one ends the attempts.
    """

    body: int = 20_000_000
    seconds: float = 60.0
    connect_seconds: float = 15.0
    redirects: int = 10
    attempts: int = 4
    throttled: int = 12
    retry_after: float = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer, whatever its status.

    Attributes:
        status: its code.
        url: where it came from in the end.
        headers: by name in lower case; a repeated one is joined by commas.
        body: decompressed; of an error its first 4 KiB.
        redirects: addresses that led here, the one that was asked for first.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    redirects: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a body to use, or none is needed."""
        return 200 <= self.status < 300 or self.not_modified

    @property
    def not_modified(self) -> bool:
        """Whether the version that the request named is still the newest."""
        return self.status == 304

    @property
    def gone(self) -> bool:
        """Whether the server says that there is no such page."""
        return self.status in {404, 410}

    @property
    def etag(self) -> str | None:
        """What the next request can name as the version that it has."""
        return self.headers.get("etag")

    @property
    def last_modified(self) -> str | None:
        """Likewise."""
        return self.headers.get("last-modified")

    @property
    def content_type(self) -> str:
        """The kind of the body, without parameters, in lower case; empty where the server does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The character set that the server names."""
        for parameter in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'").lower() or None
        return None

    def check(self) -> Self:
        """The answer itself.

        Raises:
            StatusError: it is no success.
        """
        if not self.ok:
            raise StatusError(
                f"{shown(self.url)} was answered with {self.status}", status=self.status, url=self.url
            )
        return self


class Rules(Protocol):
    """Says which pages may be asked for; `RobotsCache` does."""

    async def allowed(self, url: str) -> bool:
        """Whether this one may."""
        ...


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    json: Any = None
    form: Mapping[str, str] | None = None


class WebClient:
    """Sends requests; to be entered with `async with`, or closed by `close()`. Belongs to one event loop.

    Args:
        allow_private: let servers have addresses that are not public.
        limits: for each request.
        politeness: who takes turns at servers; shared by those who ask the same ones.
        lookup: what resolves names; the system by default.
        connections: connections at once to all servers.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        limits: Limits | None = None,
        politeness: Politeness | None = None,
        lookup: Lookup = system_lookup,
        connections: int = 100,
    ) -> None:
        self.allow_private = allow_private
        self.limits = limits or Limits()
        self.politeness = politeness or Politeness()
        self._lookup = lookup
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
        rules: Rules | None = None,
    ) -> Reply:
        """Ask for a page.

        Args:
            url: http or https.
            etag: of the version that is there already; the answer may then be 304 without a body.
            last_modified: likewise.
            accept: kinds of answers in place of those of a page.
            headers: more to send.
            rules: asked for each address on the way.

        Returns:
            the answer, also one that is an error of the server's; 429 and the like only after the last attempt.

        Raises:
            WebError: there was no answer that may be used.
        """
        sent = {"Accept": accept or ACCEPT, **(headers or {})}
        if etag:
            sent["If-None-Match"] = etag
        if last_modified:
            sent["If-Modified-Since"] = last_modified
        return await self._persist(_Request("GET", self._checked(url), sent), rules)

    async def post(
        self,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a value as JSON, or the fields of a form, to an interface that only answers with something; otherwise as
        `get`.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        return await self._persist(_Request("POST", self._checked(url), sent, json, form), None)

    def _checked(self, url: str | URL) -> URL:
        return checked_url(url, allow_private=self.allow_private)

    async def _persist(self, request: _Request, rules: Rules | None) -> Reply:
        """Send a request until there is an answer, or no hope of one."""
        failures = throttled = 0
        while True:
            try:
                reply = await self._attempt(request, rules)
            except WebError as error:
                failures += 1
                if not error.transient or failures >= self.limits.attempts:
                    raise
                await asyncio.sleep(backoff(failures))
                continue
            if reply.status not in _TRANSIENT:
                return reply
            wait = retry_after(reply.headers)
            if reply.status == 429 or (reply.status in _TOO_MANY and wait is not None):
                throttled += 1
                if throttled >= self.limits.throttled or (wait or 0) > self.limits.retry_after:
                    return reply
                self._slow_down(reply.url, wait, throttled)
                continue
            failures += 1
            if failures >= self.limits.attempts:
                return reply
            await asyncio.sleep(backoff(failures))

    def _slow_down(self, url: str, wait: float | None, times: int) -> None:
        """All requests to this server wait, not this one alone."""
        origin = origin_of(url)
        self.politeness.complained(origin)
        self.politeness.pause(origin, backoff(times) if wait is None else wait)

    async def _attempt(self, request: _Request, rules: Rules | None) -> Reply:
        trail: list[str] = []
        for _ in range(self.limits.redirects + 1):
            if rules is not None and not await rules.allowed(str(request.url)):
                raise RobotsRefusedError(
                    f"the robots.txt of {request.url.host} does not allow {shown(str(request.url))}",
                    url=str(request.url),
                    hint="add --ignore-robots (respect_robots: false) if the site is yours",
                )
            reply = await self._send(request, tuple(trail))
            target = reply.headers.get("location")
            if reply.status not in _MOVED or target is None:
                return reply
            trail.append(str(request.url))
            request = self._redirected(request, reply.status, target)
        raise TooManyRedirectsError(
            f"{shown(trail[0])} has more than {self.limits.redirects} redirects", url=trail[0]
        )

    def _redirected(self, request: _Request, status: int, target: str) -> _Request:
        try:
            url = request.url.join(URL(target))
        except ValueError as error:
            raise InvalidUrlError(
                f"{shown(str(request.url))} leads to {target[:200]!r}, which is not an address",
                url=str(request.url),
            ) from error
        url = self._checked(url)
        headers = dict(request.headers)
        if url.origin() != request.url.origin():
            headers = {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
        if request.method == "GET" or status in _KEEP_METHOD:
            return _Request(request.method, url, headers, request.json, request.form)
        return _Request("GET", url, headers)

    async def _send(self, request: _Request, trail: tuple[str, ...]) -> Reply:
        """One request in its turn; the time that it waits for that does not count."""
        origin, url = origin_of(request.url), str(request.url)
        async with self.politeness.turn(origin):
            try:
                async with asyncio.timeout(self.limits.seconds):
                    reply = await self._exchange(request, trail)
            except TimeoutError as error:
                raise WebTimeoutError(
                    f"{shown(url)} was not answered within {self.limits.seconds:g} s", url=url
                ) from error
            except aiohttp.InvalidURL as error:
                raise InvalidUrlError(f"{url!r} is not an address", url=url) from error
            except WebError as error:
                error.url = error.url or url
                raise
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _unreachable(error, url) from error
        if reply.status not in _TRANSIENT:
            self.politeness.content(origin)
        return reply

    async def _exchange(self, request: _Request, trail: tuple[str, ...]) -> Reply:
        body: dict[str, Any] = {} if request.json is None else {"json": request.json}
        if request.form is not None:
            body["data"] = dict(request.form)
        async with self._opened().request(
            request.method, request.url, headers=request.headers, allow_redirects=False, **body
        ) as answer:
            headers = _headers(answer)
            if answer.status in _MOVED or answer.status == 304:
                data = b""
            elif answer.status >= 400:
                data = (await answer.content.read(_ERROR_BODY))[:_ERROR_BODY]
            else:
                blocks = answer.content.iter_chunked(_BLOCK)
                data = await bodies.read(aiter(blocks), headers.get("content-encoding", ""), self.limits.body)
            return Reply(answer.status, str(request.url), headers, data, trail)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = CheckedResolver(None if self.allow_private else refused, self._lookup)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_seconds),
                headers={"User-Agent": agent(), "Accept-Encoding": bodies.ENCODINGS},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def agent() -> str:
    """How we call ourselves to servers."""
    return f"{AGENT_TOKEN}/{version('kurt')}"


def shown(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    try:
        parts = URL(url)
        return str(parts.with_user(None).with_query(None).with_fragment(None)) if parts.absolute else url
    except ValueError:
        return url


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, from a number or a date; None where it says nothing that can be read."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _unreachable(error: Exception, url: str) -> UnreachableError:
    found = UnreachableError(f"{shown(url)} cannot be had: {error}", url=url)
    unknown_name = isinstance(error, aiohttp.ClientConnectorDNSError) and error.errno != socket.EAI_AGAIN
    found.transient = not (unknown_name or isinstance(error, (aiohttp.ClientSSLError, ValueError)))
    return found


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in answer.headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
