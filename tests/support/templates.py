"""Where the shipped workflows are tried: sites on loopback, a model with canned answers, and the pages of the docs that show
what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from kurt.testing.model_server import ModelServer
from tests.support.canned import Canned
from tests.support.cli import Kurt
from tests.support.site import Page, Site, page

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "examples" / "corpus" / "sqlite"
DOCS = "https://docs.example.com"
OTHERS = "https://docs.example.org"


@contextmanager
def site_of(pages: dict[str, Page | str]) -> Generator[Site]:
    """A site with a sitemap."""
    with Site(pages) as site:
        urls = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in pages)
        site.pages["/sitemap.xml"] = Page(f"<urlset>{urls}</urlset>".encode(), content_type="application/xml")
        yield site


def corpus(*names: str) -> dict[str, Page | str]:
    """Pages of the documentation that the docs are about."""
    return {f"/{name}.html": Page((CORPUS / f"{name}.html").read_bytes()) for name in names}


@contextmanager
def asking(kurt: Kurt, model: Canned) -> Generator[ModelServer]:
    """The model that the project's workflows ask."""
    with ModelServer(answer=model) as server:
        kurt.environ.update(
            KURT_LLM__MODEL="openai/gpt-4.1-mini", KURT_LLM__BASE_URL=server.url, OPENAI_API_KEY="a-key"
        )
        yield server


def copied(kurt: Kurt, template: str) -> str:
    """A copy of a template under its own name."""
    kurt("workflows", "new", "--template", template)
    return f"workflows/{template}.yaml"


def fetched(kurt: Kurt, site: Site) -> None:
    """Have the documents of a site."""
    kurt("content", "map", site.url, "--allow-private")
    kurt("content", "fetch", "--allow-private", limit=120)


def shown(template: str, name: str) -> str:
    """What the page of a template shows as a file that a run wrote."""
    text = (ROOT / "docs" / "templates" / f"{template}.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- result: {re.escape(name)} -->.*?\n(````?)\w*\n(.*?)\n\1\n", text, re.DOTALL)
    assert found is not None, f"docs/templates/{template}.md shows no result {name}"
    return found[2]


def is_shown(kurt: Kurt, template: str, name: str, *sites: tuple[Site, str]) -> None:
    """Compare a file that a run wrote with what the template's page shows; addresses have the names of the page there."""
    text = (kurt.project / name).read_text(encoding="utf-8")
    for site, address in sites:
        text = text.replace(site.url, address).replace(urlsplit(site.url).netloc, urlsplit(address).netloc)
    assert text.rstrip() == shown(template, name), f"--- {name}\n{text}"


NEW = page(
    "Keys that expire",
    "Keys can expire now: give them a date when you make them.",
    "What uses a key that has expired gets the error 401 with the code key_expired.",
)


OURS = {
    "/rotate.html": page(
        "Rotating keys",
        "Keys are rotated every 90 days.",
        "A new key is valid at once, the old one for a day.",
    ),
    "/limits.html": page("Limits", "A project has at most 20 keys.", "More can be had from support."),
}
THEIRS = {
    "/webhooks.html": page(
        "Webhooks",
        "A webhook tells your server of a change.",
        "Each one is signed, so that you can check it.",
    ),
    "/errors.html": page(
        "Errors", "Errors have a code and a message.", "Which of them may be tried again is in the table."
    ),
}
