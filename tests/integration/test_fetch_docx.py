"""Word files: found, read and kept with their structure; each that cannot be read is the error of its document."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kurt.workflows.fetch import run_fetch
from kurt.workflows.map import run_map
from tests.support.cli import Kurt
from tests.support.site import Page, Site
from tests.support.word import docx, heading, item, link, paragraph, table

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
needs_library = pytest.mark.skipif(
    find_spec("mammoth") is None, reason="needs the library mammoth, which is not here"
)

LETTER = docx(
    heading("Tea"),
    paragraph("Green tea is <steamed> & rolled.".replace("&", "&amp;").replace("<", "&lt;")),
    heading("Kinds", 2),
    item("Green"),
    item("Black"),
    link("More of it"),
    table(("Kind", "Minutes"), ("Green", "3")),
    title="All about tea",
)

TEXT = """# Tea

Green tea is <steamed> & rolled.

## Kinds

- Green
- Black

[More of it](https://tea.example/green)

| Kind | Minutes |
| --- | --- |
| Green | 3 |
"""


def fetch_files(project: Path, **files: bytes) -> dict[str, dict[str, Any]]:
    """Map a folder of Word files and fetch them: rows by name."""
    folder = project / "letters"
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.docx").write_bytes(data)
    found = run_map({"source_folder": str(folder)})
    assert found["total"] == len(files)
    return {Path(row["uri"]).stem: row for row in run_fetch(found["rows"], {"embed": False})["rows"]}


def body(project: Path, row: dict[str, Any]) -> str:
    return (project / "sources" / row["path"]).read_text().split("---\n\n", 1)[1]


@needs_library
def test_a_word_file_keeps_its_structure(tmp_kurt_project: Path) -> None:
    row = fetch_files(tmp_kurt_project, letter=LETTER)["letter"]
    assert (row["status"], row["title"]) == ("fetched", "All about tea")
    assert body(tmp_kurt_project, row) == TEXT
    head = (tmp_kurt_project / "sources" / row["path"]).read_text().split("---\n")[1]
    assert "author: Ann Leaf" in head
    assert "published: '2026-01-02'" in head


@needs_library
def test_a_file_without_a_title_has_that_of_its_first_heading(tmp_kurt_project: Path) -> None:
    rows = fetch_files(tmp_kurt_project, letter=docx(heading("Black tea"), paragraph("It is strong.")))
    assert rows["letter"]["title"] == "Black tea"


@needs_library
def test_a_word_file_of_a_site_is_read(tmp_kurt_project: Path) -> None:
    pages = {"/a.docx": Page(LETTER, WORD), "/b.docx": Page(LETTER, "application/octet-stream")}
    with Site(pages) as site:
        result = run_fetch([f"{site.url}{path}" for path in pages], {"allow_private": True, "embed": False})
    assert [row["title"] for row in result["rows"]] == ["All about tea"] * 2


@needs_library
def test_a_file_that_cannot_be_read_is_the_error_of_its_document(tmp_kurt_project: Path) -> None:
    rows = fetch_files(
        tmp_kurt_project,
        good=LETTER,
        cut=LETTER[: len(LETTER) // 2],
        old=b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        broken=docx("<w:p><w:r></w:p>"),
        empty=docx(),
        bomb=docx(paragraph("Tea."), more={"word/media/large.bin": bytes(250_000_000)}),
    )
    assert rows.pop("good")["status"] == "fetched"
    assert {row["status"] for row in rows.values()} == {"error"}
    for name in ("cut", "old", "broken"):
        assert "the Word file cannot be read" in rows[name]["error"]
        assert "save it as .docx" in rows[name]["error"]
    assert "no text" in rows["empty"]["error"]
    assert "after decompression" in rows["bomb"]["error"]


def test_without_the_library_the_command_that_installs_it_is_named(
    kurt: Kurt, project: Path, tmp_path: Path
) -> None:
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "mammoth.py").write_text("raise ImportError('it is not installed')")
    (project / "letter.docx").write_bytes(LETTER)
    words = ("content", "fetch", "--file", "letter.docx", "--format", "json")
    row = kurt(*words, code=1, env={"PYTHONPATH": str(lacking)}).json()["rows"][0]
    assert row["status"] == "error"
    assert "pip install 'kurt[office]'" in row["error"]
