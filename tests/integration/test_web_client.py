"""The client for the open web, against servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import zlib
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from kurt.integrations.web import errors
from kurt.integrations.web.bodies import gunzip
from kurt.integrations.web.client import Limits, WebClient
from kurt.integrations.web.politeness import Politeness
from kurt.integrations.web.robots import RobotsCache
from tests.support.site import Page, Site

QUICK = Limits(body=100_000, seconds=3, connect_seconds=1, redirects=3, attempts=2)


def client(limits: Limits = QUICK, **options: Any) -> WebClient:
    return WebClient(**{"allow_private": True, "limits": limits, **options})


async def test_a_page_comes_with_its_headers() -> None:
    with Site({"/tea": "<p>Green</p>"}) as site:
        async with client() as web_client:
            reply = await web_client.get(f"{site.url}/tea")
    assert (reply.status, reply.body, reply.content_type, reply.charset) == (
        200,
        b"<p>Green</p>",
        "text/html",
        "utf-8",
    )
    assert site.hits[0].headers["user-agent"].startswith("kurt/")


async def test_a_version_that_is_there_already_is_not_sent_again() -> None:
    with Site({"/tea": "<p>Green</p>"}) as site:
        async with client() as web_client:
            first = await web_client.get(f"{site.url}/tea")
            again = await web_client.get(f"{site.url}/tea", etag=first.etag)
    assert (again.not_modified, again.body, again.ok) == (True, b"", True)


async def test_gone_pages_are_answers() -> None:
    with Site() as site:
        async with client() as web_client:
            reply = await web_client.get(f"{site.url}/none")
    assert reply.gone
    with pytest.raises(errors.StatusError, match="404"):
        reply.check()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", "two members"])
async def test_compressed_bodies_are_read(encoding: str) -> None:
    data = b"tea " * 1000
    raw = zlib.compressobj(wbits=-15)
    sent = {
        "gzip": gzip.compress(data),
        "deflate": zlib.compress(data),
        "raw deflate": raw.compress(data) + raw.flush(),
        "two members": gzip.compress(data[:2000]) + gzip.compress(data[2000:]),
    }[encoding]
    name = "deflate" if "deflate" in encoding else "gzip"
    with Site({"/": Page(sent, headers={"Content-Encoding": name})}) as site:
        async with client() as web_client:
            reply = await web_client.get(f"{site.url}/")
    assert reply.body == data


def bomb(megabytes: int) -> bytes:
    return gzip.compress(bytes(megabytes * 1_000_000))


async def test_a_gzip_bomb_ends_at_the_limit() -> None:
    with Site({"/": Page(bomb(50), headers={"Content-Encoding": "gzip"})}) as site:
        async with client() as web_client:
            with pytest.raises(errors.TooLargeError, match="after decompression"):
                await web_client.get(f"{site.url}/")
    with pytest.raises(errors.TooLargeError):
        gunzip(bomb(5), 1_000_000)


async def test_a_body_that_is_no_gzip_is_an_error() -> None:
    with Site({"/": Page(b"not gzip", headers={"Content-Encoding": "gzip"})}) as site:
        async with client() as web_client:
            with pytest.raises(errors.BodyError):
                await web_client.get(f"{site.url}/")


async def test_large_and_endless_bodies_end_at_their_limits() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0.05)

    with Site({"/large": Page(b"x" * 200_000), "/endless": endless}) as site:
        async with client(Limits(body=100_000, seconds=0.5, attempts=1)) as web_client:
            with pytest.raises(errors.TooLargeError):
                await web_client.get(f"{site.url}/large")
            with pytest.raises(errors.WebTimeoutError):
                await web_client.get(f"{site.url}/endless")


def moved(target: str) -> Page:
    return Page(status=302, headers={"Location": target})


async def test_redirects_are_followed_within_a_limit() -> None:
    with Site({"/a": moved("/b"), "/b": moved("c"), "/c": "here", "/loop": moved("/loop")}) as site:
        async with client() as web_client:
            reply = await web_client.get(f"{site.url}/a")
            assert (reply.body, reply.url) == (b"here", f"{site.url}/c")
            assert reply.redirects == (f"{site.url}/a", f"{site.url}/b")
            with pytest.raises(errors.TooManyRedirectsError):
                await web_client.get(f"{site.url}/loop")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("file:///etc/passwd", errors.InvalidUrlError),
        ("gopher://example.com/", errors.InvalidUrlError),
        ("http://[bad", errors.InvalidUrlError),
    ],
)
async def test_redirects_stay_on_the_web(target: str, error: type[Exception]) -> None:
    with Site({"/": moved(target)}) as site:
        async with client() as web_client:
            with pytest.raises(error):
                await web_client.get(f"{site.url}/")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
    ],
)
async def test_private_addresses_are_refused(address: str) -> None:
    async with client(allow_private=False) as web_client:
        with pytest.raises(errors.AddressRefusedError) as caught:
            await web_client.get(address)
    assert "--allow-private" in str(caught.value.hint)


@pytest.mark.parametrize(
    "address", ["http://127.1/", "http://2130706433/", "http://0/", "http://0x7f.0.0.1/"]
)
async def test_addresses_in_disguise_are_none(address: str) -> None:
    async with client(allow_private=False) as web_client:
        with pytest.raises((errors.InvalidUrlError, errors.AddressRefusedError)):
            await web_client.get(address)


def answers(*addresses: str) -> Any:
    """A name server that gives these addresses one after the other, the last for ever."""
    asked: list[str] = []

    async def lookup(host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = addresses[min(len(asked), len(addresses)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return lookup


async def test_a_redirect_into_the_own_network_is_refused() -> None:
    with Site({"/": "secret"}) as inner:
        async with client(allow_private=False, lookup=answers("127.0.0.1")) as web_client:
            with pytest.raises(errors.AddressRefusedError, match="innocent"):
                await web_client.get(f"http://innocent.example:{inner.port}/")
        assert inner.hits == []


async def test_a_name_that_changes_its_address_leads_nowhere() -> None:
    """Checked and connected are one answer: the second one, which is loopback, is never used."""
    with Site({"/": "secret"}) as inner:
        limits = Limits(seconds=1, connect_seconds=0.5, attempts=3)
        async with client(limits, allow_private=False, lookup=answers("192.88.99.1", "127.0.0.1")) as found:
            with pytest.raises(errors.WebError):
                await found.get(f"http://rebind.example:{inner.port}/")
        assert inner.hits == []


async def test_what_may_succeed_later_is_tried_again() -> None:
    tried: list[int] = []

    async def shaky(request: web.Request) -> web.StreamResponse:
        tried.append(1)
        return web.Response(status=503 if len(tried) < 2 else 200, text="tea")

    with Site({"/": shaky, "/broken": Page(status=500)}) as site:
        async with client() as web_client:
            assert (await web_client.get(f"{site.url}/")).body == b"tea"
            assert (await web_client.get(f"{site.url}/broken")).status == 500
        assert site.paths().count("/broken") == QUICK.attempts


async def test_retry_after_is_kept_for_the_whole_server() -> None:
    limited: list[float] = []

    async def busy(request: web.Request) -> web.StreamResponse:
        if not limited:
            limited.append(time.monotonic())
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(text="tea")

    with Site({"/": busy, "/other": "x"}) as site:
        async with client() as web_client:
            first = asyncio.ensure_future(web_client.get(f"{site.url}/"))
            await asyncio.to_thread(_until, lambda: bool(limited))
            await asyncio.sleep(0.1)
            other = await web_client.get(f"{site.url}/other")
            assert (await first).body == b"tea"
        assert other.body == b"x"
        assert min(hit.time for hit in site.hits[1:]) - limited[0] >= 1.0


def _until(condition: Any) -> None:
    from tests.support.waiting import wait_until

    wait_until(condition, 5)


async def test_no_more_at_a_time_than_a_server_may_have() -> None:
    now, most = 0, 0

    async def slow(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response()

    with Site({"/": slow}) as site:
        async with client(politeness=Politeness(per_host=3)) as web_client:
            await asyncio.gather(*(web_client.get(f"{site.url}/") for _ in range(12)))
    assert most == 3


async def test_robots_rules_delay_and_sitemaps() -> None:
    robots = "User-agent: *\nCrawl-delay: 0.3\nDisallow: /private\nSitemap: /map.xml\n"
    with Site(
        {"/robots.txt": Page(robots.encode(), "text/plain"), "/a": "a", "/b": moved("/private")}
    ) as site:
        async with client() as web_client:
            rules = RobotsCache(web_client)
            for _ in range(3):
                await web_client.get(f"{site.url}/a", rules=rules)
            for path in ("/private/x", "/b"):
                with pytest.raises(errors.RobotsRefusedError):
                    await web_client.get(f"{site.url}{path}", rules=rules)
            assert await rules.sitemaps(site.url) == [f"{site.url}/map.xml"]
            assert await rules.delay(site.url) == 0.3
    assert site.paths() == ["/robots.txt", "/a", "/a", "/a", "/b"]
    times = [hit.time for hit in site.hits[1:]]
    assert all(later - earlier >= 0.3 for earlier, later in pairwise(times))


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False)])
async def test_a_robots_file_that_cannot_be_had(status: int, allowed: bool) -> None:
    with Site({"/robots.txt": Page(status=status)}) as site:
        async with client() as web_client:
            rules = RobotsCache(web_client)
            if allowed:
                assert await rules.allowed(f"{site.url}/a")
            else:
                with pytest.raises(errors.UnreachableError, match=r"robots\.txt") as caught:
                    await rules.allowed(f"{site.url}/a")
                assert "--ignore-robots" in str(caught.value.hint)


async def test_a_robots_file_of_a_server_that_is_not_public() -> None:
    async with client(allow_private=False) as web_client:
        with pytest.raises(errors.AddressRefusedError, match=r"robots\.txt") as caught:
            await RobotsCache(web_client).allowed("http://localhost/a")
    assert "--allow-private" in str(caught.value.hint)


async def test_keys_stay_with_the_server_for_which_they_are() -> None:
    with Site({"/": "other"}) as other, Site({"/": moved(f"{other.url}/")}) as site:
        async with client() as web_client:
            await web_client.get(f"{site.url}/", headers={"Authorization": "Bearer s"})
        assert site.hits[0].headers["authorization"] == "Bearer s"
        assert "authorization" not in other.hits[0].headers


async def test_values_are_posted_as_json() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response(await request.json())

    with Site({"/": echo}) as site:
        async with client() as web_client:
            reply = await web_client.post(f"{site.url}/", json={"a": 1})
    assert reply.body == b'{"a": 1}'


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with client() as web_client:
            with pytest.raises(errors.UnreachableError, match=str(port)):
                await web_client.get(f"http://127.0.0.1:{port}/")


async def test_a_site_that_is_not_there_is_no_matter_of_its_robots_file() -> None:
    with Site({}) as site:
        gone = site.url
    async with client() as web_client:
        with pytest.raises(errors.UnreachableError) as caught:
            await RobotsCache(web_client).allowed(f"{gone}/tea")
    assert "check the address" in str(caught.value.hint)
