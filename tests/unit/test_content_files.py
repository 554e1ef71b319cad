"""The texts of documents as files, and what names, hashes and front matter they have."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.content.files import Stored, content_hash, delete_document, read_document, write_document
from kurt.content.markdown import clean, first_heading, front_matter
from kurt.content.names import relative_name
from kurt.core.tenancy import tenant
from kurt.errors import DataError, NotFoundError, StorageError


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://docs.example.com/guides/keys", "docs.example.com/guides/keys.md"),
        ("https://docs.example.com/guides/keys/", "docs.example.com/guides/keys/index.md"),
        ("https://docs.example.com/guides/keys.html", "docs.example.com/guides/keys.html.md"),
        ("https://docs.example.com/guides/index", "docs.example.com/guides/index-*.md"),
        ("https://docs.example.com/a?page=2", "docs.example.com/a-page-2-*.md"),
        ("https://docs.example.com/A", "docs.example.com/a-*.md"),
        ("https://docs.example.com/%C3%BCber", "docs.example.com/über.md"),
        ("https://docs.example.com/a.md", "docs.example.com/a-*.md"),
        ("https://docs.example.com/a.md/b", "docs.example.com/a_md/b-*.md"),
        ("https://docs.example.com/%2e%2e%2Fb", "docs.example.com/b-*.md"),
        ("https://docs.example.com/.git/config", "docs.example.com/git/config-*.md"),
        ("http://127.0.0.1:8000/a", "127.0.0.1_8000/a.md"),
        ("http://example.com/a", "example.com_80/a.md"),
        ("file:notes/a.md", "_files/notes/a.md"),
        ("file:notes/a.pdf", "_files/notes/a.pdf-*.md"),
        ("file:///else where/a.md", "_files/else-where/a-*.md"),
        ("cms://sanity/prod/post/Ab-1", "_cms/sanity/prod/post/ab-1-*.md"),
    ],
)
def test_a_file_is_named_after_its_document(uri: str, name: str) -> None:
    made = relative_name(uri)
    start, star, _ = name.partition("*")
    assert made == name if not star else made.startswith(start) and len(made) == len(start) + 8 + 3


def test_the_first_page_of_a_site_has_a_name() -> None:
    assert relative_name("https://example.com/") == "example.com/index.md"


SEGMENT = st.sampled_from(
    ["a", "A", "a.md", "", ".", "index", "a b", "ü", "a_md", "%2E", "x" * 200, "a-b", "a.b"]
)


@given(
    st.lists(st.tuples(st.lists(SEGMENT, max_size=4), st.sampled_from(["", "?a", "?A", "?a=b"])), max_size=8)
)
def test_two_documents_never_have_one_name(parts: list[tuple[list[str], str]]) -> None:
    from kurt.content.identity import canonical_url

    uris = {canonical_url(f"https://example.com/{'/'.join(path)}{query}") for path, query in parts}
    uris |= {f"file:{'/'.join(path)}" for path, _ in parts if any(path)}
    names = [relative_name(uri) for uri in uris]
    assert len({name.casefold() for name in names}) == len(names)
    folders = {name.rsplit("/", up)[0] for name in names for up in range(1, name.count("/") + 1)}
    assert not folders & set(names)


def test_text_is_written_with_its_facts_and_read_back(tmp_path: Path) -> None:
    stored = Stored(
        "https://example.com/a",
        "# Title\r\n\r\nText  \n\n\n",
        title='A "title": with\nall',
        published="2026-01-02",
    )
    name = write_document(tmp_path, stored)
    assert name == "example.com/a.md"
    facts, markdown = read_document(tmp_path, name)
    assert facts == {
        "title": 'A "title": with\nall',
        "uri": "https://example.com/a",
        "published": "2026-01-02",
    }
    assert markdown == "# Title\n\nText\n"
    assert content_hash(markdown) == content_hash(stored.markdown)
    assert [path.name for path in (tmp_path / "example.com").iterdir()] == ["a.md"]
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o644


def test_a_file_that_says_the_same_is_not_touched(tmp_path: Path) -> None:
    stored = Stored("https://example.com/a", "text")
    path = tmp_path / write_document(tmp_path, stored)
    before = path.stat()
    write_document(tmp_path, stored, synced=True)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_document(tmp_path, Stored("https://example.com/a", "other"))
    assert path.stat().st_ino != before.st_ino


def test_each_workspace_has_files_of_its_own(tmp_path: Path) -> None:
    stored = Stored("https://example.com/a", "text")
    names = set()
    for workspace in ("Acme", "acme", None):
        with tenant(workspace_id=workspace):
            names.add(write_document(tmp_path, stored))
    assert len({name.casefold() for name in names}) == 3


def test_a_document_is_deleted_with_the_folders_that_it_leaves_empty(tmp_path: Path) -> None:
    first = write_document(tmp_path, Stored("https://example.com/a/b/c", "text"))
    write_document(tmp_path, Stored("https://example.com/a/d", "text"))
    assert delete_document(tmp_path, first) is True
    assert delete_document(tmp_path, first) is False
    assert sorted(path.name for path in (tmp_path / "example.com/a").iterdir()) == ["d.md"]


def test_no_path_leads_out_of_the_folder_of_sources(tmp_path: Path) -> None:
    root = tmp_path / "sources"
    root.mkdir()
    (tmp_path / "secret.md").write_text("x")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    for path in ("../secret.md", "link.md", str(tmp_path / "secret.md")):
        with pytest.raises(DataError, match="leads out"):
            read_document(root, path)
        with pytest.raises(DataError, match="leads out"):
            delete_document(root, path)
    assert (tmp_path / "secret.md").exists()


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="the text of the document is gone"):
        read_document(tmp_path, "none.md")
    (tmp_path / "bad.md").write_bytes(b"\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_document(tmp_path, "bad.md")
    (tmp_path / "example.com").write_text("a file in the place of a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        write_document(tmp_path, Stored("https://example.com/a", "text"))


@pytest.mark.parametrize(
    "other", ["# A\r\n\r\ntext\r\n", "\ufeff# A\n\ntext", "\n\n# A\n\ntext  \n\n", "# A\n\ntext\n\0"]
)
def test_one_text_has_one_hash(other: str) -> None:
    assert content_hash(other) == content_hash("# A\n\ntext\n")


def test_texts_that_differ_have_other_hashes() -> None:
    texts = ["a", "b", "a b", "a\nb", "    a", ""]
    assert len({content_hash(text) for text in texts}) == len(texts)
    assert content_hash("u\u0308") == content_hash("\u00fc")


def test_cleaning_is_done_once() -> None:
    assert clean(clean("  a\r\n b \n\n")) == clean("  a\r\n b \n\n") == "  a\n b\n"
    assert clean(" \n ") == ""


@pytest.mark.parametrize(
    ("text", "facts", "body"),
    [
        ("---\ntitle: A\ndate: 2026-01-02\n---\n\ntext", {"title": "A", "date": "2026-01-02"}, "text"),
        ("\ufeff---\r\ntags: [a, 1]\r\n---\r\ntext", {"tags": ["a", 1]}, "text"),
        ("---\ntitle: [\n---\ntext", {}, "text"),
        ("---\na: &x [1]\nb: *x\n---\ntext", {}, "text"),
        ("---\n- a\n---\ntext", {}, "text"),
        ("---\n---\ntext", {}, "text"),
        ("---\ntitle: A\n", {}, "---\ntitle: A\n"),
        ("text\n---\na: 1\n---\n", {}, "text\n---\na: 1\n---\n"),
        ("---\na: !!python/name:os.system x\n---\ntext", {}, "text"),
    ],
)
def test_front_matter(text: str, facts: object, body: str) -> None:
    assert front_matter(text) == (facts, body)


def test_the_first_heading_is_a_title() -> None:
    assert first_heading("text\n\n## Two\n\n# One #\n") == "One"
    assert first_heading("#tag\n") is None
