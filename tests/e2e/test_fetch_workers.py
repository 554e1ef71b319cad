"""Fetches on Postgres by several workers: one is killed, the other goes on; runs that mean the same documents agree."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from tests.support import durability
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.site import Handler, Page, Site, page

Spawn = Callable[..., Spawned]

PAGES, FREE = 120, 60
BATCH, CONCURRENCY = 10, 4


class Gate:
    """Holds what is asked for later of each half until the test opens it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self._asked = Counter[str]()

    def site(self) -> Site:
        return Site(
            {f"/{half}/{number}": self._page(half, number) for half in "ab" for number in range(PAGES)}
        )

    def _page(self, half: str, number: int) -> Handler:
        text = page(f"Page {half} {number}")

        async def answer(request: web.Request) -> web.StreamResponse:
            self._asked[half] += 1
            if self._asked[half] > FREE:
                await asyncio.to_thread(self.opened.wait, 100)
            return web.Response(text=text, content_type="text/html")

        return answer


def known(kurt: Kurt, project: Path, site: Site) -> None:
    """Map the site's pages."""
    urls = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in site.pages)
    text = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
    site.pages["/sitemap.xml"] = Page(text.encode(), "application/xml")
    found = kurt.json("content", "map", site.url, "--method", "sitemap", "--allow-private")
    assert found["documents_discovered"] == 2 * PAGES
    config = project / "kurt.config"
    config.write_text(config.read_text() + f"FETCH.BATCH_SIZE={BATCH}\nFETCH.CONCURRENCY={CONCURRENCY}\n")
    site.forget()


def fetch(kurt: Kurt, *words: str) -> str:
    """Put a fetch on the queue; its run."""
    return kurt.json("content", "fetch", "--allow-private", "--background", *words)["run_id"]


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def asked(site: Site) -> Counter[str]:
    return Counter(path for path in site.paths() if path[1:2] in {"a", "b"})


@pytest.mark.postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_worker_that_is_killed_leaves_its_fetch_to_another(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str, wait_until: Callable[..., Any]
) -> None:
    workers = {one.pid: one for one in (start_worker(spawn_kurt), start_worker(spawn_kurt))}
    wait_until(lambda: durability.live(project, url) == set(workers), 30, what="two workers")
    gate = Gate()
    with gate.site() as site:
        known(kurt, project, site)
        runs = [fetch(kurt, "--include", f"*/{half}/*") for half in "ab"]
        wait_until(lambda: asked(site).total() > 2 * FREE, 60, what="both at work")
        at_work = {run: pid for run, pid in durability.executors_of(project, url).items() if run in runs}
        victim = next(iter(at_work.values()))
        workers.pop(victim).kill()
        gate.opened.set()
        lost = [run for run in runs if at_work.get(run) == victim]
        results = [durability.outputs(kurt, run, limit=120) for run in runs]
        assert 0 <= asked(site).total() - 2 * PAGES <= (BATCH + CONCURRENCY) * len(lost)
        assert set(asked(site)) == {f"/{half}/{number}" for half in "ab" for number in range(PAGES)}
    assert [result["success_count"] for result in results] == [PAGES] * 2
    assert {durability.executors_of(project, url)[run] for run in lost} == set(workers)
    check_stored(project, url)


def start_worker(spawn_kurt: Spawn) -> Spawned:
    return spawn_kurt("worker", "start", "--idle-exit", "120s")


def check_stored(project: Path, url: str) -> None:
    """Each document is there once: its row, its file, its passages, its vector, its fetch."""
    stored = rows(url, "SELECT uri, content_path FROM documents WHERE state = 'fetched' AND error IS NULL")
    assert len(stored) == 2 * PAGES
    assert all((project / "sources" / path).is_file() for _, path in stored)
    texts = [text for text in (project / "sources").rglob("*.md") if text.name != "README.md"]
    assert len(texts) == 2 * PAGES
    assert rows(url, "SELECT count(*), count(DISTINCT document_id) FROM fetch_documents") == [
        (2 * PAGES,) * 2
    ]
    assert rows(url, "SELECT count(*) FROM content_vectors") == [(2 * PAGES,)]
    twice = "SELECT document_id, position FROM content_passages GROUP BY 1, 2 HAVING count(*) > 1"
    assert rows(url, twice) == []


@pytest.mark.postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_fetches_of_the_same_documents_at_once_agree(
    kurt: Kurt, spawn_kurt: Spawn, project: Path, url: str
) -> None:
    gate = Gate()
    gate.opened.set()
    with gate.site() as site:
        known(kurt, project, site)
        command = ("content", "fetch", "--full", "--allow-private", "--format", "json")
        beside = [spawn_kurt(*command) for _ in range(2)]
        runs = [fetch(kurt, "--full") for _ in range(2)]
        results = [durability.outputs(kurt, run, limit=180) for run in runs]
        assert [process.wait(120) for process in beside] == [0, 0], beside[0].stderr
        assert asked(site).total() == 4 * 2 * PAGES
    results += [json.loads(process.stdout) for process in beside]
    assert [result["success_count"] for result in results] == [2 * PAGES] * 4
    check_stored(project, url)
