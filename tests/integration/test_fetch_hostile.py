"""What servers may send or say: each ends as the error of its document, within its limits, and the rest goes on."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kurt.db import managed_session
from kurt.db.models import Document
from kurt.workflows.fetch import run_fetch
from tests.support.site import Handler, Page, Site, page

ALLOW = {"allow_private": True, "embed": False}


def fetch(site: Site, *paths: str, **config: Any) -> dict[str, dict[str, Any]]:
    """Rows of a fetch by path."""
    result = run_fetch([f"{site.url}{path}" for path in paths], {**ALLOW, **config})
    return {row["uri"].removeprefix(site.url): row for row in result["rows"]}


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/html"})
    await answer.prepare(request)
    with suppress(ConnectionError):
        while True:
            await answer.write(b"<p>more</p>")
            await asyncio.sleep(0.02)
    return answer


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


def moved(target: str) -> Page:
    return Page(status=302, headers={"Location": target})


def bomb(megabytes: int) -> Page:
    data = gzip.compress(bytes(megabytes * 1_000_000))
    return Page(data, headers={"Content-Encoding": "gzip"}, versioned=False)


HOSTILE: dict[str, tuple[Page | str | Handler, str]] = {
    "/bomb": (bomb(200), "after decompression"),
    "/large": (Page(b"<p>" + b"x" * 50_000_000), "has more than"),
    "/endless": (endless, "within 2 s"),
    "/silent": (silent, "within 2 s"),
    "/metadata": (moved("http://169.254.169.254/latest/meta-data/"), "169.254.169.254"),
    "/file": (moved("file:///etc/passwd"), "neither an http nor an https"),
    "/loop": (moved("/loop"), "redirects"),
    "/broken": (Page(b"\x1f\x8bno", headers={"Content-Encoding": "gzip"}), "decompressed"),
    "/binary": (Page(bytes(range(256)) * 20, "application/octet-stream"), "no text to read"),
    "/empty": (Page(b""), "no HTML"),
    "/pdf": (Page(b"%PDF-1.7 is all that it says", "application/pdf"), "PDF cannot be read"),
}


SLOW = {"/endless", "/silent"}
"""Those that end at the limit of time, which is short for them alone: a busy machine is slow too."""


def test_each_hostile_page_is_the_error_of_its_document(tmp_kurt_project: Path) -> None:
    pages = {path: what for path, (what, _) in HOSTILE.items()}
    with Site({**pages, "/good": page("Good")}) as site:
        rows = fetch(site, *(set(HOSTILE) - SLOW), "/good", max_bytes=5_000_000)
        began = time.monotonic()
        rows |= fetch(site, *SLOW, timeout=2)
    assert time.monotonic() - began < 60
    assert rows["/good"]["status"] == "fetched"
    for path, (_, words) in HOSTILE.items():
        assert rows[path]["status"] == "error", path
        assert words in rows[path]["error"], rows[path]
    with managed_session() as session:
        assert session.get_one(Document, rows["/bomb"]["id"]).state == "error"


def test_a_redirect_into_the_own_network_needs_to_be_allowed(tmp_kurt_project: Path) -> None:
    with Site({"/secret": "secret"}) as inner, Site({"/": moved(f"{inner.url}/secret")}) as site:
        result = run_fetch([f"{site.url}/", "http://[::1]/", "http://10.0.0.1/"])
        assert site.hits == inner.hits == []
    assert [row["status"] for row in result["rows"]] == ["error"] * 3
    assert all("--allow-private" in row["error"] for row in result["rows"])


@pytest.mark.parametrize(
    "answers", [("192.88.99.1", "127.0.0.1"), ("127.0.0.1",)], ids=["in between", "from the beginning"]
)
def test_a_name_that_leads_into_the_own_network_is_the_error_of_its_document(
    tmp_kurt_project: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...]
) -> None:
    """The resolver is the world outside: it says that a name is public at first, and then that it is this machine."""
    system, asked = socket.getaddrinfo, list[str]()

    def resolve(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host != "rebind.example":
            return system(host, port, *more, **options)
        asked.append(answers[min(len(asked), len(answers) - 1)])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (asked[-1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    (tmp_kurt_project / "good.md").write_text("# Good\n\nIts text.\n")
    with Site({"/": "secret"}) as inner:
        urls = [f"http://rebind.example:{inner.port}/"]
        rows = run_fetch(config={"urls": urls, "file": "good.md", "timeout": 1, "embed": False})["rows"]
        assert inner.hits == []
    assert asked
    assert {row["uri"].partition(":")[0]: row["status"] for row in rows} == {
        "http": "error",
        "file": "fetched",
    }


def test_a_page_that_takes_too_long_to_read_is_given_up(tmp_kurt_project: Path) -> None:
    line = '<li><p>Some <b>words</b> and <a href="/{0}">a link to page {0}</a>, and more of them.</p></li>'
    slow = (
        "<html><body><ul>" + "".join(line.format(number) for number in range(40_000)) + "</ul></body></html>"
    )
    with Site({"/slow": slow, "/good": page("Good")}) as site:
        rows = fetch(site, "/slow", "/good", page_seconds=1)
    assert rows["/good"]["status"] == "fetched"
    assert "more than 1 s of processor time" in rows["/slow"]["error"]


@pytest.mark.parametrize("charset", ["utf-16", "x-nonsense", "ascii"])
def test_a_wrong_character_set_does_no_harm(tmp_kurt_project: Path, charset: str) -> None:
    text = page("Tee", "Grüner Tee wird gedämpft und nicht geröstet, sagt dieser Satz. " * 8)
    with Site({"/": Page(text.encode(), f"text/html; charset={charset}")}) as site:
        row = fetch(site, "/")["/"]
    assert "gedämpft" in (tmp_kurt_project / "sources" / row["path"]).read_text()


ROBOTS = "User-agent: *\nCrawl-delay: 0.2\nDisallow: /private\n"


@pytest.fixture
def polite() -> Iterator[Site]:
    pages: dict[str, Any] = {f"/{number}": page(f"Page {number}") for number in range(8)}
    robots = Page(ROBOTS.encode(), "text/plain")
    with Site(
        {**pages, "/robots.txt": robots, "/private/a": page("A"), "/into": moved("/private/a")}
    ) as site:
        yield site


def test_robots_txt_and_its_delay_are_kept(tmp_kurt_project: Path, polite: Site) -> None:
    rows = fetch(polite, "/private/a", "/into", *(f"/{number}" for number in range(8)))
    assert [rows[path]["status"] for path in ("/private/a", "/into")] == ["error"] * 2
    assert "robots.txt" in rows["/private/a"]["error"]
    assert not [path for path in polite.paths() if path.startswith("/private")]
    assert sum(row["status"] == "fetched" for row in rows.values()) == 8
    times = [hit.time for hit in polite.hits if hit.path != "/robots.txt"]
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(times))


def test_robots_txt_can_be_left_out(tmp_kurt_project: Path, polite: Site) -> None:
    assert fetch(polite, "/private/a", respect_robots=False)["/private/a"]["status"] == "fetched"
    assert "/robots.txt" not in polite.paths()


def test_no_document_is_lost_where_requests_are_limited(tmp_kurt_project: Path) -> None:
    """Two requests at once and ten in half a second are all that this server takes."""
    now, recent = 0, list[float]()

    def limited(number: int) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            nonlocal now
            recent[:] = [moment for moment in recent if time.monotonic() - moment < 0.5]
            if now >= 2 or len(recent) >= 10:
                return web.Response(status=429, headers={"Retry-After": "1"} if number % 2 else {})
            now += 1
            recent.append(time.monotonic())
            await asyncio.sleep(0.01)
            now -= 1
            return web.Response(text=page(f"Page {number}"), content_type="text/html")

        return answer

    with Site({f"/{number}": limited(number) for number in range(40)}) as site:
        rows = fetch(site, *(f"/{number}" for number in range(40)))
        assert 429 in {hit.status for hit in site.hits}
    assert {row["status"] for row in rows.values()} == {"fetched"}


def test_retry_after_is_waited_for(tmp_kurt_project: Path) -> None:
    refused: list[float] = []

    async def busy(request: web.Request) -> web.StreamResponse:
        if not refused:
            refused.append(time.monotonic())
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(text=page("Busy"), content_type="text/html")

    with Site({"/": busy, "/other": page("Other")}) as site:
        rows = fetch(site, "/", "/other")
        later = [hit.time for hit in site.hits if hit.time > refused[0] and hit.path == "/"]
    assert later[0] - refused[0] >= 1.0
    assert {row["status"] for row in rows.values()} == {"fetched"}


def test_a_failing_model_of_vectors_fails_no_fetch(
    tmp_kurt_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Site({"/v1/embeddings": Page(b"no", status=400)}) as model, Site({"/": page("Tea")}) as site:
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        monkeypatch.setenv("EMBEDDING_MODEL", "openai/text-embedding-3-small")
        monkeypatch.setenv("EMBEDDING_BASE_URL", f"{model.url}/v1")
        config = tmp_kurt_project / "kurt.config"
        config.write_text(
            config.read_text()
            + f'EMBEDDING.MODEL="openai/text-embedding-3-small"\nEMBEDDING.BASE_URL="{model.url}/v1"\n'
        )
        assert fetch(site, "/", embed=True)["/"]["status"] == "fetched"
