"""The engine `playwright` in a real browser: what scripts make is read, and what pages try is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kurt.errors import KurtError, UsageError
from kurt.integrations.web.client import WebClient
from kurt.integrations.web.guard import checked_url
from kurt.workflows.fetch import run_fetch
from kurt.workflows.fetch.config import FetchConfig
from kurt.workflows.fetch.engine_browser import BROWSERS, BrowserEngine
from kurt.workflows.fetch.engines import Brought, Target
from tests.support.site import Page, Site, page
from tests.support.waiting import wait_until

HAS_LIBRARY = find_spec("playwright") is not None
HAS_BROWSER = any(map(shutil.which, BROWSERS))
needs_library = pytest.mark.skipif(not HAS_LIBRARY, reason="needs the library playwright, which is not here")
needs_browser = pytest.mark.skipif(
    not (HAS_LIBRARY and HAS_BROWSER), reason=f"needs a browser, one of {', '.join(BROWSERS)}: none is here"
)

WORDS = "Green tea is steamed soon after it was picked, and so it keeps the colour of its leaves. " * 4
ENGINE = {"engine": "playwright", "allow_private": True, "embed": False}


def made(script: str, *, head: str = "") -> str:
    """A page whose text a script makes."""
    return f'<!doctype html><html lang="en"><head><title>Tea</title>{head}</head><body><main></main><script>{script}</script></body></html>'


def show(expression: str) -> str:
    """A script that shows a text as the page's article."""
    return f"document.querySelector('main').innerHTML = '<article><h1>Tea</h1><p>' + {expression} + '</p></article>';"


def fetch(site: Site, *paths: str, **config: Any) -> dict[str, dict[str, Any]]:
    """Rows of a fetch by path."""
    result = run_fetch([f"{site.url}{path}" for path in paths], {**ENGINE, **config})
    return {row["uri"].removeprefix(site.url): row for row in result["rows"]}


@pytest.fixture(autouse=True)
def _cache_of_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@needs_browser
def test_what_scripts_make_is_read(tmp_kurt_project: Path) -> None:
    app = f"fetch('/api/tea.json').then(answer => answer.json()).then(tea => {{ {show('tea.text')} }});"
    site = Site(
        {
            "/": made("", head='<script defer src="/app.js"></script>'),
            "/other": made("", head='<script defer src="/app.js"></script>'),
            "/app.js": Page(app.encode(), "text/javascript"),
            "/api/tea.json": Page(f'{{"text": "{WORDS}"}}'.encode(), "application/json"),
        }
    )
    with site:
        rows = fetch(site, "/", "/other")
        texts = [(tmp_kurt_project / "sources" / row["path"]).read_text() for row in rows.values()]
        assert site.paths().count("/app.js") <= 2  # once, or at the same time
        again = fetch(site, "/", refetch=True)
    assert [row["status"] for row in rows.values()] == ["fetched"] * 2
    assert all("steamed soon after it was picked" in text for text in texts)
    assert again["/"]["status"] == "unchanged"


@needs_browser
def test_links_and_scripts_of_a_page_that_has_moved_are_found(tmp_kurt_project: Path) -> None:
    pages = {
        "/start": Page(status=302, headers={"Location": "/docs/tea/"}),
        "/docs/tea/": made("", head='<script defer src="tea.js"></script>'),
        "/docs/tea/tea.js": Page(
            show(f"'{WORDS} <a href=\"black\">Black tea</a> is another.'").encode(), "text/javascript"
        ),
        "/onward": made("location.href = '/start'"),
    }
    with Site(pages) as site:
        rows = fetch(site, "/start", "/onward")
        texts = [(tmp_kurt_project / "sources" / row["path"]).read_text() for row in rows.values()]
        assert all(f"({site.url}/docs/tea/black)" in text for text in texts)


@needs_browser
def test_what_is_no_page_or_not_there_needs_no_browser(tmp_kurt_project: Path) -> None:
    pages = {"/notes.md": Page(f"# Notes\n\n{WORDS}".encode(), "text/markdown")}
    with Site({**pages, "/broken": Page(status=500)}) as site:
        rows = fetch(site, "/none", "/notes.md", "/broken")
    assert {path: row["status"] for path, row in rows.items()} == {
        "/none": "gone",
        "/notes.md": "fetched",
        "/broken": "error",
    }
    assert rows["/notes.md"]["title"] == "Notes"


