"""The formats in which sites list their pages: sitemaps, feeds, llms.txt, links; also broken and hostile ones."""

from __future__ import annotations

import gzip
import time

import pytest

from kurt.errors import DataError
from kurt.integrations.web.feeds import parse_feed
from kurt.integrations.web.links import is_asset, page_links
from kurt.integrations.web.llms_txt import parse_llms_txt
from kurt.integrations.web.markup import plain
from kurt.integrations.web.sitemaps import Limits, parse_sitemap, read_sitemaps

SITE = "https://example.com"
AT = f"{SITE}/sitemap.xml"
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*urls: str, more: str = "") -> bytes:
    rows = "".join(f"<url><loc>{url}</loc>{more}</url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {NS}>{rows}</urlset>'.encode()


def index(*urls: str) -> bytes:
    return f"<sitemapindex {NS}>{''.join(f'<sitemap><loc>{u}</loc></sitemap>' for u in urls)}</sitemapindex>".encode()


def addresses(body: bytes) -> list[str]:
    return [entry.url for entry in parse_sitemap(body, url=AT).entries]


def test_a_sitemap_gives_pages_and_when_they_changed() -> None:
    found = parse_sitemap(urlset(f"{SITE}/a", more="<lastmod>2026-01-02</lastmod>"), url=AT)
    assert not found.is_index
    assert [(entry.url, entry.lastmod) for entry in found.entries] == [(f"{SITE}/a", "2026-01-02")]


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(urlset(f"{SITE}/a", f"{SITE}/b")),
        gzip.compress(urlset(f"{SITE}/a")[:-60])
        and gzip.compress(urlset(f"{SITE}/a", f"{SITE}/b")) + b"trailing",
        b"\xef\xbb\xbf" + urlset(f"{SITE}/a", f"{SITE}/b"),
        b"\n\n" + urlset(f"{SITE}/a", f"{SITE}/b"),
        urlset(f"{SITE}/a", f"{SITE}/b") + b"\n<!-- served in 3 ms --> garbage <x>",
        b"<!-- made by hand -->" + urlset("/a", "\n  /b  \n").partition(b"?>")[2],
        urlset(f"{SITE}/a", f"{SITE}/b").replace(NS.encode(), b""),
        urlset(f"{SITE}/a", f"{SITE}/b").replace(b"</urlset>", b""),
        f"{SITE}/a\r\n# a comment\n\n{SITE}/b\n".encode(),
        gzip.compress(f"{SITE}/a\n{SITE}/b\n".encode()),
    ],
    ids=[
        "gzip",
        "gzip-trailing",
        "bom",
        "blank-lines",
        "trailing",
        "comment",
        "no-namespace",
        "cut-off",
        "text",
        "text-gzip",
    ],
)
def test_a_sitemap_is_read_however_it_is_written(body: bytes) -> None:
    assert addresses(body) == [f"{SITE}/a", f"{SITE}/b"]


def test_addresses_that_lead_nowhere_are_left_out() -> None:
    body = urlset(
        "ftp://example.com/a",
        "javascript:alert(1)",
        "http://[::1",
        f"{SITE}/{'x' * 3000}",
        "",
        f"{SITE}/a&amp;b",
    )
    assert addresses(body) == [f"{SITE}/a&b"]


def test_the_images_of_a_page_are_not_pages() -> None:
    more = '<image:image xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><image:loc>https://e.com/i.png</image:loc></image:image>'
    assert addresses(urlset(f"{SITE}/a", more=more)) == [f"{SITE}/a"]


@pytest.mark.parametrize(
    "body", [b"<html><body>Not found</body></html>", b"", b"just words", b"<", b"\x1f\x8bno gzip"]
)
def test_what_is_no_sitemap_is_refused(body: bytes) -> None:
    with pytest.raises(DataError):
        parse_sitemap(body, url=AT)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 60_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="larger than 50,000,000 bytes"):
        plain(bomb)


def test_entities_are_not_fetched() -> None:
    declared = b'<!DOCTYPE u [<!ENTITY file SYSTEM "file:///etc/passwd">]>'
    body = declared + urlset(f"{SITE}/x&file;", f"{SITE}/a").partition(b"?>")[2]
    assert addresses(body) == [f"{SITE}/x&file", f"{SITE}/a"]


