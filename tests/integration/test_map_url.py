"""Mapping sites: real runs against servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from kurt.db import managed_session
from kurt.db.models import Document
from kurt.errors import KurtError
from kurt.workflows.map import MapDocument, MapStatus, discover_from_url, run_map
from tests.support.site import Page, Site, page

NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


def xml(text: str) -> Page:
    return Page(text.encode(), "application/xml")


def urlset(site: Site, *paths: str, lastmod: str = "") -> Page:
    more = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    return xml(
        f"<urlset {NS}>{''.join(f'<url><loc>{site.url}{p}</loc>{more}</url>' for p in paths)}</urlset>"
    )


def index(site: Site, *paths: str) -> Page:
    rows = "".join(f"<sitemap><loc>{site.url}{path}</loc></sitemap>" for path in paths)
    return xml(f"<sitemapindex {NS}>{rows}</sitemapindex>")


def links(title: str, *targets: str, head: str = "") -> str:
    return page(title, head=head, more="".join(f'<a href="{target}">{target}</a> ' for target in targets))


def robots(*lines: str) -> Page:
    return Page("\n".join(lines).encode(), "text/plain")


def run(site: Site, start: str = "/", **config: Any) -> dict[str, Any]:
    return run_map({"source_url": site.url + start, "allow_private": True, **config})


def found(site: Site, result: dict[str, Any]) -> list[str]:
    return [row["uri"].removeprefix(site.url) for row in result["rows"]]


def stored() -> dict[str, Any]:
    with managed_session() as session:
        return {row.uri: row for row in session.exec(select(MapDocument)).all()}


class TestLists:
    def test_sitemaps_that_robots_txt_names(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": page("Home"),
            "/robots.txt": robots("User-agent: *", "Disallow: /private", f"Sitemap: {site.url}/maps/top.xml"),
            "/maps/top.xml": index(site, "/maps/inner.xml.gz", "/maps/list.txt"),
            "/maps/inner.xml.gz": Page(
                gzip.compress(urlset(site, "/a", "/b?utm_source=x#y", "/private/c").body), "application/gzip"
            ),
            "/maps/list.txt": Page(
                f"{site.url}/b\n{site.url}/d\nhttps://elsewhere.example/e\n".encode(), "text/plain"
            ),
        }
        result = run(site)
        assert found(site, result) == ["/a", "/b", "/d"]
        assert (result["discovery_method"], result["discovery_url"]) == ("sitemap", site.url + "/")
        assert (result["total"], result["documents_discovered"], result["rows_written"]) == (3, 3, 3)
        assert sorted(site.paths()) == [
            "/",
            "/maps/inner.xml.gz",
            "/maps/list.txt",
            "/maps/top.xml",
            "/robots.txt",
        ]
        with managed_session() as session:
            documents = session.exec(select(Document)).all()
        assert {(one.uri, one.source_type, one.state) for one in documents} == {
            (site.url + path, "url", "discovered") for path in ("/a", "/b", "/d")
        }
        rows = stored()
        assert {row.workflow_id for row in rows.values()} == {result["workflow_id"]}
        assert {row.document_id for row in rows.values()} == {one.id for one in documents}

    def test_a_second_run_finds_nothing_new_and_what_has_changed(
        self, tmp_kurt_project: Path, site: Site
    ) -> None:
        site.pages |= {"/": page("Home"), "/sitemap.xml": urlset(site, "/a", "/b", lastmod="2026-01-01")}
        run(site)
        site.pages["/sitemap.xml"] = Page(
            urlset(site, "/a", "/b", "/c", lastmod="2026-01-01").body.replace(b"2026-01-01", b"2026-02-02", 1)
        )
        result = run(site)
        assert (result["documents_discovered"], result["documents_existing"]) == (1, 2)
        assert (result["rows_written"], result["rows_updated"], result["documents_changed"]) == (1, 2, 1)
        assert [row["status"] for row in result["rows"]] == ["changed", "existing", "discovered"]
        assert stored()[site.url + "/a"].modified == "2026-02-02"

    def test_a_sitemap_that_is_no_file_of_the_usual_name(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {"/": page("Home"), "/odd/list": urlset(site, "/a")}
        assert found(site, run(site, sitemap_path="/odd/list")) == ["/a"]
        assert found(site, run(site, "/odd/list")) == ["/a"]

    def test_feeds_that_the_page_names(self, tmp_kurt_project: Path, site: Site) -> None:
        head = '<link rel="alternate" type="application/rss+xml" href="/news.rss">'
        item = "<item><title>One</title><link>/posts/1</link></item>"
        site.pages |= {
            "/": page("Home", head=head),
            "/news.rss": xml(f'<rss version="2.0"><channel>{item}</channel></rss>'),
        }
        result = run(site)
        assert result["discovery_method"] == "feed"
        assert [(row["uri"].removeprefix(site.url), row["title"]) for row in result["rows"]] == [
            ("/posts/1", "One")
        ]

    def test_llms_txt(self, tmp_kurt_project: Path, site: Site) -> None:
        text = "# Site\n\n- [Guide](/guide.md)\n- [Far](https://elsewhere.example/)\n"
        site.pages |= {"/": page("Home"), "/llms.txt": Page(text.encode(), "text/plain")}
        result = run(site)
        assert (result["discovery_method"], found(site, result)) == ("llms_txt", ["/guide.md"])
        assert result["rows"][0]["title"] == "Guide"

    @pytest.mark.parametrize("method", ["sitemap", "feed", "llms_txt"])
    def test_a_method_that_the_site_does_not_have(
        self, tmp_kurt_project: Path, site: Site, method: str
    ) -> None:
        site.pages |= {"/": links("Home", "/a"), "/a": page("A")}
        with pytest.raises(KurtError, match=f"has no {method} that lists its pages") as caught:
            run(site, discovery_method=method)
        assert "--method crawl" in str(caught.value.hint)

    def test_a_broken_sitemap_is_an_error_and_the_rest_goes_on(
        self, tmp_kurt_project: Path, site: Site
    ) -> None:
        site.pages |= {
            "/": page("Home"),
            "/sitemap.xml": index(site, "/good.xml", "/broken.xml", "/gone.xml"),
            "/good.xml": urlset(site, "/a"),
            "/broken.xml": Page(b"<html>busy</html>"),
        }
        result = run(site)
        assert (result["total"], result["documents_errors"]) == (1, 2)
        errors = {error["uri"].removeprefix(site.url): error["error"] for error in result["errors"]}
        assert set(errors) == {"/broken.xml", "/gone.xml"}
        assert "404" in errors["/gone.xml"]
        row = stored()[f"{site.url}/gone.xml"]
        assert (row.status, row.document_id) == (MapStatus.ERROR, None)

    def test_a_host_that_does_not_answer_holds_nothing_up(self, tmp_kurt_project: Path, site: Site) -> None:
        rows = "".join(
            f"<url><loc>{url}</loc></url>"
            for url in ("http://127.0.0.1:9/x", "http://127.0.0.1:9/y", f"{site.url}/a")
        )
        site.pages |= {"/": page("Home"), "/sitemap.xml": xml(f"<urlset {NS}>{rows}</urlset>")}
        result = run(site, allow_external=True)
        assert found(site, result) == ["/a"]
        assert [error["uri"] for error in result["errors"]] == ["http://127.0.0.1:9/robots.txt"]

    def test_a_start_that_is_not_there_may_have_a_sitemap(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {"/docs/sitemap.xml": urlset(site, "/docs/a"), "/sitemap.xml": urlset(site, "/b")}
        assert found(site, run(site, "/docs/")) == ["/docs/a"]
        assert found(site, run(site, "/nothing")) == ["/b"]

    def test_patterns_and_the_limit_hold_for_lists(self, tmp_kurt_project: Path, site: Site) -> None:
        paths = [f"/docs/{number}" for number in range(5)] + ["/blog/1", "/docs/old/6"]
        site.pages |= {"/": page("Home"), "/sitemap.xml": urlset(site, *paths)}
        result = run(site, include_patterns="*/docs/*", exclude_patterns=["re:/old/"], max_pages=3)
        assert found(site, result) == ["/docs/0", "/docs/1", "/docs/2"]
        assert result["truncated"]

    def test_a_dry_run_stores_nothing_and_knows_what_is_new(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {"/": page("Home"), "/sitemap.xml": urlset(site, "/a")}
        run(site)
        site.pages["/sitemap.xml"] = urlset(site, "/a", "/b")
        result = run(site, dry_run=True)
        assert [(row["status"]) for row in result["rows"]] == ["existing", "discovered"]
        assert (result["dry_run"], result["rows_written"], result["rows_updated"]) == (True, 0, 0)
        assert list(stored()) == [site.url + "/a"]


class TestMany:
    def test_twelve_thousand_pages(self, tmp_kurt_project: Path, site: Site) -> None:
        count, parts = 12_000, 12
        site.pages |= {
            "/": page("Home"),
            "/sitemap.xml": index(site, *(f"/s{n}.xml.gz" for n in range(parts))),
        }
        for part in range(parts):
            paths = [f"/section-{part}/page-{number}.html" for number in range(count // parts)]
            packed = gzip.compress(urlset(site, *paths, lastmod="2026-01-01").body)
            site.pages[f"/s{part}.xml.gz"] = Page(packed, "application/gzip")
        result = run(site)
        assert (result["total"], result["rows_written"]) == (count, count)
        before = size_of_checkpoints(tmp_kurt_project)
        again = run(site)
        assert (again["documents_discovered"], again["rows_updated"]) == (0, count)
        taken = {name: size - before[name] for name, size in size_of_checkpoints(tmp_kurt_project).items()}
        assert taken["steps"] <= 10  # grouped, not one for each page
        assert taken["bytes"] <= 1_000 * count


def size_of_checkpoints(project: Path) -> dict[str, int]:
    """How many steps are stored, and the bytes of all that DBOS keeps in its tables."""
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        (steps,) = connection.execute("SELECT count(*) FROM operation_outputs").fetchone()
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [
            name
            for name in names
            if name not in OURS and "fts" not in name and not name.startswith("sqlite_")
        ]
        total = 0
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")]
            lengths = " + ".join(f"coalesce(length({column!r}), 0)".replace("'", '"') for column in columns)
            total += connection.execute(f'SELECT coalesce(sum({lengths}), 0) FROM "{table}"').fetchone()[0]
    return {"steps": steps, "bytes": total}


OURS = {"documents", "map_documents", "map_sources"}
"""Where documents are meant to be kept."""


class TestHostile:
    """Each ends within its limit, as an error that is stored; the rest goes on."""

    def test_a_bomb_as_sitemap(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": page("Home"),
            "/sitemap.xml": index(site, "/bomb.xml.gz", "/packed.xml", "/good.xml"),
            "/bomb.xml.gz": Page(gzip.compress(b"<urlset>" + b" " * 60_000_000), "application/gzip"),
            "/packed.xml": Page(
                gzip.compress(b" " * 60_000_000), "application/xml", headers={"Content-Encoding": "gzip"}
            ),
            "/good.xml": urlset(site, "/a"),
        }
        result = run(site)
        assert found(site, result) == ["/a"]
        errors = {error["uri"].removeprefix(site.url): error["error"] for error in result["errors"]}
        assert set(errors) == {"/bomb.xml.gz", "/packed.xml"}
        assert all("larger than" in text or "50" in text for text in errors.values()), errors

    def test_a_hundred_nested_sitemaps(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {"/": page("Home"), "/sitemap.xml": index(site, "/s0.xml", "/good.xml")}
        site.pages |= {f"/s{n}.xml": index(site, f"/s{n + 1}.xml") for n in range(100)}
        site.pages["/good.xml"] = urlset(site, "/a")
        result = run(site)
        assert (found(site, result), result["truncated"]) == (["/a"], True)
        assert [error["error"] for error in result["errors"]] == ["sitemaps are nested deeper than 8 levels"]
        assert len(site.paths()) < 20

    def test_sitemaps_that_name_each_other(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": page("Home"),
            "/sitemap.xml": index(site, "/b.xml"),
            "/b.xml": index(site, "/sitemap.xml", "/c.xml"),
        }
        site.pages["/c.xml"] = urlset(site, "/a")
        assert found(site, run(site)) == ["/a"]
        assert len(site.paths()) == 5

    def test_a_redirect_to_a_file(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": page("Home"),
            "/sitemap.xml": index(site, "/file.xml", "/good.xml"),
            "/good.xml": urlset(site, "/a"),
        }
        site.pages["/file.xml"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
        result = run(site)
        assert (found(site, result), result["documents_errors"]) == (["/a"], 1)

    def test_addresses_without_end(self, tmp_kurt_project: Path, site: Site) -> None:
        """A calendar: each page leads to two that did not exist before."""

        class Endless(dict[str, Any]):
            def get(self, key: str, default: Any = None) -> Any:
                if key == "/robots.txt" or key.endswith((".xml", ".txt", ".gz", "/feed", "/rss")):
                    return None
                return links(key, f"{key.rstrip('/')}/1", f"{key.rstrip('/')}/2")

        site.pages = Endless()
        result = run(site, max_pages=60, max_depth=100)
        assert (result["total"], result["truncated"]) == (60, True)
        assert run(site, max_depth=2, exclude_patterns="*/about*")["total"] == 7

    def test_a_page_of_links_alone(self, tmp_kurt_project: Path, site: Site) -> None:
        many = "".join(f'<a href="/{number}">x</a>' for number in range(30_000))
        site.pages["/"] = Page(f"<title>Many</title>{many}".encode())
        result = run(site, max_depth=1, max_pages=5)
        assert (result["total"], result["truncated"]) == (1, True)
        assert len(site.paths()) < 250


class TestCrawl:
    def test_links_are_followed_to_a_real_depth(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": links("Home", "/1", "/1#again", "https://elsewhere.example/x", "/style.css", "mailto:a@b.c"),
            "/1": links("One", "/2", "/"),
            "/2": links("Two", "/3"),
            "/3": links("Three", "/4"),
        }
        result = run(site, max_depth=2)
        assert result["discovery_method"] == "crawl"
        assert [(row["uri"].removeprefix(site.url), row["title"]) for row in result["rows"]] == [
            ("/", "Home"),
            ("/1", "One"),
            ("/2", "Two"),
            ("/about", None),
        ][:3]
        assert "/3" not in site.paths()
        assert {row.depth for row in stored().values() if row.document_id} == {0, 1, 2}

    def test_patterns_hold_before_anything_is_fetched(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": links("Home", "/docs/a", "/blog/b", "/docs/secret/c"),
            "/docs/a": links("A", "/docs/d", "/blog/e"),
            "/docs/d": page("D"),
        }
        result = run(site, include_patterns=["/docs/*"], exclude_patterns=["*/secret/*"])
        assert found(site, result) == ["/docs/a", "/docs/d"]
        asked = set(site.paths())
        assert not asked & {"/blog/b", "/blog/e", "/docs/secret/c"}

    def test_robots_txt_is_kept_unless_told_otherwise(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/robots.txt": robots("User-agent: *", "Disallow: /private"),
            "/": links("Home", "/open", "/private/a", "/moved"),
            "/open": page("Open"),
            "/private/a": page("Private"),
            "/moved": Page(status=302, headers={"Location": "/private/a"}),
        }
        result = run(site)
        assert found(site, result) == ["/", "/open"]
        assert not [path for path in site.paths() if path.startswith("/private")]
        assert "/private/a" in found(site, run(site, respect_robots=False))

    def test_the_delay_that_a_site_asks_for_is_kept(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages["/robots.txt"] = robots("User-agent: *", "Crawl-delay: 0.25")
        site.pages["/"] = links("Home", *(f"/{number}" for number in range(6)))
        site.pages |= {f"/{number}": page(str(number)) for number in range(6)}
        run(site, max_depth=1)
        times = [hit.time for hit in site.hits]
        assert {f"/{number}" for number in range(6)} < set(site.paths())
        assert min(later - earlier for earlier, later in pairwise(times[1:])) >= 0.24  # from robots.txt on

    def test_the_number_of_pages_is_kept(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages["/"] = links("Home", *(f"/{number}" for number in range(200)))
        site.pages |= {f"/{number}": page(str(number)) for number in range(200)}
        result = run(site, max_pages=50)
        assert result["total"] == 50
        assert result["truncated"]
        assert len([path for path in site.paths() if path[1:].isdigit()]) <= 50

    def test_pages_that_fail_are_stored_and_the_rest_goes_on(
        self, tmp_kurt_project: Path, site: Site
    ) -> None:
        site.pages |= {
            "/": links("Home", "/gone", "/image", "/away", "/a", "/paper.pdf"),
            "/a": page("A"),
            "/image": Page(b"\x89PNG", "image/png"),
            "/away": Page(status=301, headers={"Location": "file:///etc/passwd"}),
        }
        result = run(site, allow_external=False)
        assert found(site, result) == ["/", "/a", "/paper.pdf"]
        assert "/paper.pdf" not in site.paths()
        errors = {uri.removeprefix(site.url): row.error for uri, row in stored().items() if row.error}
        assert set(errors) == {"/gone", "/about", "/away"}
        assert errors["/gone"] == "it was answered with 404"
        assert "file:" in errors["/away"]

    def test_a_redirect_is_one_document(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": Page(status=301, headers={"Location": "/home"}),
            "/home": links("Home", "/old", "/new"),
            "/old": Page(status=301, headers={"Location": "/new?utm_source=a"}),
            "/new": page("New"),
        }
        result = run(site)
        assert found(site, result) == ["/home", "/new"]

    def test_a_page_may_ask_not_to_follow_its_links(self, tmp_kurt_project: Path, site: Site) -> None:
        site.pages |= {
            "/": links("Home", "/a", head='<meta name="robots" content="nofollow">'),
            "/a": page("A"),
        }
        assert found(site, run(site)) == ["/"]

    def test_a_dead_start_ends_the_run_with_an_error(self, tmp_kurt_project: Path, site: Site) -> None:
        with pytest.raises(KurtError, match="404"):
            run(site, "/nothing")

    def test_private_addresses_need_consent(self, tmp_kurt_project: Path, site: Site) -> None:
        with pytest.raises(KurtError) as caught:
            run(site, allow_private=False)
        assert "--allow-private" in str(caught.value.hint)
        assert site.paths() == []


class TestDiscover:
    def test_it_can_be_called_alone(self, site: Site) -> None:
        site.pages |= {"/": links("Home", "/a"), "/a": page("A")}
        result = discover_from_url(
            {"source_url": site.url, "allow_private": True, "exclude_patterns": "*/about"}
        )
        assert result["method"] == "crawl"
        assert [(one["url"], one["title"]) for one in result["discovered"]] == [
            (f"{site.url}/", "Home"),
            (f"{site.url}/a", "A"),
        ]
        assert result["total"] == 2

    async def test_it_can_be_called_from_a_coroutine(self, site: Site) -> None:
        await asyncio.sleep(0)
        site.pages |= {"/": page("Home"), "/sitemap.xml": urlset(site, "/a")}
        result = discover_from_url({"source_url": site.url, "allow_private": True})
        assert (result["method"], result["total"]) == ("sitemap", 1)
