"""Posting JSON to an endpoint and reading a bounded answer: one HTTP session for each event loop."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from kurt.llm.errors import AnswerError, ConnectionCutError, ModelTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kurt.llm.providers import Endpoint

CONNECT_LIMIT = 30.0
"""Seconds to reach an endpoint."""

ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of an answer, after decompression; vectors of a hundred texts take a tenth of it."""

_KEEP_ALIVE = 30.0
_CLOSING = 2.0

_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
_keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
_timeouts: dict[float, aiohttp.ClientTimeout] = {}
_urls: dict[str, URL] = {}
_proxies: dict[str, str | None] = {}
_lock = threading.Lock()


class Received(NamedTuple):
    """What an endpoint sent back.

    Attributes:
        status: HTTP status.
        headers: by name, whatever the case.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post(
    endpoint: Endpoint,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    limit: int = ANSWER_LIMIT,
) -> Received:
    """Post to an endpoint.

    Args:
        endpoint: who is asked.
        path: what follows its address.
        body: JSON.
        headers: to send.
        seconds: how long all of it may take.
        limit: bytes of the answer that are accepted.

    Raises:
        ModelTimeoutError: there was no whole answer in time.
        ConnectionCutError: it was not reached, or the connection ended in mid-answer.
        AnswerError: the answer is too long.
    """
    session = _sessions.get(asyncio.get_running_loop()) or await _open()
    try:
        async with session.post(
            _url(endpoint.base_url + path),
            data=body,
            headers=headers,
            timeout=_limits(seconds),
            allow_redirects=False,
            proxy=_proxy(endpoint.base_url),
        ) as answer:
            return Received(answer.status, answer.headers, await _read(answer, endpoint, limit))
    except TimeoutError:
        raise ModelTimeoutError(
            f"{endpoint.provider} ({endpoint.shown}) did not answer within {seconds:g} s",
            hint="raise the step's timeout, or ask for a shorter answer",
        ) from None
    except aiohttp.ClientError as error:
        raise _connection_error(endpoint, error) from error


async def _read(answer: aiohttp.ClientResponse, endpoint: Endpoint, limit: int) -> bytes:
    """The body, as long as it is not too long."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > limit:
            answer.close()
            raise AnswerError(
                f"the answer of {endpoint.provider} ({endpoint.shown}) has more than {limit:,} bytes",
                type="AnswerTooLarge",
                hint="set max_tokens, so that answers are shorter",
            )
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _connection_error(endpoint: Endpoint, error: aiohttp.ClientError) -> ConnectionCutError:
    where = f"{endpoint.provider} ({endpoint.shown})"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return ConnectionCutError(
            f"{where} cannot be trusted: {type(error).__name__}",
            type="Untrusted",
            retryable=False,
            fatal=True,
            hint="check the address and the certificates of this machine",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionCutError(
            f"{where} cannot be reached: {error.os_error}",
            type="NotReached",
            hint="check that it runs and that its address is right",
        )
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return ConnectionCutError(
            f"{endpoint.shown} is no address", type="NotReached", retryable=False, fatal=True
        )
    return ConnectionCutError(f"the connection to {where} was cut: {type(error).__name__}")


def _url(text: str) -> URL:
    found = _urls.get(text)
    if found is None:
        found = _urls[text] = URL(text)
    return found


def _limits(seconds: float) -> aiohttp.ClientTimeout:
    found = _timeouts.get(seconds)
    if found is None:
        found = _timeouts[seconds] = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_LIMIT)
    return found


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for an address; looked up once."""
    if base_url not in _proxies:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        local = host in {"localhost", "127.0.0.1", "::1"} or bool(proxy_bypass(host))
        _proxies[base_url] = None if local else getproxies().get(parts.scheme)
    return _proxies[base_url]


async def _open() -> aiohttp.ClientSession:
    """A session for this loop, which ends with the loop."""
    loop = asyncio.get_running_loop()
    keeper = _keepers[loop] = _keep(loop)
    await anext(keeper)
    return _sessions[loop]


async def _keep(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
    """Opens a session; the loop closes its asynchronous generators, and so the session, before it ends."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
        headers={"User-Agent": f"kurt/{version('kurt')}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    with _lock:
        _sessions[loop] = session
    try:
        yield
    finally:
        with _lock:
            _sessions.pop(loop, None)
            _keepers.pop(loop, None)
        await session.close()


async def close_session() -> None:
    """Close the session of this loop, if there is one; the next call opens another."""
    keeper = _keepers.get(asyncio.get_running_loop())
    if keeper is not None:
        await keeper.aclose()


def close_sessions() -> None:
    """Close the sessions of all loops that run in other threads; for the end of a process."""
    for loop, keeper in list(_keepers.items()):
        if loop.is_running():
            closing = asyncio.run_coroutine_threadsafe(keeper.aclose(), loop)
            try:
                closing.result(_CLOSING)
            except (TimeoutError, RuntimeError):
                continue


atexit.register(close_sessions)
