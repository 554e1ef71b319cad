"""Finding documents: a site's sitemaps, a folder."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import shutil
import threading
from collections.abc import Generator

from benchmarks.measure import Sample
from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench

PAGES, SITEMAPS = 12_240, 12
FILES = 5_000


@benchmark("map-site")
def map_site(bench: Bench) -> list[Figure]:
    """`kurt content map` of an index of 12 sitemaps with 12,240 pages, rows stored; and again."""
    with _site() as url:
        command = ("content", "map", url, "--allow-private", "--quiet")
        return _both(bench, command, f"map of {PAGES:,} pages by sitemaps", first=5, again=3)


@benchmark("map-folder")
def map_folder(bench: Bench) -> list[Figure]:
    """`kurt content map` of a folder with 5,000 Markdown files; and again."""
    text = "word " * 300
    for number in range(FILES):
        bench.write(f"notes/{number % 50}/{number}.md", f"---\ntitle: Note {number}\n---\n# Note\n\n{text}")
    return _both(
        bench, ("content", "map", "--folder", "notes", "--quiet"), f"map of {FILES:,} files", first=3, again=3
    )


def _both(bench: Bench, command: tuple[str, ...], what: str, *, first: float, again: float) -> list[Figure]:
    """The first map of something, into a new database each time, and the next one."""
    measure = bench.measure(*command)

    def anew() -> Sample:
        shutil.rmtree(bench.root / ".kurt")
        bench.kurt("db", "upgrade")
        return measure()

    samples = {"first": bench.in_turn({"x": anew})["x"], "again": bench.in_turn({"x": measure})["x"]}
    return [
        Figure(
            what=f"{what}, {name}",
            value=sample.wall,
            unit="s",
            budget=first if name == "first" else again,
            detail={"cpu_s": sample.cpu},
        )
        for name, sample in samples.items()
    ]


@contextlib.contextmanager
def _site() -> Generator[str]:
    """A server with nothing but robots.txt, a page and sitemaps; its address."""
    bodies: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    bodies.update(_bodies(url))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def _bodies(url: str) -> dict[str, bytes]:
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    found: dict[str, bytes] = {"/": b"<title>Home</title>"}
    for part in range(SITEMAPS):
        rows = "".join(
            f"<url><loc>{url}/section-{part}/some/page-{number}.html</loc><lastmod>2026-01-01</lastmod></url>"
            for number in range(PAGES // SITEMAPS)
        )
        found[f"/{part}.xml.gz"] = gzip.compress(f"<urlset {space}>{rows}</urlset>".encode())
    parts = "".join(f"<sitemap><loc>{url}/{part}.xml.gz</loc></sitemap>" for part in range(SITEMAPS))
    found["/sitemap.xml"] = f"<sitemapindex {space}>{parts}</sitemapindex>".encode()
    found["/robots.txt"] = f"User-agent: *\nDisallow: /private\nSitemap: {url}/sitemap.xml\n".encode()
    return found
