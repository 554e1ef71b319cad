"""A documentation site on loopback: `python -m benchmarks.site COUNT` prints its address and serves until it is ended."""

from __future__ import annotations

import gzip
import http.server
import random
import re
import sys
import zlib
from typing import cast

WORDS = re.findall(
    r"\w+",
    """
the a of to and in that with from when each value server client request answer key table row column
index transaction commit option default returns raises called function module class object string
number list file path user name type line page example note see also may must should not only if
else this it is are has been connection session query result error state queue worker process memory
limit timeout version release change
""",
)
SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def page(number: int, count: int) -> bytes:
    """A page as generators of documentation make them: a manual's text between navigation, about 25 KB."""
    chance = random.Random(number)
    title = sentence(chance, 3, 5)
    parts = "".join(section(chance, part) for part in range(chance.randrange(4, 9)))
    links = "".join(
        f'<li class="toctree-l1"><a class="reference internal" href="/guide/{chance.randrange(count)}.html">'
        f"{sentence(chance, 2, 5)}</a></li>"
        for _ in range(60)
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title} - Manual</title>'
        f'<meta name="description" content="{sentence(chance, 8, 14)}"><link rel="stylesheet" href="/s.css"></head>'
        f'<body><header><h2>Manual</h2><form action="/search"><input name="q"></form></header>'
        f'<nav class="sidebar"><h3>Contents</h3><ul>{links}</ul></nav>'
        f'<main role="main"><div class="body"><h1>{title}</h1>{parts}</div></main>'
        f'<footer><p>Copyright of the authors. <a href="/legal.html">Terms</a></p></footer></body></html>'
    ).encode()


def section(chance: random.Random, number: int) -> str:
    """A heading with paragraphs, and code, a table or a list."""
    texts = "".join(f"<p>{prose(chance)}</p>" for _ in range(chance.randrange(2, 6)))
    code = "".join(
        f'<span class="n">{chance.choice(WORDS)}</span><span class="o">=</span>{chance.choice(WORDS)}(<span class="mi">'
        f"{chance.randrange(100)}</span>)\n"
        for _ in range(chance.randrange(3, 15))
    )
    rows = "".join(
        f"<tr><td><code>{chance.choice(WORDS)}</code></td><td>{sentence(chance, 4, 9)}</td></tr>"
        for _ in range(8)
    )
    extra = (
        f'<div class="highlight-python"><div class="highlight"><pre>{code}</pre></div></div>',
        f"<table><thead><tr><th>Option</th><th>Meaning</th></tr></thead><tbody>{rows}</tbody></table>",
        f"<ul>{''.join(f'<li>{sentence(chance, 5, 12)}</li>' for _ in range(6))}</ul>",
    )[chance.randrange(3)]
    name = f"part-{number}"
    mark = f'<a class="headerlink" href="#{name}">¶</a>'
    return f'<section id="{name}"><h2>{sentence(chance, 2, 5)}{mark}</h2>{texts}{extra}</section>'


def prose(chance: random.Random) -> str:
    """A paragraph, with a link and a name of something in it."""
    said = [sentence(chance, 8, 22) for _ in range(chance.randrange(3, 8))]
    said.insert(
        1,
        f'See <a href="/guide/{chance.randrange(100)}.html">{sentence(chance, 2, 4)}</a> and <code>x</code>.',
    )
    return " ".join(said)


def sentence(chance: random.Random, least: int, most: int) -> str:
    """So many words."""
    return f"{' '.join(chance.choices(WORDS, k=chance.randrange(least, most))).capitalize()}."


class Site(http.server.ThreadingHTTPServer):
    """Answers with pages and their versions, with robots.txt and a sitemap."""

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.home = f"http://127.0.0.1:{self.server_port}"
        self.pages = {
            f"/guide/{number}.html": gzip.compress(page(number, count), 1) for number in range(count)
        }
        places = "".join(f"<url><loc>{self.home}{path}</loc></url>" for path in self.pages)
        self.others = {
            "/robots.txt": f"User-agent: *\nSitemap: {self.home}/sitemap.xml\n".encode(),
            "/sitemap.xml": f"<urlset {SPACE}>{places}</urlset>".encode(),
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        site = cast("Site", self.server)
        packed = site.pages.get(self.path)
        if packed is None:
            other = site.others.get(self.path)
            self._send(200 if other else 404, other or b"", "text/plain")
            return
        version = f'"{zlib.crc32(packed):x}"'
        if self.headers.get("If-None-Match") == version:
            self._send(304, b"", "text/html", version)
        else:
            self._send(200, gzip.decompress(packed), "text/html; charset=utf-8", version)

    def _send(self, status: int, body: bytes, kind: str, version: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if version:
            self.send_header("ETag", version)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        pass


def main(count: int) -> None:
    site = Site(count)
    print(site.home, flush=True)
    site.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
