"""One HTTP request for a step: checked addresses, a bounded answer, errors in our own words."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from io import BytesIO
from time import time
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from kurt.engine import addresses
from kurt.errors import StepError, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Collection

    from kurt.types import Json

CONNECT_LIMIT = 30.0
"""Seconds to reach a server."""

SILENCE_LIMIT = 300.0
"""Seconds in which a server may send nothing."""

BODY_IN_ERROR = 4 * 1024
"""Characters of a refused answer's body that go into the error's details."""

_BLOCK = 64 * 1024
_MOVED = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_TEXT_TYPES = (
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
    "application/yaml",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request.

    Attributes:
        method: in capitals.
        url: with its query.
        headers: to send.
        body: bytes to send, or None.
        allow_private: whether the server may have an address that is not public.
        redirects: how many redirects are followed.
        max_size: bytes of the answer's body that are accepted, after decompression.
        timeout: seconds for all of it, or None.
    """

    method: str
    url: URL
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    allow_private: bool = False
    redirects: int = 5
    max_size: int = 10_000_000
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: its code.
        headers: by name in lower case; a repeated one is joined by commas.
        body: the value of JSON, else the text; None for an empty body that is not text.
        url: where it came from in the end, without its query.
    """

    status: int
    headers: dict[str, str]
    body: Json
    url: str

    def to_json(self) -> dict[str, Json]:
        """The value of an `http` step."""
        return {"status": self.status, "headers": self.headers, "body": self.body}


async def send(request: Request, *, accepts: Collection[int]) -> Response:
    """Send a request, follow its redirects, and read the answer.

    Args:
        request: what to send.
        accepts: status codes that are no failure.

    Raises:
        StepError: type `HttpStatus` for another status (details: status, url, body, retry_after), `AddressRefused`,
            `InvalidUrl`, `TooManyRedirects`, `ResponseTooLarge`, `BinaryBody`, `InvalidJson` or `ConnectionError`.
        StepTimeoutError: it took too long.
    """
    limits = aiohttp.ClientTimeout(total=request.timeout, sock_connect=CONNECT_LIMIT, sock_read=SILENCE_LIMIT)
    connector = aiohttp.TCPConnector(
        resolver=addresses.CheckedResolver(None if request.allow_private else _address_refused), limit=1
    )
    agent = {"User-Agent": f"kurt/{version('kurt')}"}
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=limits, headers=agent) as session:
            return await _send(session, request, accepts)
    except TimeoutError as error:
        raise StepTimeoutError(
            f"{request.url.host} did not answer in time", hint="raise the step's `timeout`"
        ) from error
    except aiohttp.InvalidURL as error:
        raise _invalid(request.url) from error
    except ValueError as error:  # what aiohttp refuses to put into headers
        raise StepError(
            f"the request cannot be sent: {error}",
            type="InvalidRequest",
            hint="remove line breaks and other control characters from `headers`",
        ) from error
    except aiohttp.ClientError as error:
        raise StepError(
            f"the request to {request.url.host} failed: {error}",
            type="ConnectionError",
            details={"url": shown(request.url)},
        ) from error


async def _send(session: aiohttp.ClientSession, request: Request, accepts: Collection[int]) -> Response:
    for _ in range(request.redirects + 1):
        _check(request)
        async with session.request(
            request.method, request.url, headers=request.headers, data=_data(request), allow_redirects=False
        ) as answer:
            target = answer.headers.get("Location")
            if (
                answer.status not in _MOVED
                or target is None
                or not request.redirects
                or answer.status in accepts
            ):
                return await _read(answer, request, accepts)
            request = _redirected(request, answer.status, target)
    raise StepError(
        f"more than {request.redirects} redirects",
        type="TooManyRedirects",
        details={"url": shown(request.url)},
    )


def _data(request: Request) -> BytesIO | None:
    return None if request.body is None else BytesIO(request.body)  # aiohttp sends large bytes in one piece


def _redirected(request: Request, status: int, target: str) -> Request:
    """The next request; what proves who we are stays with the server that it was meant for."""
    try:
        url = request.url.join(URL(target))
    except ValueError as error:
        raise StepError(f"redirected to {target!r}, which is not an address", type="InvalidUrl") from error
    headers, method, body = dict(request.headers), request.method, request.body
    if (url.scheme, url.host, url.port) != (request.url.scheme, request.url.host, request.url.port):
        headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    if status not in _SAME_METHOD and method not in {"GET", "HEAD"}:
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    return replace(request, url=url, headers=headers, method=method, body=body)


async def _read(answer: aiohttp.ClientResponse, request: Request, accepts: Collection[int]) -> Response:
    data = bytearray()
    async for part in answer.content.iter_chunked(_BLOCK):
        data += part
        if len(data) > request.max_size:
            raise StepError(
                f"the answer has more than {request.max_size} bytes",
                type="ResponseTooLarge",
                hint="raise `max_size`",
                details={"status": answer.status, "url": shown(answer.url)},
            )
    if answer.status not in accepts:
        raise _refused(answer, bytes(data))
    return Response(answer.status, _headers(answer), _body(answer, bytes(data)), shown(answer.url))


def _refused(answer: aiohttp.ClientResponse, data: bytes) -> StepError:
    details: dict[str, Any] = {
        "status": answer.status,
        "url": shown(answer.url),
        "body": data.decode("utf-8", "replace")[:BODY_IN_ERROR],
    }
    if (wait := _retry_after(answer.headers.get("Retry-After"))) is not None:
        details["retry_after"] = wait
    return StepError(
        f"{answer.method} {shown(answer.url)} was answered with {answer.status} {answer.reason or ''}".rstrip(),
        type="HttpStatus",
        details=details,
    )


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait, from a number of seconds or a date; None when it is neither."""
    if text is None:
        return None
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in answer.headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _body(answer: aiohttp.ClientResponse, data: bytes) -> Json:
    kind = answer.content_type
    if kind == "application/json" or kind.endswith("+json"):
        return _json(data)
    declared = "Content-Type" in answer.headers
    if not data and not kind.startswith("text/"):
        return None
    charset = answer.charset or "utf-8"
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES:
        try:
            return data.decode(charset, "replace")
        except LookupError:
            return data.decode("utf-8", "replace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise StepError(
            f"the answer is not text but {kind if declared else 'of no declared type'}",
            type="BinaryBody",
            hint="fetch it into a file by a `run` step, for example with curl",
        )
    return text


