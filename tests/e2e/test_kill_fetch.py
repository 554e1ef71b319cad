"""A fetch that is killed at any moment goes on where it was: no document is lost, few are asked for twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.chaos import SHORT_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.site import Page, Site, page
from tests.support.waiting import wait_until

Spawn = Callable[..., Spawned]

CONCURRENCY, BATCH = 8, 20
INPUTS = (
    *(
        "--input",
        "allow_private=true",
        "--input",
        f"concurrency={CONCURRENCY}",
        "--input",
        f"batch_size={BATCH}",
    ),
    *("--input", "per_host=8"),
)


def site_of(count: int) -> Site:
    site = Site({f"/{number}": page(f"Page {number}") for number in range(count)})
    site.pages["/sitemap.xml"] = Page(b"", "application/xml")
    return site


def write_sitemap(site: Site, count: int) -> None:
    places = "".join(f"<url><loc>{site.url}/{number}</loc></url>" for number in range(count))
    text = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'
    site.pages["/sitemap.xml"] = Page(text.encode(), "application/xml")


def asked(site: Site) -> Counter[str]:
    """How often each page was asked for."""
    return Counter(path for path in site.paths() if path[1:].isdecimal())


def query(project: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_a_killed_fetch_loses_nothing_and_repeats_little(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, chaos: Chaos
) -> None:
    pages = 150 if chaos.rounds <= SHORT_SERIES else 1000
    with site_of(pages) as site:
        write_sitemap(site, pages)
        kurt("content", "map", site.url, "--method", "sitemap", "--allow-private")
        for number in range(chaos.rounds):
            site.forget()
            run = f"killed-{number}"
            victim = spawn_kurt("workflows", "run", "fetch", *INPUTS, "--input", "full=true", "--run-id", run)
            moment = chaos.random.randrange(1, pages)
            wait_until(lambda wanted=moment: asked(site).total() >= wanted, 60)
            victim.kill()
            finished = kurt.json("workflows", "resume", run)
            assert finished["outputs"]["success_count"] == pages
            assert set(asked(site)) == {f"/{page}" for page in range(pages)}
            assert asked(site).total() - pages <= CONCURRENCY + BATCH
        check_stored(project, pages)
        undisturbed = kurt.json("content", "fetch", "--full", "--allow-private")
        assert undisturbed["unchanged_count"] == pages  # the same text, byte by byte
        assert query(project, "SELECT count(*) FROM content_vectors") == [(pages,)]


def check_stored(project: Path, pages: int) -> None:
    rows = query(project, "SELECT uri, content_path, size FROM documents WHERE state = 'fetched'")
    assert len({row[0] for row in rows}) == len(rows) == pages
    assert {(project / "sources" / row[1]).is_file() for row in rows} == {True}
    texts = list((project / "sources").rglob("*.md"))
    assert len([text for text in texts if text.name != "README.md"]) == pages
    twice = "SELECT document_id, position, count(*) FROM content_passages GROUP BY 1, 2 HAVING count(*) > 1"
    assert query(project, twice) == []


def test_text_passes_through_no_table_of_dbos(kurt: Kurt, project: Path) -> None:
    pages = 100
    with site_of(pages) as site:
        write_sitemap(site, pages)
        kurt("content", "map", site.url, "--method", "sitemap", "--allow-private")
        before = size_of_dbos(project)
        kurt("workflows", "run", "fetch", *INPUTS)
    assert (size_of_dbos(project) - before) / pages <= 1024
    for table, column in (
        ("operation_outputs", "output"),
        ("workflow_status", "output"),
        ("streams", "value"),
    ):
        assert query(
            project, f"SELECT count(*) FROM {table} WHERE {column} LIKE '%it says enough that a reader%'"
        ) == [(0,)]
    logs = "".join(log.read_text() for log in (project / ".kurt" / "logs").glob("*.log"))
    assert "it says enough that a reader" not in logs


def size_of_dbos(project: Path) -> int:
    """Bytes of values in DBOS's tables."""
    columns = {
        "operation_outputs": ("output", "error", "function_name"),
        "datasource_outputs": ("output",),
        "workflow_status": ("inputs", "output", "error"),
        "workflow_events": ("value",),
        "workflow_events_history": ("value",),
        "streams": ("value",),
    }
    there = {row[0] for row in query(project, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    total = 0
    for table in columns.keys() & there:
        have = {row[1] for row in query(project, f"PRAGMA table_info({table})")}
        sums = " + ".join(f"coalesce(sum(length({name})), 0)" for name in columns[table] if name in have)
        total += query(project, f"SELECT {sums} FROM {table}")[0][0] if sums else 0
    return total
