"""Deleting documents that dies in the middle leaves nothing that nobody knows; texts that were removed come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.cli import Kurt
from tests.support.site import Site, page

COUNT = 300


def texts(project: Path) -> list[Path]:
    return sorted(path for path in (project / "sources").rglob("*.md") if path.name != "README.md")


def rows(project: Path) -> int:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])


def test_a_deletion_that_is_killed_is_finished_by_the_next(
    kurt: Kurt, project: Path, wait_until: Callable[..., Any]
) -> None:
    (project / "notes").mkdir()
    for number in range(COUNT):
        (project / "notes" / f"{number}.md").write_text(f"# Note {number}\n\nIts text.\n")
    kurt("content", "map", "--folder", "notes")
    kurt("content", "fetch", "--no-embed")
    assert len(texts(project)) == rows(project) == COUNT
    victim = kurt.spawn("content", "delete", "--all")
    wait_until(lambda: len(texts(project)) < COUNT or not victim.running, 30, pause=0.0)
    victim.kill()
    assert len(texts(project)) <= rows(project)  # no file without its row
    kurt("content", "delete", "--all")
    assert (texts(project), rows(project)) == ([], 0)


def test_a_file_that_cannot_be_removed_keeps_its_row(kurt: Kurt, project: Path) -> None:
    (project / "note.md").write_text("# Note\n\nIts text.\n")
    kurt("content", "fetch", "--file", "note.md")
    [text] = texts(project)
    text.unlink()
    text.mkdir()
    refused = kurt("content", "delete", "--all", code=1)
    assert "cannot be removed" in refused.stderr
    assert rows(project) == 1
    text.rmdir()
    kurt("content", "delete", "--all")
    assert rows(project) == 0


def test_a_text_that_somebody_has_removed_is_asked_for_again(kurt: Kurt, project: Path) -> None:
    with Site({"/": page("Tea")}) as site:
        kurt("content", "fetch", "--url", f"{site.url}/", "--allow-private")
        [text] = texts(project)
        before = text.read_bytes()
        text.unlink()
        again = kurt.json("content", "fetch", "--refetch", "--allow-private")
        assert again["rows"][0]["status"] == "fetched"
        assert site.paths(304) == []
    assert text.read_bytes() == before
