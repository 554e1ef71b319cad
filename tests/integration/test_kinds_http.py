"""The kind `http` against servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web as server

from kurt.engine.kinds import Limits
from kurt.engine.steps.http import HttpKind
from kurt.errors import StepError, StepTimeoutError
from tests.support.steps import Bench

Handler = Callable[[server.Request], Awaitable[server.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(handler)`: a server that gives every request to the handler; its address."""
    runners: list[server.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = server.Application(client_max_size=100_000_000)
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = server.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = server.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def echo(request: server.Request) -> server.Response:
    """What arrived, as JSON."""
    return server.json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": [list(pair) for pair in request.query.items()],
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": (await request.read()).decode(),
        }
    )


def answer(**response: Any) -> Handler:
    async def handle(_: server.Request) -> server.Response:
        return server.Response(**response)

    return handle


async def request(bench: Bench, url: str, *, limits: Limits | None = None, **spec: Any) -> Any:
    return await bench.do(HttpKind, {"url": url, "allow_private": True, **spec}, limits=limits)


async def failure(bench: Bench, url: str, **spec: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        await request(bench, url, **spec)
    return caught.value


async def test_the_answer_is_status_headers_and_decoded_body(bench: Bench, serve: Serve) -> None:
    url = await serve(answer(text='{"a": [1]}', content_type="application/json", headers={"X-Some": "é"}))
    result = await request(bench, url)
    assert (result["status"], result["body"], result["headers"]["x-some"]) == (200, {"a": [1]}, "é")
    assert bench.lines == [("INFO", f"GET {url}"), ("INFO", "answered with 200")]


async def test_hostile_values_arrive_unharmed(bench: Bench, serve: Serve) -> None:
    url = await serve(echo)
    hostile = "${x} '\" \\ \n\r\t; rm -rf ~ & = ? # % + é😀 \u2028"
    value = {"a": [hostile, None, 1.5, True], hostile: {}}
    seen = (await request(bench, url, method="post", json=value, params={"q": hostile, hostile: "1"}))["body"]
    assert json.loads(seen["body"]) == value
    assert seen["query"] == [["q", hostile], [hostile, "1"]]
    assert (seen["method"], seen["headers"]["content-type"]) == ("POST", "application/json")
    assert (await request(bench, url, method="PUT", body=hostile))["body"]["body"] == hostile


async def test_five_megabytes_both_ways(bench: Bench, serve: Serve) -> None:
    url = await serve(echo)
    text = "é'\"\n" * 1_000_000
    assert (await request(bench, url, method="POST", body=text, max_size="50MB"))["body"]["body"] == text


async def test_what_is_sent_by_default(bench: Bench, serve: Serve) -> None:
    url = await serve(echo)
    seen = (await request(bench, f"{url}/x?a=1", params={"b": [1, 2], "c": None, "d": True}))["body"]
    assert seen["query"] == [["a", "1"], ["b", "1"], ["b", "2"], ["d", "true"]]
    assert (seen["method"], seen["path"], seen["body"]) == ("GET", "/x", "")
    assert seen["headers"]["user-agent"].startswith("kurt/")
    seen = (await request(bench, url, headers={"User-Agent": "mine", "X-N": 3}, json=None, method="POST"))[
        "body"
    ]
    assert (seen["headers"]["user-agent"], seen["headers"]["x-n"], seen["body"]) == ("mine", "3", "null")


async def test_a_query_in_the_address_is_sent_as_it_is_written(bench: Bench, serve: Serve) -> None:
    url = await serve(echo)
    seen = (await request(bench, f"{url}/a%2Fb?q=a%20b&r=%2B&s=%26"))["body"]
    assert seen["query"] == [["q", "a b"], ["r", "+"], ["s", "&"]]


async def test_a_header_cannot_bring_another(bench: Bench, serve: Serve) -> None:
    error = await failure(bench, await serve(echo), headers={"X-A": "1\r\nX-B: 2"})
    assert error.type == "InvalidRequest"


@pytest.mark.parametrize(
    ("expect", "status", "fits"),
    [
        ("2xx", 204, True),
        ("2xx", 404, False),
        (404, 404, True),
        (404, 200, False),
        (["2xx", 404], 404, True),
        (["200", "201"], 204, False),
        ("5xx", 503, True),
        ("3xx", 302, True),
    ],
)
async def test_expected_statuses(bench: Bench, serve: Serve, expect: Any, status: int, fits: bool) -> None:
    url = await serve(answer(status=status))
    if fits:
        assert (await request(bench, url, expect=expect))["status"] == status
    else:
        assert (await failure(bench, url, expect=expect)).details["status"] == status


async def test_an_unexpected_status_tells_what_is_needed_to_retry(bench: Bench, serve: Serve) -> None:
    url = await serve(answer(status=503, text="later, please", headers={"Retry-After": "7"}))
    error = await failure(bench, f"{url}/a?token=secret")
    assert error.type == "HttpStatus"
    assert error.message == f"GET {url}/a was answered with 503 Service Unavailable"
    assert error.details == {"status": 503, "url": f"{url}/a", "body": "later, please", "retry_after": 7.0}


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_retry_after_may_be_a_date(bench: Bench, serve: Serve, ahead: float) -> None:
    header = formatdate(time.time() + ahead)
    error = await failure(bench, await serve(answer(status=429, headers={"Retry-After": header})))
    assert max(0, ahead - 60) <= error.details["retry_after"] <= max(0, ahead + 1)


async def test_a_retry_after_that_nobody_understands_is_left_out(bench: Bench, serve: Serve) -> None:
    error = await failure(bench, await serve(answer(status=429, headers={"Retry-After": "soon"})))
    assert "retry_after" not in error.details


@pytest.mark.parametrize(
    ("response", "body"),
    [
        ({"body": b"", "content_type": "application/json"}, None),
        ({"body": b"[1]", "content_type": "application/problem+json"}, [1]),
        ({"body": b"", "content_type": "text/plain"}, ""),
        ({"body": "grün".encode("latin-1"), "content_type": "text/html", "charset": "latin-1"}, "grün"),
        ({"body": b"<a/>", "content_type": "application/atom+xml"}, "<a/>"),
        ({"body": "é".encode(), "content_type": "application/octet-stream"}, "é"),
        ({"body": b"x", "content_type": "text/plain", "charset": "no-such"}, "x"),
        ({"status": 204}, None),
    ],
)
async def test_bodies(bench: Bench, serve: Serve, response: dict[str, Any], body: Any) -> None:
    assert (await request(bench, await serve(answer(**response))))["body"] == body


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ({"body": b"\x89PNG\r\n\xff", "content_type": "image/png"}, "BinaryBody"),
        ({"body": b"a\0b", "content_type": "application/octet-stream"}, "BinaryBody"),
        ({"body": b"{no", "content_type": "application/json"}, "InvalidJson"),
        ({"body": b"NaN", "content_type": "application/json"}, "InvalidJson"),
        ({"body": b"x" * 1001, "content_type": "text/plain"}, "ResponseTooLarge"),
        (
            {
                "body": gzip.compress(b"x" * 1001),
                "content_type": "text/plain",
                "headers": {"Content-Encoding": "gzip"},
            },
            "ResponseTooLarge",
        ),
    ],
)
async def test_bodies_that_are_refused(
    bench: Bench, serve: Serve, response: dict[str, Any], kind: str
) -> None:
    assert (await failure(bench, await serve(answer(**response)), max_size=1000)).type == kind


