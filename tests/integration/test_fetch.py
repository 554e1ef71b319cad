"""Documents are fetched by the real workflow from a site on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmodel import select

from kurt.content.files import read_document
from kurt.content.search import search
from kurt.db import managed_session
from kurt.db.models import ContentVector, Document
from kurt.workflows.fetch import FetchDocument, FetchStatus, run_fetch
from tests.support.site import Page, Site, page

ALLOW = {"allow_private": True}


def documents() -> dict[str, Document]:
    with managed_session() as session:
        return {document.uri: document for document in session.exec(select(Document)).all()}


def fetches() -> dict[str, FetchDocument]:
    with managed_session() as session:
        return {fetch.id: fetch for fetch in session.exec(select(FetchDocument)).all()}


def tea_site() -> Site:
    return Site({f"/{name}": page(f"{name.title()} tea") for name in ("green", "black", "white")})


def urls(site: Site, *names: str) -> list[str]:
    return [f"{site.url}/{name}" for name in names or ("green", "black", "white")]


def texts(project: Path, result: dict[str, Any]) -> list[str]:
    return [read_document(project / "sources", row["path"])[1] for row in result["rows"] if row["path"]]


def test_pages_become_files_rows_and_vectors(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        result = run_fetch(urls(site), ALLOW)
    assert (result["total"], result["success_count"], result["error_count"]) == (3, 3, 0)
    assert [row["status"] for row in result["rows"]] == ["fetched"] * 3
    assert any("paragraph 2 about Green tea" in text for text in texts(tmp_kurt_project, result))
    found = documents()[f"{site.url}/green"]
    assert (found.title, found.state, found.language) == ("Green tea", "fetched", "en")
    assert found.etag
    assert fetches()[found.id].status is FetchStatus.FETCHED
    with managed_session() as session:
        assert len(session.exec(select(ContentVector)).all()) == 3
        hits = search(session.connection(), "green tea", mode="words")
    assert hits[0].uri == f"{site.url}/green"


def test_one_document_also_stands_at_the_top(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        result = run_fetch(config={"url": f"{site.url}/green", **ALLOW})
    assert (result["title"], result["uri"], result["error"]) == ("Green tea", f"{site.url}/green", None)


def test_an_unchanged_site_costs_one_304_a_page(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        first = run_fetch(urls(site), ALLOW)
        site.forget()
        again = run_fetch(urls(site), {**ALLOW, "refetch": True})
        assert site.paths(304) == [path for path in site.paths() if path != "/robots.txt"]
        assert len(site.paths(304)) == 3
    assert again["unchanged_count"] == 3
    assert {row["path"] for row in again["rows"]} == {row["path"] for row in first["rows"]}
    assert {fetch.extractions for fetch in fetches().values()} == {1}


def test_one_changed_and_one_removed_page(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        run_fetch(urls(site), ALLOW)
        site.pages["/black"] = page(
            "Black tea", "Black tea is something else now, and this text says so. " * 5
        )
        del site.pages["/white"]
        site.forget()
        result = run_fetch(config={"refetch": True, **ALLOW})
    status = {row["uri"].rpartition("/")[2]: row["status"] for row in result["rows"]}
    assert status == {"green": "unchanged", "black": "fetched", "white": "gone"}
    counted = {
        found.uri.rpartition("/")[2]: fetches()[found.id].extractions for found in documents().values()
    }
    assert counted == {"green": 1, "black": 2, "white": 1}
    with managed_session() as session:
        assert len(session.exec(select(ContentVector)).all()) == 4
    assert documents()[f"{site.url}/white"].state == "gone"


def test_what_is_here_is_not_asked_for_again(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        run_fetch(urls(site, "green"), ALLOW)
        site.forget()
        result = run_fetch(urls(site, "green", "black"), ALLOW)
        assert site.paths() == ["/robots.txt", "/black"]
    assert (result["skipped_count"], result["success_count"]) == (1, 1)


def test_a_dry_run_writes_nothing(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        result = run_fetch(urls(site), {**ALLOW, "dry_run": True})
        assert site.hits == []
    assert result["dry_run"] is True
    assert [(row["uri"], row["status"]) for row in result["rows"]] == [
        (f"{site.url}/{name}", "planned") for name in ("black", "green", "white")
    ]
    assert documents() == {}


def test_failures_stay_with_their_documents(tmp_kurt_project: Path) -> None:
    pages = {
        "/good": page("Good"),
        "/broken": Page(status=403),
        "/empty": "<html></html>",
        "/image": Page(b"x", "image/png"),
    }
    with Site(pages) as site:
        result = run_fetch(urls(site, "good", "broken", "empty", "image"), ALLOW)
    errors = {row["uri"].rpartition("/")[2]: row["error"] for row in result["rows"]}
    assert errors["good"] is None
    assert "403" in errors["broken"]
    assert "no main text" in errors["empty"]
    assert "image/png" in errors["image"]
    assert (result["success_count"], result["error_count"]) == (1, 3)


def test_private_addresses_need_to_be_allowed(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        result = run_fetch(urls(site, "green"))
        assert site.hits == []
    assert "--allow-private" in result["error"]


def test_nothing_is_fetched_when_nothing_is_named(tmp_kurt_project: Path) -> None:
    with tea_site() as site:
        run_fetch(urls(site, "green"), {**ALLOW, "dry_run": True})
        assert run_fetch([], ALLOW)["total"] == 0
        assert run_fetch(config={"urls": "", **ALLOW})["total"] == 0