def test_entities_are_not_expanded() -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = f'<!DOCTYPE u [<!ENTITY l0 "lol">{lol}]>'.encode() + urlset(f"{SITE}/&l9;").partition(b"?>")[2]
    began = time.monotonic()
    assert all("lol" not in url for url in addresses(body))
    assert time.monotonic() - began < 2


class Site:
    """Bodies by path, and what was asked for."""

    def __init__(self, **bodies: bytes) -> None:
        self.bodies = {f"{SITE}/{name}": body for name, body in bodies.items()}
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.bodies:
            raise DataError(f"{url} answered 404")
        return self.bodies[url]


async def test_indexes_of_any_nesting_are_followed_once() -> None:
    site = Site(
        top=index(f"{SITE}/middle", f"{SITE}/gone", f"{SITE}/top"),
        middle=gzip.compress(index(f"{SITE}/inner", f"{SITE}/top", f"{SITE}/other")),
        inner=urlset(f"{SITE}/1", f"{SITE}/2"),
        other=urlset(f"{SITE}/2", f"{SITE}/3"),
    )
    found = await read_sitemaps(site.get, [f"{SITE}/top"])
    assert list(found.entries) == [f"{SITE}/{n}" for n in (1, 2, 3)]
    assert found.errors == {f"{SITE}/gone": f"{SITE}/gone answered 404"}
    assert len(site.asked) == len(set(site.asked)) == 5
    assert not found.truncated


async def test_endless_nesting_ends() -> None:
    site = Site(**{f"s{n}": index(f"{SITE}/s{n + 1}") for n in range(100)})
    found = await read_sitemaps(site.get, [f"{SITE}/s0"])
    assert len(site.asked) == 9
    assert found.truncated
    assert found.errors == {f"{SITE}/s9": "sitemaps are nested deeper than 8 levels"}


async def test_an_index_of_too_many_sitemaps_ends() -> None:
    site = Site(
        top=index(*(f"{SITE}/s{n}" for n in range(100))),
        **{f"s{n}": urlset(f"{SITE}/{n}") for n in range(100)},
    )
    found = await read_sitemaps(site.get, [f"{SITE}/top"], limits=Limits(files=10, at_once=3))
    assert found.truncated
    assert len(site.asked) <= 10
    assert list(found.errors.values()) == ["the site has more than 10 sitemaps"]


async def test_sitemaps_that_are_large_together_end() -> None:
    padded = gzip.compress(urlset("/1") + b" " * 1_000_000)
    site = Site(top=index(*(f"{SITE}/s{n}" for n in range(50))), **{f"s{n}": padded for n in range(50)})
    found = await read_sitemaps(site.get, [f"{SITE}/top"], limits=Limits(bytes=5_000_000))
    assert found.truncated
    assert len(site.asked) < 15
    assert list(found.errors.values()) == ["the site's sitemaps have more than 5,000,000 bytes"]


async def test_as_many_pages_as_are_wanted() -> None:
    site = Site(top=index(f"{SITE}/a", f"{SITE}/b"), a=urlset("/1", "/2"), b=urlset("/2", "/3", "/4"))
    found = await read_sitemaps(site.get, [f"{SITE}/top"], limits=Limits(entries=3))
    assert list(found.entries) == [f"{SITE}/{n}" for n in (1, 2, 3)]
    assert found.truncated


