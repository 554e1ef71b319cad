"""Mapping folders: real runs on real files."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from kurt.db import managed_session
from kurt.db.models import Document
from kurt.errors import KurtError
from kurt.workflows.map import MapDocument, run_map


@pytest.fixture
def notes(tmp_kurt_project: Path) -> Path:
    """A folder in the project, with three files."""
    folder = tmp_kurt_project / "notes"
    for name, text in {"a.md": "# Alpha\n\nOne.", "b.md": "no heading", "deep/er/c.md": "# Gamma\n"}.items():
        write(folder / name, text)
    return folder


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def run(folder: Path | str, **config: Any) -> dict[str, Any]:
    return run_map({"source_folder": str(folder), **config})


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["uri"]: row["status"] for row in result["rows"]}


def states() -> dict[str, str]:
    with managed_session() as session:
        return {one.uri: one.state for one in session.exec(select(Document)).all()}


def test_documents_are_stored_with_addresses_from_the_project(notes: Path) -> None:
    result = run(notes)
    assert {row["uri"]: row["title"] for row in result["rows"]} == {
        "file:notes/a.md": "Alpha",
        "file:notes/b.md": "b",
        "file:notes/deep/er/c.md": "Gamma",
    }
    assert (result["discovery_method"], result["discovery_url"]) == ("folder", "file:notes")
    with managed_session() as session:
        documents = session.exec(select(Document)).all()
        found = session.exec(select(MapDocument)).all()
    assert {one.source_type for one in documents} == {"file"}
    assert (
        {one.id for one in documents}
        == {row["id"] for row in result["rows"]}
        == {one.document_id for one in found}
    )


DOCX = """<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A letter</dc:title></cp:coreProperties>"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": ["1"]},
        {"cell_type": "markdown", "source": ["# A note\n", "x"]},
    ]
}