async def test_an_endless_body_is_cut_off(bench: Bench, serve: Serve) -> None:
    async def endless(got: server.Request) -> server.StreamResponse:
        response = server.StreamResponse()
        await response.prepare(got)
        while True:
            await response.write(b"x" * 10_000)

    async with asyncio.timeout(20):
        assert (await failure(bench, await serve(endless), max_size="1MB")).type == "ResponseTooLarge"


async def test_a_time_out(bench: Bench, serve: Serve) -> None:
    async def slow(_: server.Request) -> server.StreamResponse:
        await asyncio.sleep(300)
        raise AssertionError

    started = time.monotonic()
    with pytest.raises(StepTimeoutError):
        await request(bench, await serve(slow), limits=Limits(timeout=0.3))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://no-such-host.invalid/"])
async def test_a_server_that_cannot_be_reached(bench: Bench, url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = await failure(bench, url.format(port=port))
    assert error.type == "ConnectionError"


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "http://", "http://[::1", ""]
)
async def test_addresses_that_are_none(bench: Bench, url: str) -> None:
    assert (await failure(bench, url)).type == "InvalidUrl"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_private_addresses_are_refused_by_default(bench: Bench, serve: Serve, host: str) -> None:
    reached: list[server.Request] = []

    async def remember(got: server.Request) -> server.Response:
        reached.append(got)
        return server.Response()

    port = (await serve(remember)).rpartition(":")[2]
    error = await failure(bench, f"http://{host}:{port}/", allow_private=False)
    if error.type != "InvalidUrl":  # aiohttp itself takes the odd spellings of numbers for no address
        assert (error.type, "allow_private" in str(error.hint)) == ("AddressRefused", True)
    assert not reached


