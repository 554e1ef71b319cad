"""Fetch, extract, store, and nothing else: the yardstick of fetches.

`python bare_fetch.py FILE DATABASE`: pages, whose addresses stand in a file one a line, through aiohttp, trafilatura in
two processes, and SQLite. What is lost when it dies is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp

AT_ONCE, BATCH, PROCESSES = 20, 50, 2


def extract(body: bytes) -> str:
    """The Markdown of a page as the library makes it."""
    import trafilatura

    options: dict[str, Any] = {"include_links": True, "include_tables": True, "include_comments": False}
    return trafilatura.extract(body, output_format="markdown", **options) or ""


class Pipeline:
    """Pages on their way into a database."""

    def __init__(self, database: str, pool: ProcessPoolExecutor, session: aiohttp.ClientSession) -> None:
        self._database = sqlite3.connect(database)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE pages (url TEXT PRIMARY KEY, etag TEXT, hash TEXT, text TEXT)")
        self._pool = pool
        self._session = session
        self._rows: list[tuple[str, str | None, str, str]] = []

    async def work(self, urls: Iterator[str]) -> None:
        """Take pages until there is none left."""
        loop = asyncio.get_running_loop()
        for url in urls:
            async with self._session.get(url) as reply:
                body, etag = await reply.read(), reply.headers.get("ETag")
            text = await loop.run_in_executor(self._pool, extract, body)
            self._rows.append((url, etag, hashlib.sha256(text.encode()).hexdigest(), text))
            if len(self._rows) >= BATCH:
                self.store()

    def store(self) -> None:
        """Write what has come."""
        with self._database:
            self._database.executemany("INSERT INTO pages VALUES (?, ?, ?, ?)", self._rows)
        self._rows.clear()


async def run(urls: list[str], database: str) -> None:
    """Fetch all pages."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        async with aiohttp.ClientSession() as session:
            pipeline, left = Pipeline(database, pool, session), iter(urls)
            await asyncio.gather(*(pipeline.work(left) for _ in range(AT_ONCE)))
            pipeline.store()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]).read_text(encoding="utf-8").split(), sys.argv[2]))