def _json(data: bytes) -> Json:
    if not data.strip():
        return None
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except ValueError as error:
        raise StepError(
            f"the answer says that it is JSON, but it is not: {error}",
            type="InvalidJson",
            details={"body": data.decode("utf-8", "replace")[:BODY_IN_ERROR]},
        ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check(request: Request) -> None:
    """Refuse what is not HTTP, and private addresses that are written as such (names are checked when resolved)."""
    url = request.url
    if url.scheme not in {"http", "https"} or not url.host:
        raise _invalid(url)
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return
    if not request.allow_private and not addresses.is_public(address):
        raise _address_refused(url.host, str(address))


def _address_refused(host: str, address: str) -> StepError:
    shown = host if host == address else f"{host} ({address})"
    return StepError(
        f"{shown} is not a public address",
        type="AddressRefused",
        hint="write `allow_private: true` in the step if it is meant to reach it",
    )


def _invalid(url: URL) -> StepError:
    return StepError(
        f"{shown(url)!r} is not an HTTP address", type="InvalidUrl", hint="write it as https://host/path"
    )


def shown(url: URL) -> str:
    """An address without what may be secret in it: user, password, query."""
    return (
        str(url.with_user(None).with_query(None).with_fragment(None))
        if url.absolute
        else str(url.with_query(None))
    )
