"""What people ask of documents: list them, show one, search, delete, count."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import SQLAlchemyError

from kurt.config.current import release, use
from kurt.content import documents
from kurt.content.files import delete_document, read_document
from kurt.content.patterns import Patterns
from kurt.content.rows import Filter
from kurt.content.search import Vector, current_model, outdated, search, vector_of
from kurt.content.search.finding import MEANING, WORDS
from kurt.content.search.vectors import counts_of_vectors
from kurt.core.tenancy import tenant
from kurt.db.failures import storage_error
from kurt.db.migrate import ensure_schema
from kurt.db.sessions import managed_session
from kurt.db.tenant import tenant_of
from kurt.errors import CredentialsError, UsageError
from kurt.llm.errors import ModelError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from kurt.config import Settings
    from kurt.db.models import Document
    from kurt.types import JsonObject

_FACTS: Final = (
    "id",
    "uri",
    "title",
    "source_type",
    "language",
    "author",
    "published",
    "size",
    "content_hash",
    "fetched_at",
    "created_at",
    "error",
)

_LEXICAL_NOTE: Final = (
    "vectors are lexical: texts are near when they share words; set EMBEDDING.MODEL for a search by meaning"
)


def filter_of(given: Mapping[str, Any]) -> Filter:
    """Which documents options mean: `include`, `exclude`, `status`, `source_type`, `url_contains`, `file_ext`,
    `has_content`, `min_size`, `limit`, each of them optional; a limit of 0 is none.

    Raises:
        UsageError: a pattern cannot be read.
    """
    return Filter(
        states=tuple(given.get("status") or ()),
        source_types=tuple(given.get("source_type") or ()),
        patterns=Patterns(given.get("include"), given.get("exclude")),
        url_contains=given.get("url_contains"),
        file_ext=given.get("file_ext"),
        has_content=given.get("has_content"),
        min_size=given.get("min_size"),
        limit=given.get("limit") or None,
    )


def list_documents(settings: Settings, filters: Filter) -> list[JsonObject]:
    """The documents that are meant, by URI; `path` is the file of the text, None where nothing was fetched."""
    with connected(settings) as connection:
        found = documents.select_documents(connection, filters)
    return [{**_facts(document), "path": _path(settings, document)} for document in found]


def get_document(settings: Settings, text: str) -> JsonObject:
    """One document with its text, by id, the beginning of one, or URI; `content` is None where nothing was fetched.

    Raises:
        NotFoundError: there is none, or the file of its text is gone.
    """
    with connected(settings) as connection:
        document = documents.find_document(connection, text)
    content = None
    if document.content_path is not None:
        _, content = read_document(settings.sources_dir, document.content_path)
    return {**_facts(document), "path": _path(settings, document), "content": content}


def search_documents(
    settings: Settings, question: str, *, mode: str, filters: Filter, limit: int
) -> JsonObject:
    """The documents that answer a question best.

    Returns:
        `question`, `mode`, `model` (what made the vectors, None for a search by words), `lexical`, `note` (what to know
        about the answer, or None) and `hits`.

    Raises:
        UsageError: there is nothing to search for.
        ModelError: the question has no vector, for a search by meaning only.
    """
    if not question.strip():
        raise UsageError("nothing to search for", hint="kurt content search 'how do I rotate keys'")
    with connected(settings) as connection:
        vector, note = _vector(question, mode)
        used = mode if vector is not None else WORDS
        hits = search(connection, question, mode=used, vector=vector, filters=filters, limit=limit)
        note = note or _note(connection, vector, found=bool(hits))
    return {
        "question": question,
        "mode": used,
        "model": vector.model if vector else None,
        "lexical": vector is not None and vector.is_lexical,
        "note": note,
        "hits": [hit.to_json() for hit in hits],
    }


def delete_documents(
    settings: Settings, names: Sequence[str], filters: Filter, *, everything: bool, dry_run: bool
) -> JsonObject:
    """Delete documents with their texts, passages and vectors.

    Args:
        settings: the project's.
        names: ids, beginnings of ids, URIs; all of them must be there.
        filters: other documents, or which of those.
        everything: without names and filters, all documents.
        dry_run: only tell which.

    Raises:
        UsageError: nothing says which documents.
        NotFoundError: one of the names is no document's; nothing is deleted.
    """
    if not names and filters == Filter(patterns=filters.patterns) and not filters.patterns and not everything:
        raise UsageError(
            "nothing says which documents to delete", hint="name their ids, or a filter, or --all"
        )
    with connected(settings) as connection:
        chosen = [documents.find_document(connection, name).id for name in names]
        meant = documents.select_documents(connection, _within(filters, chosen))
        paths = [] if dry_run else documents.delete_documents(connection, [document.id for document in meant])
        # Before the rows are gone for good: a file that nobody knows would stay for ever, while a row whose file is
        # missing is deleted by the next such command, or gets its text again by a fetch.
        for path in paths:
            delete_document(settings.sources_dir, path)
    rows = [{"id": document.id, "uri": document.uri, "title": document.title} for document in meant]
    return {"dry_run": dry_run, "deleted": 0 if dry_run else len(rows), "total": len(rows), "rows": rows}


def statistics(settings: Settings) -> JsonObject:
    """Numbers about all documents, and about what searches know of them."""
    with connected(settings) as connection:
        return {
            **documents.stats(connection),
            "not_indexed": len(outdated(connection)),
            "vectors": counts_of_vectors(connection),
            "embedding_model": current_model(),
        }


@contextmanager
def connected(settings: Settings) -> Generator[sa.Connection]:
    """A transaction on the project's database, as the tenant that the settings name."""
    ensure_schema(settings)
    whose = tenant_of(settings)
    use(settings)
    try:
        with (
            tenant(user_id=whose.user_id, workspace_id=whose.workspace_id),
            managed_session(settings) as session,
        ):
            yield session.connection()
    except SQLAlchemyError as error:
        raise storage_error(settings, error) from error
    finally:
        release(settings)


def _within(filters: Filter, ids: Sequence[str]) -> Filter:
    from dataclasses import replace  # noqa: PLC0415 - one use

    return replace(filters, ids=ids)


def _facts(document: Document) -> JsonObject:
    facts = {name: getattr(document, name) for name in _FACTS}
    return {"id": facts.pop("id"), "status": document.state, **facts}


def _path(settings: Settings, document: Document) -> str | None:
    """The file of the text, from the project's folder where it is in it."""
    if document.content_path is None:
        return None
    path = settings.sources_dir / document.content_path
    return str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path)


def _vector(question: str, mode: str) -> tuple[Vector | None, str | None]:
    """The question's vector, and why there is none."""
    if mode == WORDS:
        return None, None
    try:
        return vector_of(question), None
    except (ModelError, CredentialsError) as error:
        if mode == MEANING:
            raise
        return None, f"found by words only: {error.message}"


def _note(connection: sa.Connection, vector: Vector | None, *, found: bool) -> str | None:
    """What people should know about an answer."""
    if not found:
        facts = documents.stats(connection)
        if not facts["total"]:
            return "there are no documents yet: kurt content map URL, then kurt content fetch"
        if not facts["with_content"]:
            return f"none of the {facts['total']:,} documents has been fetched yet: kurt content fetch"
    return _LEXICAL_NOTE if vector is not None and vector.is_lexical else None