@needs_browser
def test_robots_txt_holds_for_pages_to_which_scripts_lead(tmp_kurt_project: Path) -> None:
    robots = Page(b"User-agent: *\nDisallow: /private\n", "text/plain")
    pages = {"/robots.txt": robots, "/private": page("Private"), "/": made("location.href = '/private'")}
    with Site(pages) as site:
        row = fetch(site, "/")["/"]
        assert "/private" not in site.paths()
    assert "robots.txt" in row["error"]


class Outside(WebClient):
    """Takes one server for a public one, and treats all others as ever."""

    url = ""

    def _checked(self, url: Any) -> Any:
        return checked_url(url, allow_private=str(url).startswith(self.url))


async def load(site: Site, path: str, **config: Any) -> Brought:
    """A page as the browser shows it, of a site that counts as public; all other addresses of this machine do not."""
    from kurt.config import load_settings

    engine = BrowserEngine(FetchConfig(respect_robots=False, **config), load_settings())
    engine._http.client = Outside(allow_private=True)
    engine._http.client.url = site.url
    try:
        return await engine.bring(Target("", f"{site.url}{path}"))
    finally:
        await engine.close()


@contextmanager
def counting() -> Generator[tuple[int, list[Any]]]:
    """A port of this machine, and who has come to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        came: list[Any] = []

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


ATTEMPTS = """
const host = '127.0.0.1:%d';
const tried = name => 0;
for (const [kind, attribute] of [['img', 'src'], ['iframe', 'src'], ['script', 'src'], ['embed', 'src'], ['video', 'src']]) {
  const one = document.createElement(kind);
  one[attribute] = `http://${host}/${kind}`;
  document.body.append(one);
}
for (const rel of ['stylesheet', 'prefetch', 'preload', 'preconnect', 'modulepreload', 'icon']) {
  const link = document.createElement('link');
  Object.assign(link, {rel, href: `http://${host}/${rel}`, as: 'fetch'});
  document.head.append(link);
}
for (const attempt of [
  () => fetch(`http://${host}/fetch`, {mode: 'no-cors'}),
  () => fetch('/to-private'),
  () => fetch('file:///etc/passwd'),
  () => fetch(`http://${host}/post`, {method: 'POST', mode: 'no-cors', body: 'x'}),
  () => navigator.sendBeacon(`http://${host}/beacon`, 'x'),
  () => new WebSocket(`ws://${host}/socket`),
  () => new WebSocket(`ws://localhost:${host.split(':')[1]}/socket`),
  () => new EventSource(`http://${host}/events`),
  () => new Worker(URL.createObjectURL(new Blob([`fetch('http://${host}/worker', {mode: 'no-cors'}); new WebSocket('ws://${host}/worker')`]))),
  () => new SharedWorker(URL.createObjectURL(new Blob([`fetch('http://${host}/shared', {mode: 'no-cors'}); new WebSocket('ws://${host}/shared')`]))),
  () => window.open(`http://${host}/popup`),
  () => {
    const peer = new RTCPeerConnection({iceServers: [{urls: `stun:${host}`}, {urls: `turn:${host}?transport=tcp`, username: 'a', credential: 'b'}]});
    peer.createDataChannel('x');
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
  },
]) { try { Promise.resolve(attempt()).catch(() => 0); } catch (error) { } }
"""


@needs_browser
async def test_a_page_reaches_nothing_that_is_not_public(tmp_kurt_project: Path) -> None:
    with counting() as (port, came):
        text = show(f"'{WORDS}'")
        pages = {
            "/": made(ATTEMPTS % port + text),
            "/to-private": Page(status=302, headers={"Location": f"http://127.0.0.1:{port}/redirected"}),
        }
        with Site(pages) as site:
            brought = await load(site, "/")
            assert "/to-private" in site.paths()
    assert "steamed soon" in (brought.body or b"").decode()
    assert came == []


@needs_browser
@pytest.mark.parametrize("way", ["by a redirect", "by a script", "by a script and a redirect", "to a file"])
async def test_a_page_that_leads_into_the_own_network_is_refused(tmp_kurt_project: Path, way: str) -> None:
    with counting() as (port, came):
        private = f"http://127.0.0.1:{port}/"
        pages: dict[str, Page | str] = {
            "/moved": Page(status=302, headers={"Location": private}),
            "/script": made(f"location.href = '{private}'"),
            "/both": made("location.href = '/moved'"),
            "/file": made("location.href = 'file:///etc/passwd';" + show(f"'{WORDS}'")),
        }
        path = dict(zip(("by a redirect", "by a script", "by a script and a redirect"), pages, strict=False))
        with Site(pages) as site:
            if way == "to a file":
                assert b"root:" not in ((await load(site, "/file")).body or b"")
            else:
                with pytest.raises(KurtError, match="not a public address"):
                    await load(site, path[way])
    assert came == []


ENDLESS = {
    "/loop": made("while (true) {}"),
    "/late": made("addEventListener('load', () => { while (true) {} })"),
    "/away": made("location.href = location.pathname + '?' + Math.random()"),
    "/hungry": made("const all = []; while (true) all.push(new Array(1e6).fill(all.length))"),
}
LARGE = {
    "/grows": (made("document.body.append('x'.repeat(3_000_000))"), "larger than 2000000 bytes"),
    "/heavy": (made("", head='<script src="/heavy.js"></script>'), "more bytes than the limit"),
}
GOOD = made(show(f"'{WORDS}'"))


@needs_browser
def test_pages_that_never_end_are_given_up(tmp_kurt_project: Path) -> None:
    with Site({**ENDLESS, "/good": GOOD}) as site:
        rows = fetch(site, *ENDLESS, "/good", timeout=5, concurrency=2)
    assert {path: row["status"] for path, row in rows.items()} == {
        **dict.fromkeys(ENDLESS, "error"),
        "/good": "fetched",
    }
    assert "within 5 s" in rows["/loop"]["error"]


@needs_browser
def test_pages_have_a_largest_size(tmp_kurt_project: Path) -> None:
    pages: dict[str, Page | str] = {path: text for path, (text, _) in LARGE.items()}
    pages["/heavy.js"] = Page(b"//" + b"x" * 1_999_990, "text/javascript")
    with Site({**pages, "/good": GOOD}) as site:
        rows = fetch(site, *LARGE, "/good", max_bytes=2_000_000)
    assert rows["/good"]["status"] == "fetched"
    for path, (_, words) in LARGE.items():
        assert words in rows[path]["error"], rows[path]


def test_without_its_library_nothing_is_asked_for(
    tmp_kurt_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    with Site({"/": page("Tea")}) as site:
        with pytest.raises(UsageError, match="not installed") as raised:
            fetch(site, "/")
        assert site.hits == []
    assert raised.value.hint == "pip install 'kurt[js]'"


@needs_library
def test_without_a_browser_it_is_said_where_to_get_one(
    tmp_kurt_project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with Site({"/": page("Tea")}) as site:
        error = fetch(site, "/")["/"]["error"]
    assert "there is none on this machine" in error
    assert "apt install chromium" in error
    assert "FETCH.BROWSER" in error


KILLED = """
import asyncio, os, sys
from kurt.config import load_settings
from kurt.workflows.fetch.config import FetchConfig
from kurt.workflows.fetch.engine_browser import BrowserEngine

async def main():
    engine = BrowserEngine(FetchConfig(), load_settings())
    await engine._opened()
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_browser
def test_a_browser_ends_with_the_process_that_was_killed(tmp_kurt_project: Path, tmp_path: Path) -> None:
    mark = {**os.environ, "KURT_TEST_MARK": str(tmp_path)}
    script = textwrap.dedent(KILLED)
    with subprocess.Popen([sys.executable, "-c", script], env=mark, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert len(marked(tmp_path)) > 2  # the library's own process, and the browser's
        process.kill()
    wait_until(lambda: not marked(tmp_path), 20)


def marked(folder: Path) -> list[str]:
    """Processes that have the mark of the test in their environment."""
    found: list[str] = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"KURT_TEST_MARK={folder}\0".encode() in place.read_bytes() + b"\0":
                found.append(place.parent.name)
        except OSError:
            continue
    return found
