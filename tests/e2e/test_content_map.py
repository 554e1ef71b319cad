"""`kurt content map` as users have it: every option, in the foreground and in the background, from YAML, after a kill."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Kurt
from tests.support.site import Page, Site, page

NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        made.pages |= {
            "/": linked("Home", "/docs/a", "/docs/b", "/blog/c"),
            "/docs/a": linked("A", "/docs/deep"),
            "/docs/b": page("B"),
            "/docs/deep": page("Deep"),
            "/blog/c": page("C"),
            "/about": page("About"),
        }
        yield made


@pytest.fixture
def notes(project: Path) -> Path:
    folder = project / "notes"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.md").write_text(f"# {name.title()}\n")
    return folder


def linked(title: str, *targets: str) -> str:
    return page(title, more="".join(f'<a href="{target}">{target}</a>' for target in targets))


def sitemap(site: Site, *paths: str) -> Page:
    urls = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in paths)
    return Page(f"<urlset {NS}>{urls}</urlset>".encode(), "application/xml")


def mapped(kurt: Kurt, site: Site, *options: str) -> list[str]:
    """Paths that a run over the site finds with these options."""
    result = kurt.json("content", "map", site.url, "--allow-private", *options)
    return sorted(row["uri"].removeprefix(site.url) for row in result["rows"])


def stored(project: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        rows = connection.execute(
            "SELECT d.uri, m.workflow_id FROM map_documents m JOIN documents d ON d.id = m.document_id"
        )
        return sorted(rows)


def test_a_folder_for_people(kurt: Kurt, notes: Path) -> None:
    done = kurt("content", "map", "--folder", "notes")
    assert done.lines == [
        "discovered  file:notes/one.md  One",
        "discovered  file:notes/two.md  Two",
        "2 documents by folder: 2 new, 0 known",
    ]
    assert "step discover succeeded" in done.stderr
    assert "step save succeeded" in done.stderr
    assert "2 of 2 items done" in done.stderr
    assert "kurt content fetch" in done.stderr
    quiet = kurt("content", "map", "--folder", "notes", "--quiet")
    assert quiet.stderr == ""
    assert quiet.lines[-1] == "2 documents by folder: 0 new, 2 known"


def test_the_result_as_json_and_what_is_stored(kurt: Kurt, project: Path, notes: Path) -> None:
    result = kurt.json("content", "map", "--folder", "notes")
    assert {row["uri"]: row["title"] for row in result["rows"]} == {
        "file:notes/one.md": "One",
        "file:notes/two.md": "Two",
    }
    run_id = result["workflow_id"]
    assert stored(project) == [("file:notes/one.md", run_id), ("file:notes/two.md", run_id)]
    run = kurt.json("workflows", "status", run_id)
    assert (run["name"], run["status"], run["outputs"]) == ("map", "succeeded", result)


def test_a_folder_is_one_of_the_working_directory(kurt: Kurt, notes: Path) -> None:
    (notes / "deep").mkdir()
    (notes / "deep" / "three.md").write_text("# Three")
    result = kurt.json("content", "map", "--folder", "deep", cwd=notes)
    assert [row["uri"] for row in result["rows"]] == ["file:notes/deep/three.md"]


def test_a_dry_run_stores_nothing(kurt: Kurt, project: Path, notes: Path) -> None:
    done = kurt("content", "map", "--folder", "notes", "--dry-run")
    assert done.lines[-1].endswith("2 new, 0 known; nothing was stored (--dry-run)")
    assert stored(project) == []


@pytest.mark.parametrize("options", [[], ["--priority", "1"]], ids=["plain", "priority"])
def test_in_the_background(kurt: Kurt, project: Path, notes: Path, options: list[str]) -> None:
    queued = kurt.json("content", "map", "--folder", "notes", "--background", *options)
    assert queued["status"] == "queued"
    run = kurt.json("workflows", "wait", queued["workflow_id"])
    assert (run["status"], run["outputs"]["rows_written"]) == ("succeeded", 2)
    assert len(stored(project)) == 2


def test_the_priority_is_that_of_the_run(kurt: Kurt, project: Path, notes: Path) -> None:
    for priority in ("7", "3"):
        kurt("content", "map", "--folder", "notes", "--background", "--priority", priority)
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        rows = connection.execute(
            "SELECT priority FROM workflow_status WHERE name = 'map_workflow' ORDER BY created_at"
        )
        assert [priority for (priority,) in rows] == [7, 3]


def test_what_is_printed_in_the_background(kurt: Kurt, notes: Path) -> None:
    started, follow = kurt("content", "map", "--folder", "notes", "--background").lines
    run_id = started.removeprefix("Workflow started: ")
    assert follow == f"Follow: kurt workflows follow {run_id}"


class TestOptionsForSites:
    def test_by_links(self, kurt: Kurt, site: Site) -> None:
        assert mapped(kurt, site) == ["/", "/about", "/blog/c", "/docs/a", "/docs/b", "/docs/deep"]

    def test_include_and_exclude(self, kurt: Kurt, site: Site) -> None:
        options = ["--include", "/docs/*", "--include", "/blog/*", "--exclude", "re:/a$"]
        assert mapped(kurt, site, *options) == ["/blog/c", "/docs/b"]
        assert "/docs/a" not in site.paths()

    def test_max_depth(self, kurt: Kurt, site: Site) -> None:
        assert mapped(kurt, site, "--max-depth", "0") == ["/"]
        assert "/docs/deep" not in mapped(kurt, site, "--max-depth", "1")

    @pytest.mark.parametrize("option", ["--max-pages", "--limit"])
    def test_max_pages(self, kurt: Kurt, site: Site, option: str) -> None:
        assert len(mapped(kurt, site, option, "2")) == 2

    def test_method_and_sitemap_path(self, kurt: Kurt, site: Site) -> None:
        site.pages["/odd.xml"] = sitemap(site, "/docs/b")
        assert mapped(kurt, site, "--method", "sitemap", "--sitemap-path", "/odd.xml") == ["/docs/b"]
        refused = kurt("content", "map", site.url, "--allow-private", "--method", "feed", code=1)
        assert "has no feed that lists its pages" in refused.stderr

    def test_robots(self, kurt: Kurt, site: Site) -> None:
        site.pages["/robots.txt"] = Page(b"User-agent: *\nDisallow: /docs\n", "text/plain")
        assert mapped(kurt, site) == ["/", "/about", "/blog/c"]
        assert not [path for path in site.paths() if path.startswith("/docs")]
        assert "/docs/deep" in mapped(kurt, site, "--ignore-robots")

    def test_other_hosts(self, kurt: Kurt, site: Site) -> None:
        with Site({"/x": page("Elsewhere")}) as other:
            site.pages["/"] = linked("Home", f"{other.url}/x")
            assert mapped(kurt, site, "--max-depth", "1") == ["/", "/about"]
            assert other.paths() == []
            assert f"{other.url}/x" in mapped(kurt, site, "--max-depth", "1", "--allow-external")

    def test_subdomains(self, kurt: Kurt, project: Path, site: Site) -> None:
        # No name on loopback has a registered domain: that the run is told of the option is what can be seen here.
        mapped(kurt, site, "--max-depth", "0")
        mapped(kurt, site, "--max-depth", "0", "--allow-subdomains")
        with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
            told = [
                json.loads(text)
                for (text,) in connection.execute("SELECT inputs FROM workflow_input ORDER BY rowid")
            ]
        assert [inputs["args"][0]["allow_subdomains"] for inputs in told] == [False, True]

    def test_private_addresses(self, kurt: Kurt, site: Site) -> None:
        refused = kurt("content", "map", site.url, code=1)
        assert "--allow-private" in refused.stderr
        assert site.paths() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to search was given"),
        (["https://example.com", "--folder", "."], "URL and --folder exclude each other"),
        (["--folder", "nothing"], "does not exist"),
        (["--folder", ".", "--method", "crawl"], "--method says nothing here: it is for sites"),
        (["--folder", ".", "--max-depth", "2"], "--max-depth says nothing here"),
        (["https://example.com", "--full"], "--full says nothing here"),
        (["https://example.com", "--max-pages", "0"], "--max-pages"),
        (["https://example.com", "--include", "re:("], "the pattern 're:(' cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    kurt: Kurt, words: list[str], said: str
) -> None:
    assert said in kurt("content", "map", *words, code=2).stderr
    assert kurt.json("workflows", "list") == []


def test_what_is_no_address_starts_no_run(kurt: Kurt) -> None:
    refused = kurt("content", "map", "docs.example.com", code=2)
    assert "'docs.example.com' is not a web address" in refused.stderr
    assert "https://" in refused.stderr
    assert kurt.json("workflows", "list") == []


def test_settings_of_the_project_stand_in_for_options(kurt: Kurt, project: Path, notes: Path) -> None:
    with (project / "kurt.config").open("a") as file:
        file.write("MAP.MAX_PAGES=1\nMAP.EXCLUDE_PATTERNS=*/one.md,*/zero.md\n")
    assert [row["title"] for row in kurt.json("content", "map", "--folder", "notes")["rows"]] == ["Two"]
    several = kurt.json("content", "map", "--folder", "notes", "--exclude", "*/two.md", "--max-pages", "9")
    assert [row["title"] for row in several["rows"]] == ["One"]


WORKFLOW = """
name: find
inputs:
  folder: {type: string, default: notes}