RSS = b"""<?xml version="1.0"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title><link>https://example.com</link>
<atom:link href="https://example.com/rss" rel="self"/>
<item><title>One &amp;
 only</title><link>/one</link><pubDate>Tue, 03 Jun 2025 09:39:21 GMT</pubDate></item>
<item><guid>https://example.com/two</guid><dc:date>2025-06-04</dc:date></item>
<item><guid isPermaLink="false">abc</guid><title>No link</title></item>
<item><link>/one</link></item></channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><link href="/"/>
<entry><title type="html">A &lt;b&gt;title&lt;/b&gt;</title><link rel="edit" href="/edit"/><link href="/a"/>
<updated>2025-01-01T00:00:00Z</updated></entry></feed>"""
RDF = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
<item rdf:about="x"><title>Old</title><link>https://example.com/old</link></item></rdf:RDF>"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (RSS, [("/one", "One & only", "Tue, 03 Jun 2025 09:39:21 GMT"), ("/two", None, "2025-06-04")]),
        (ATOM, [("/a", "A <b>title</b>", "2025-01-01T00:00:00Z")]),
        (RDF, [("/old", "Old", None)]),
    ],
    ids=["rss", "atom", "rdf"],
)
def test_feeds(body: bytes, expected: list[tuple[str, str | None, str | None]]) -> None:
    found = [
        (item.url.removeprefix(SITE), item.title, item.published)
        for item in parse_feed(body, url=f"{SITE}/rss")
    ]
    assert found == expected
    assert addresses(gzip.compress(body)) == [SITE + path for path, *_ in expected]


def test_a_page_is_no_feed() -> None:
    with pytest.raises(DataError, match="is no feed"):
        parse_feed(b"<!doctype html><html></html>", url=SITE)


def test_llms_txt() -> None:
    body = b'# Site\n\n> What it is\n\n- [Guide](/guide.md): how\n- [API](https://api.example.com/ref "x")\n* [Guide again](/guide.md)\n[mail](mailto:a@b.c) ![i](/i.png)'
    found = [(link.url, link.title) for link in parse_llms_txt(body, url=f"{SITE}/llms.txt")]
    assert found == [
        (f"{SITE}/guide.md", "Guide"),
        ("https://api.example.com/ref", "API"),
        (f"{SITE}/i.png", "i"),
    ]


def test_a_page_in_place_of_llms_txt_is_refused() -> None:
    with pytest.raises(DataError, match=r"no llms\.txt"):
        parse_llms_txt(b"<!doctype html><title>404</title>", url=SITE)


def test_a_hostile_list_takes_no_time() -> None:
    began = time.monotonic()
    parse_llms_txt(b"[" * 200_000 + b"](" * 50_000, url=SITE)
    assert time.monotonic() - began < 2


def test_links_of_a_page() -> None:
    body = b"""<html><head><base href="/docs/"><title> A
    page </title><link rel="alternate" type="application/rss+xml" href="feed.xml">
    <meta name="robots" content="NoIndex, nofollow"></head><body><a href="one#part">1</a><a href=one>again</a>
    <a href="../two?x=1&amp;y=2">2</a><a href="mailto:a@b.c">m</a><a>none</a><a href="//other.org/z">z</a>
    <!-- <a href="hidden">no</a> --><area href="map"></body>"""
    found = page_links(body, url=f"{SITE}/start")
    paths = [link.removeprefix(SITE) for link in found.links]
    assert paths == ["/docs/one", "/two?x=1&y=2", "https://other.org/z", "/docs/map"]
    assert found.title == "A page"
    assert found.feeds == [f"{SITE}/docs/feed.xml"]
    assert (found.nofollow, found.noindex) == (True, True)


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"<" * 10_000, b"<div>" * 100_000, b"\xff\xfe<\0a\0"])
def test_whatever_comes_is_no_error(body: bytes) -> None:
    assert page_links(body, url=SITE).links == []


@pytest.mark.parametrize(("charset", "encoded"), [("iso-8859-1", "é"), ("no-such-thing", "é"), (None, "é")])
def test_the_charset_of_the_server_counts(charset: str | None, encoded: str) -> None:
    codec = "iso-8859-1" if charset == "iso-8859-1" else "utf-8"
    meta = "" if charset == "iso-8859-1" else '<meta charset="utf-8">'
    body = f"<html><head>{meta}<title>{encoded}</title></head></html>".encode(codec)
    assert page_links(body, url=SITE, charset=charset).title == encoded


@pytest.mark.parametrize(
    ("url", "asset"),
    [
        ("/a.PNG?x=1", True),
        ("/style.css", True),
        ("/a.html", False),
        ("/v1.2/page", False),
        ("/doc.pdf", False),
        ("", False),
    ],
)
def test_what_has_no_text(url: str, asset: bool) -> None:
    assert is_asset(SITE + url) is asset