def docx(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("docProps/core.xml", DOCX)


def pdf(path: Path) -> None:
    import pypdfium2

    with pypdfium2.PdfDocument.new() as document:
        document.new_page(10, 10)
        document.save(path)


def test_each_kind_of_file_and_its_title(tmp_kurt_project: Path) -> None:
    folder = tmp_kurt_project / "kinds"
    write(
        folder / "matter.md",
        "---\ntitle: From the head\nauthor: Ann\ndate: 2026-01-02\nlang: de\n---\n# Other\n",
    )
    write(folder / "c.mdx", "import X from 'x'\n\n# Component\n")
    write(folder / "page.html", "<html><head><title>A  page</title></head></html>")
    write(folder / "book.ipynb", json.dumps(NOTEBOOK))
    write(folder / "broken.ipynb", "{")
    write(folder / "plain.txt", "\nFirst line\nsecond")
    docx(folder / "letter.docx")
    write(folder / "no-docx_at-all.docx", b"PK\x03\x04 no")
    pdf(folder / "paper.pdf")
    write(folder / "broken.pdf", b"%PDF-1.4 no")
    for name in ("photo.png", "data.json", ".hidden.md", "node_modules/x.md", ".git/y.md"):
        write(folder / name, "# No")
    titles = {row["uri"].removeprefix("file:kinds/"): row["title"] for row in run(folder)["rows"]}
    assert titles == {
        "matter.md": "From the head",
        "c.mdx": "Component",
        "page.html": "A page",
        "book.ipynb": "A note",
        "broken.ipynb": "broken",
        "plain.txt": "First line",
        "letter.docx": "A letter",
        "no-docx_at-all.docx": "no docx at all",
        "paper.pdf": "paper",
        "broken.pdf": "broken",
    }
    with managed_session() as session:
        one = session.exec(select(Document).where(Document.uri == "file:kinds/matter.md")).one()
    assert (one.author, one.published, one.language) == ("Ann", "2026-01-02", "de")


def test_what_became_of_files_is_recognised(notes: Path) -> None:
    run(notes)
    write(notes / "a.md", "# Alpha\n\nEdited.")
    (notes / "b.md").rename(notes / "renamed.md")
    (notes / "deep/er/c.md").unlink()
    write(notes / "new.md", "# New\n")
    result = run(notes)
    assert statuses(result) == {
        "file:notes/a.md": "changed",
        "file:notes/renamed.md": "renamed",
        "file:notes/new.md": "discovered",
    }
    counted = ("changed", "renamed", "gone", "discovered", "existing", "errors")
    assert [result[f"documents_{name}"] for name in counted] == [1, 1, 2, 2, 1, 0]
    assert states() == {
        "file:notes/a.md": "discovered",
        "file:notes/b.md": "gone",
        "file:notes/deep/er/c.md": "gone",
        "file:notes/renamed.md": "discovered",
        "file:notes/new.md": "discovered",
    }
    with managed_session() as session:
        moved = session.exec(select(MapDocument).where(MapDocument.uri == "file:notes/renamed.md")).one()
    assert moved.moved_from == "file:notes/b.md"
    again = run(notes)
    assert (again["documents_gone"], again["documents_changed"], again["documents_existing"]) == (0, 0, 3)


def test_a_file_that_was_only_touched_is_the_same(notes: Path) -> None:
    run(notes)
    os.utime(notes / "a.md", (1, 1))
    result = run(notes)
    assert set(statuses(result).values()) == {"existing"}


def test_a_file_that_comes_back_is_found_again(notes: Path) -> None:
    run(notes)
    (notes / "a.md").unlink()
    assert run(notes)["documents_gone"] == 1
    write(notes / "a.md", "# Alpha again\n")
    assert statuses(run(notes))["file:notes/a.md"] == "discovered"
    assert states()["file:notes/a.md"] == "discovered"


def test_files_that_a_pattern_leaves_out_are_not_gone(notes: Path) -> None:
    run(notes)
    result = run(notes, include_patterns="*/a.md")
    assert (list(statuses(result)), result["documents_gone"]) == (["file:notes/a.md"], 0)
    assert set(states().values()) == {"discovered"}


def test_a_folder_inside_knows_what_a_run_over_all_has_found(notes: Path, tmp_kurt_project: Path) -> None:
    run(tmp_kurt_project)
    (notes / "deep/er/c.md").unlink()
    assert run(notes / "deep")["documents_gone"] == 1


def test_links_are_not_followed_out(
    notes: Path, tmp_kurt_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "secret.md", "# Secret\n")
    (notes / "out.md").symlink_to(outside / "secret.md")
    (notes / "outdir").symlink_to(outside, target_is_directory=True)
    (notes / "loop").symlink_to(notes, target_is_directory=True)
    (notes / "broken.md").symlink_to(notes / "nothing.md")
    (notes / "inside.md").symlink_to(notes / "a.md")
    assert sorted(statuses(run(notes))) == [
        "file:notes/a.md",
        "file:notes/b.md",
        "file:notes/deep/er/c.md",
        "file:notes/inside.md",
    ]


def test_a_folder_outside_of_the_project(
    tmp_kurt_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere")
    write(outside / "a b.md", "# A\n")
    assert list(statuses(run(outside))) == [f"file://{outside}/a b.md"]
    (outside / "a b.md").unlink()
    assert run(outside)["documents_gone"] == 1


def test_the_folder_of_texts_is_passed_over_in_a_run_over_all(notes: Path, tmp_kurt_project: Path) -> None:
    write(tmp_kurt_project / "sources" / "example.com" / "page.md", "# Fetched\n")
    assert all(uri.startswith("file:notes/") for uri in statuses(run(tmp_kurt_project)))
    assert list(statuses(run(tmp_kurt_project / "sources"))) == ["file:sources/example.com/page.md"]


def test_a_relative_folder_is_one_of_the_working_directory(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notes)
    assert list(statuses(run("deep"))) == ["file:notes/deep/er/c.md"]


@pytest.mark.parametrize("name", ["nothing", "a.md"])
def test_what_is_no_folder(notes: Path, name: str) -> None:
    with pytest.raises(KurtError, match=r"there is no folder|is a file"):
        run(notes / name)


def test_the_number_of_files_is_kept(notes: Path) -> None:
    result = run(notes, max_pages=2)
    assert (result["total"], result["truncated"]) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_an_error(notes: Path) -> None:
    (notes / "a.md").chmod(0)
    result = run(notes)
    assert (result["total"], result["documents_errors"]) == (2, 1)
    assert "cannot be read" in result["errors"][0]["error"]


def test_many_files(tmp_kurt_project: Path) -> None:
    folder = tmp_kurt_project / "many"
    for number in range(5_000):
        write(
            folder / f"{number % 50}" / f"{number}.md",
            f"---\ntitle: Note {number}\n---\n# Note\n\n{'word ' * 300}",
        )
    result = run(folder)
    assert (result["total"], result["rows_written"]) == (5_000, 5_000)
    again = run(folder)
    assert (again["documents_discovered"], again["documents_existing"]) == (0, 5_000)
    assert Counter(row["status"] for row in again["rows"]) == {"existing": 5_000}
