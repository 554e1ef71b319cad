"""A site for the examples of a page: a folder of this repository, served on loopback under another name.

`<!-- docs: site https://docs.example.com examples/corpus/sqlite -->` in a page serves that folder with a sitemap. In the page's
commands the name stands for the server's address, and what is printed has the name again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.site import Page, Site

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mirror:
    """What a page calls the site, and where it is.

    Attributes:
        name: the address in the page.
        url: the address of the server.
    """

    name: str = ""
    url: str = ""

    def command(self, text: str) -> str:
        """A command of the page as it is run: with the server's address, which is not public."""
        if not self.name:
            return text
        run = text.replace(self.name, self.url).replace(urlsplit(self.name).netloc, self._folder)
        if run.startswith(("kurt content map", "kurt content fetch")):
            return f"{run} --allow-private"
        return f"{run} --input allow_private=true" if f"source={self.url}" in run else run

    def output(self, text: str) -> str:
        """What was printed, with the name of the page."""
        if not self.name:
            return text
        return text.replace(self.url, self.name).replace(self._folder, urlsplit(self.name).netloc)

    @property
    def _folder(self) -> str:
        return urlsplit(self.url).netloc.replace(":", "_")


@contextlib.contextmanager
def serving(site: tuple[str, str] | None) -> Generator[Mirror]:
    """Serve the folder of a directive while the block runs; without one, nothing."""
    if site is None:
        yield Mirror()
        return
    name, folder = site
    files = sorted((ROOT / folder).glob("*.html"))
    pages: dict[str, Page | str] = {f"/{path.name}": Page(path.read_bytes()) for path in files}
    with Site(pages) as server:
        urls = "".join(f"<url><loc>{server.url}/{path.name}</loc></url>" for path in files)
        server.pages["/sitemap.xml"] = Page(
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'.encode(),
            content_type="application/xml",
        )
        yield Mirror(name, server.url)
