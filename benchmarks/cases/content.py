"""Fetching documents: what durability costs, what is left to do when nothing has changed, what memory it takes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Generator

from benchmarks.measure import Sample, peaks, python
from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import KURT, REPOSITORY, Bench

SITE = "BENCH_SITE"
"""Variable with the address of a real site to fetch in place of the generated one."""

PAGES = "BENCH_PAGES"
"""Variable with how many pages are fetched; of a site with more of them those that stand equally far apart."""

START = 2
"""Seconds that a command takes before its first page."""

MOST_ROUNDS = 3
"""A round takes a minute."""


@benchmark("fetch")
def fetch(bench: Bench) -> list[Figure]:
    """`kurt content fetch` of a site beside a script that fetches, extracts and stores; then once more, unchanged."""
    with _mapped(bench, 1000) as (count, chosen):
        command = ("content", "fetch", *chosen, "--allow-private", "--quiet")
        fetched, again = bench.measure(*command), bench.measure(*command, "--refetch")

        def anew() -> Sample:
            _restore(bench)
            return fetched()

        def bare() -> Sample:
            database = bench.root / "bare.sqlite"
            database.unlink(missing_ok=True)
            script = str(REPOSITORY / "benchmarks" / "bare_fetch.py")
            return bench.measure_python(script, str(bench.root / "urls.txt"), str(database))()

        samples = bench.in_turn({"kurt": anew, "bare": bare}, rounds=min(bench.rounds, MOST_ROUNDS))
        first = _done(bench, "fetched", count)
        second = bench.in_turn({"again": again}, rounds=1)["again"]
        return [*_speeds(samples, count), *_repeated(bench, second, first, count)]


@benchmark("fetch-memory")
def fetch_memory(bench: Bench) -> list[Figure]:
    """Memory of `kurt content fetch`, the process itself and the largest of its workers."""
    with _mapped(bench, 2000) as (count, chosen):
        argv = [KURT, "content", "fetch", *chosen, "--allow-private", "--quiet"]
        parent, workers = peaks(argv, bench.root, bench.environ)
        _done(bench, "fetched", count)
    detail = {"pages": float(count), "processes": float(len(workers) + 1)}
    return [
        Figure(
            what=f"memory, fetch of {count:,} pages: {who}",
            value=size / 1e6,
            unit="MB",
            budget=budget,
            detail=detail,
        )
        for who, size, budget in (("the process", parent, 200), ("its largest worker", max(workers), 300))
    ]


def _speeds(samples: dict[str, Sample], count: int) -> list[Figure]:
    kurt, yardstick = samples["kurt"], samples["bare"]
    detail = {
        "pages": float(count),
        "pages_per_cpu_s": count / kurt.cpu,
        "bare_pages_per_cpu_s": count / yardstick.cpu,
        "pages_per_s": count / kurt.wall,
        "bare_pages_per_s": count / yardstick.wall,
    }
    return [
        Figure(
            what=f"fetch of {count:,} pages, pages per CPU second",
            value=yardstick.cpu / kurt.cpu,
            unit="x",
            budget=0.8,
            more=True,
            against="aiohttp, trafilatura, SQLite without an engine",
            detail=detail,
        ),
        Figure(
            what=f"fetch of {count:,} pages, time on the clock",
            value=kurt.wall / yardstick.wall,
            unit="x",
            budget=1.25,
            against="the same script",
            detail=detail,
        ),
    ]


def _repeated(bench: Bench, again: Sample, extractions: int, count: int) -> list[Figure]:
    """Figures of a fetch of what is here already.

    Args:
        bench: where it is.
        again: what the fetch cost.
        extractions: before.
        count: of pages.
    """
    repeated = _done(bench, "unchanged", count) - extractions
    return [
        Figure(
            what=f"second fetch of {count:,} unchanged pages",
            value=again.wall,
            unit="s",
            budget=START + 18 * count / 12_000,
            detail={"cpu_s": again.cpu},
        ),
        Figure(
            what="... pages that were extracted again", value=float(repeated), unit="", budget=0, detail={}
        ),
    ]


def _done(bench: Bench, status: str, count: int) -> int:
    """How many extractions there were so far; every page must have come out so."""
    with contextlib.closing(sqlite3.connect(bench.root / ".kurt" / "kurt.sqlite")) as database:
        query = "SELECT status, error, count(*), sum(extractions) FROM fetch_documents GROUP BY 1, 2"
        rows = database.execute(query).fetchall()
    if [(row[0].lower(), row[2]) for row in rows] != [(status, count)]:
        raise RuntimeError(f"of {count} pages all should be {status}: {rows}")
    return int(rows[0][3])


@contextlib.contextmanager
def _mapped(bench: Bench, count: int) -> Generator[tuple[int, list[str]]]:
    """A project that knows a site; how many pages to fetch, and the options that choose them. `urls.txt` has them."""
    count = int(os.environ.get(PAGES, count))
    with _site(count) as url:
        bench.kurt("content", "map", url, "--method", "sitemap", "--allow-private", "--quiet")
        with contextlib.closing(sqlite3.connect(bench.root / ".kurt" / "kurt.sqlite")) as database:
            rows = database.execute("SELECT id, uri FROM documents ORDER BY uri").fetchall()
        every = max(1, len(rows) // count)
        rows = rows[::every][:count] if every > 1 else rows
        bench.write("urls.txt", "\n".join(uri for _, uri in rows))
        shutil.copytree(bench.root / ".kurt", bench.root / "mapped")
        chosen = ["--ids", ",".join(identity for identity, _ in rows)] if every > 1 else []
        yield len(rows), chosen


def _restore(bench: Bench) -> None:
    """The project as it was after the map."""
    shutil.rmtree(bench.root / ".kurt")
    shutil.rmtree(bench.root / "sources", ignore_errors=True)
    shutil.copytree(bench.root / "mapped", bench.root / ".kurt")


@contextlib.contextmanager
def _site(count: int) -> Generator[str]:
    """The address of the site: the one that was given, or one of so many pages made here."""
    if given := os.environ.get(SITE):
        yield given
        return
    process = subprocess.Popen(
        python("-m", "benchmarks.site", str(count)), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()
