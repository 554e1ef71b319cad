"""A report about all documents, for those who look after them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.documents import connected
from kurt.app.primitives.files import replace_content
from kurt.content.documents import select_documents
from kurt.content.files import read_document
from kurt.content.identity import FILE, file_path, source_type_of
from kurt.content.report.findings import Material, findings
from kurt.content.report.pages import Page, page_of
from kurt.content.report.writing import html_report, markdown_report
from kurt.content.rows import FETCHED, Filter
from kurt.content.search.vectors import current_model, vectors_of
from kurt.errors import DataError, NotFoundError, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings
    from kurt.db.models import Document
    from kurt.types import JsonObject

_SUFFIXES = {".md", ".html"}


def write_report(
    settings: Settings, filters: Filter, *, output: Path, title: str, stale_days: int
) -> JsonObject:
    """Write a report as Markdown and as HTML.

    Args:
        settings: the project's.
        filters: which documents it is about.
        output: the files' name without their suffix, from the project's folder.
        title: its heading.
        stale_days: days after which a page counts as stale.

    Returns:
        the numbers of the report, and the paths `markdown` and `html`.

    Raises:
        StorageError: a file cannot be written.
    """
    with connected(settings) as connection:
        documents = select_documents(connection, filters)
        hashes = {document.content_hash for document in documents if document.content_hash}
        model = current_model()
        vectors = vectors_of(connection, model, hashes)
    found = findings(
        Material(
            documents=documents,
            pages=_pages(settings, documents),
            vectors=vectors,
            model=model if vectors else None,
            exists=lambda uri: _exists(uri, settings.root),
            now=datetime.now(UTC),
            stale_days=stale_days,
        )
    )
    base = settings.root / (output.with_suffix("") if output.suffix in _SUFFIXES else output)
    files = {"markdown": (".md", markdown_report), "html": (".html", html_report)}
    written = {name: _write(base, suffix, make(found, title)) for name, (suffix, make) in files.items()}
    return {**found.to_json(), **{name: _shown(path, settings.root) for name, path in written.items()}}


def _pages(settings: Settings, documents: Sequence[Document]) -> list[Page]:
    """The documents whose text is here; a file that somebody has removed is as if it were not fetched."""
    pages: list[Page] = []
    for document in documents:
        if document.state != FETCHED or document.content_path is None:
            continue
        try:
            _, markdown = read_document(settings.sources_dir, document.content_path)
        except NotFoundError:
            continue
        pages.append(page_of(document, markdown, _changed(document.uri, settings.root)))
    return pages


def _changed(uri: str, root: Path) -> datetime | None:
    """When a file was last changed; None for what is no file."""
    if source_type_of(uri) != FILE:
        return None
    try:
        return datetime.fromtimestamp(file_path(uri, root).stat().st_mtime, UTC)
    except (DataError, OSError):
        return None


def _exists(uri: str, root: Path) -> bool:
    try:
        return file_path(uri, root).exists()
    except (DataError, OSError):
        return False


def _write(base: Path, suffix: str, text: str) -> Path:
    target = base.with_name(base.name + suffix)
    try:
        replace_content(target, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise StorageError(
            f"{str(target)!r} cannot be written: {error.strerror}", hint="name another place with --output"
        ) from error
    return target


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