async def test_a_redirect_to_a_private_address_is_refused(
    bench: Bench, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kurt.engine import addresses

    outer = await serve(answer(status=302, headers={"Location": "http://127.0.0.2:9/"}))
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1")
    error = await failure(bench, outer, allow_private=False)
    assert (error.type, error.message) == ("AddressRefused", "127.0.0.2 is not a public address")


async def test_a_name_is_looked_up_once_and_all_its_addresses_count(
    bench: Bench, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a name that answers with another address the second time leads nowhere."""
    from kurt.engine import addresses

    port = int((await serve(answer(text="here"))).rpartition(":")[2])
    looked_up: list[str] = []
    found = ["127.0.0.1"]

    async def look_up(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1")
    url = f"http://name.example:{port}/"
    assert (await request(bench, url, allow_private=False))["body"] == "here"
    assert looked_up == ["name.example"]
    found.append("10.0.0.1")
    error = await failure(bench, url, allow_private=False)
    assert error.message == "name.example (10.0.0.1) is not a public address"


async def test_redirects_are_followed_and_counted(bench: Bench, serve: Serve) -> None:
    async def hop(got: server.Request) -> server.StreamResponse:
        left = int(got.path.strip("/"))
        if left == 0:
            return await echo(got)
        return server.Response(
            status=int(got.query["status"]), headers={"Location": f"/{left - 1}?{got.query_string}"}
        )

    url = await serve(hop)
    seen = (await request(bench, f"{url}/3?status=302", method="POST", body="x"))["body"]
    assert (seen["method"], seen["body"], seen["path"]) == ("GET", "", "/0")
    seen = (await request(bench, f"{url}/3?status=307", method="POST", body="x"))["body"]
    assert (seen["method"], seen["body"]) == ("POST", "x")
    assert (await failure(bench, f"{url}/6?status=301")).type == "TooManyRedirects"
    assert (await failure(bench, f"{url}/1?status=301", redirects=0)).details["status"] == 301


async def test_credentials_do_not_follow_a_redirect_to_another_server(bench: Bench, serve: Serve) -> None:
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Kept": "1"}
    target = await serve(echo)
    elsewhere = await serve(answer(status=307, headers={"Location": f"{target}/there"}))
    seen = (await request(bench, elsewhere, headers=headers))["body"]["headers"]
    assert ("authorization" in seen, "cookie" in seen, seen["x-kept"]) == (False, False, "1")

    async def same(got: server.Request) -> server.StreamResponse:
        if got.path == "/there":
            return await echo(got)
        return server.Response(status=307, headers={"Location": "/there"})

    seen = (await request(bench, await serve(same), headers=headers))["body"]["headers"]
    assert (seen["authorization"], seen["cookie"]) == ("Bearer x", "a=b")


async def test_a_redirect_to_something_else_than_http_is_refused(bench: Bench, serve: Serve) -> None:
    for target in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://[::1"):
        url = await serve(answer(status=302, headers={"Location": target}))
        assert (await failure(bench, url)).type == "InvalidUrl"


async def test_cookies_of_an_answer_are_not_kept(bench: Bench, serve: Serve) -> None:
    async def cookie(got: server.Request) -> server.StreamResponse:
        response = await echo(got)
        response.set_cookie("seen", "1")
        return response

    url = await serve(cookie)
    for _ in range(2):
        assert "cookie" not in (await request(bench, url))["body"]["headers"]


async def test_json_and_body_exclude_each_other(bench: Bench, serve: Serve) -> None:
    assert (await failure(bench, await serve(echo), json=1, body="x")).type == "FieldError"