steps:
  - name: pages
    type: workflow
    workflow: map
    inputs: {source_folder: "${folder}"}
    output: pages
  - name: count
    type: script
    inputs: {rows: "${pages.rows}"}
    code: result = sorted(row["title"] for row in rows)
    output: titles
outputs: {titles: "${titles}", written: "${pages.rows_written}"}
"""
BY_COMMAND = """
name: find
steps:
  - name: pages
    type: cli
    command: content map
    args: {folder: notes}
    output: pages
outputs: {written: "${pages.rows_written}"}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(WORKFLOW, {"titles": ["One", "Two"], "written": 2}), (BY_COMMAND, {"written": 2})],
    ids=["workflow", "cli"],
)
def test_from_a_workflow_file(kurt: Kurt, project: Path, notes: Path, text: str, expected: Any) -> None:
    (project / "find.yaml").write_text(text)
    assert kurt.json("workflows", "validate", "find.yaml") == []
    run = kurt.json("workflows", "run", "find.yaml")
    assert run["outputs"] == expected
    assert len(stored(project)) == 2


def test_wrong_inputs_in_a_workflow_file_are_told_in_words_of_people(kurt: Kurt, project: Path) -> None:
    (project / "workflows" / "wrong.yaml").write_text(
        "steps:\n  - {workflow: map, inputs: {source_folder: notes, max_pages: many, bogus: 1}}\n"
    )
    done = kurt("workflows", "run", "wrong", "--format", "json", code=1)
    told = done.error()["message"]
    assert "the inputs do not fit map" in told
    assert "max_pages: Input should be a valid integer" in told
    assert "bogus: Extra inputs are not permitted" in told
    assert "pydantic.dev" not in told


