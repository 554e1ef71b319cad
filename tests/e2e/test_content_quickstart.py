"""The quickstart as a run: in a workspace, in the background, over a site that changes."""

from __future__ import annotations

import pytest

from tests.support.cli import Kurt
from tests.support.site import Page, Site

TEXT = "Some words about {0} that nobody has written before, and {0} again. " * 20


def page(name: str) -> str:
    return f"<html><head><title>{name}</title></head><body><main><h1>{name}</h1><p>{TEXT.format(name)}</p></main></body></html>"


RUN = ("workflows", "run", "workflows/quickstart.yaml")


@pytest.mark.parametrize("background", [False, True])
def test_a_run_of_a_workspace_reports_on_its_documents_only(kurt: Kurt, background: bool) -> None:
    theirs = ("--workspace", "acme")
    (kurt.project / "content" / "tea.md").write_text("# Tea\n\n" + TEXT.format("tea"))
    how = ("--background", "--run-id", "quick") if background else ("--run-id", "quick")
    kurt(*RUN, *how, *theirs)
    ended = kurt.json("workflows", "wait", "quick", limit=100)
    assert ended["outputs"]["pages"] == 2
    assert {one["uri"] for one in kurt.json("content", "list", *theirs)} == {
        "file:content/README.md",
        "file:content/tea.md",
    }
    assert kurt.json("content", "list") == []
    assert kurt.json(*RUN, "--input", "source=workflows")["outputs"]["pages"] == 0


def test_a_second_run_over_a_site_asks_only_for_what_has_changed(kurt: Kurt) -> None:
    with Site({f"/{name}": page(name) for name in ("tea", "milk", "bread")}) as site:
        links = "".join(f"<loc>{site.url}/{name}</loc>" for name in ("tea", "milk", "bread"))
        links = links.replace("<loc>", "<url><loc>").replace("</loc>", "</loc></url>")
        site.pages["/sitemap.xml"] = Page(
            f"<urlset>{links}</urlset>".encode(), content_type="application/xml"
        )
        arguments = (*RUN, "--input", f"source={site.url}", "--input", "allow_private=true")
        assert kurt.json(*arguments)["outputs"]["pages"] == 3
        before = {one["uri"]: one["content_hash"] for one in kurt.json("content", "list")}
        site.pages["/milk"] = page("oat milk")
        seen = len(site.hits)
        assert kurt.json(*arguments)["outputs"]["near_duplicates"] == 0
        after = {one["uri"]: one["content_hash"] for one in kurt.json("content", "list")}
        statuses = {
            hit.path: hit.status for hit in site.hits[seen:] if hit.path in {"/tea", "/milk", "/bread"}
        }
    assert statuses == {"/tea": 304, "/bread": 304, "/milk": 200}
    assert {uri for uri in before if before[uri] != after[uri]} == {f"{site.url}/milk"}
    assert "oat milk" in (kurt.project / "report.html").read_text()
    assert kurt.json("content", "search", "oat")["hits"][0]["title"] == "oat milk"


@pytest.mark.postgres
def test_the_quickstart_on_postgres(kurt: Kurt, postgres_url: str) -> None:
    kurt.environ["DATABASE_URL"] = postgres_url
    (kurt.project / "content" / "tea.md").write_text("# Tea\n\n" + TEXT.format("tea"))
    for _ in range(2):
        assert kurt.json(*RUN)["outputs"]["pages"] == 2
    assert kurt.json("content", "search", "about tea")["hits"][0]["uri"] == "file:content/tea.md"
    facts = kurt.json("content", "stats")
    assert (facts["by_state"]["fetched"], facts["not_indexed"]) == (2, 0)
    assert facts["vectors"] == {"lexical/hashing-v1": 2}