@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_on_postgres(kurt: Kurt, url: str, notes: Path, site: Site) -> None:
    assert url.startswith("postgresql")
    assert kurt.json("content", "map", "--folder", "notes")["rows_written"] == 2
    (notes / "two.md").rename(notes / "three.md")
    (notes / "one.md").write_text("# One, edited\n")
    result = kurt.json("content", "map", "--folder", "notes")
    statuses = {row["uri"]: row["status"] for row in result["rows"]}
    assert statuses == {"file:notes/one.md": "changed", "file:notes/three.md": "renamed"}
    assert result["documents_gone"] == 1
    assert len(mapped(kurt, site)) == 6
    assert kurt.json("content", "map", site.url, "--allow-private")["documents_existing"] == 6


def test_each_workspace_has_its_own_documents(kurt: Kurt, project: Path, notes: Path) -> None:
    for workspace in ("red", "blue"):
        result = kurt.json("content", "map", "--folder", "notes", "--workspace", workspace)
        assert (result["rows_written"], result["documents_existing"]) == (2, 0)
    again = kurt.json("content", "map", "--folder", "notes", "--workspace", "red")
    assert (again["rows_written"], again["rows_updated"]) == (0, 2)
    (notes / "one.md").unlink()
    assert kurt.json("content", "map", "--folder", "notes", "--workspace", "blue")["documents_gone"] == 1
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        rows = connection.execute(
            "SELECT workspace_id, count(*) FROM map_documents WHERE status = 'GONE' GROUP BY 1"
        )
        assert list(rows) == [("blue", 1)]


def test_a_crawl_that_is_killed_goes_on(
    kurt: Kurt, project: Path, site: Site, wait_until: Callable[..., Any]
) -> None:
    count = 400
    names = [f"/p/{number}" for number in range(count)]
    site.pages |= {
        name: Page(linked(name, *names[at + 1 : at + 3]).encode(), delay=0.01)
        for at, name in enumerate(names)
    }
    site.pages["/"] = linked("Home", *names[::10])
    command = ["content", "map", site.url, "--allow-private", "--max-depth", "100"]
    running = kurt.spawn(*command)
    wait_until(lambda: len(site.hits) > 150, 60)
    running.kill()
    (run,) = kurt.json("workflows", "list")
    done = kurt.json("workflows", "resume", run["run_id"])
    assert (done["status"], done["outputs"]["total"]) == ("succeeded", count + 2)
    asked = Counter(path for path in site.paths() if path.startswith("/p/"))
    assert set(asked) == set(names)
    assert sum(asked.values()) - count <= 40  # one batch
    assert [uri.removeprefix(site.url) for uri, _ in stored(project)] == sorted(["/", "/about", *names])
