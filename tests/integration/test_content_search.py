"""Searching documents on both back ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from kurt.config import Settings
from kurt.content.documents import (
    Fetched,
    Filter,
    Found,
    delete_documents,
    mark_gone,
    record_fetched,
    upsert_found,
)
from kurt.content.markdown import content_hash
from kurt.content.patterns import Patterns
from kurt.content.search import (
    Hit,
    Text,
    Vector,
    current_model,
    index,
    missing_vectors,
    outdated,
    search,
    store_vectors,
    vector_of,
)
from kurt.core.embeddings import embedding_to_bytes, generate_embeddings
from kurt.core.tenancy import tenant
from kurt.db.sessions import dispose_engines, managed_session
from kurt.errors import UsageError

DOCS = {
    "https://example.com/keys": ("Managing keys", "# Keys\n\nTo rotate a key, run `kurt keys rotate`.\n\n## Why\n\nKeys grow old."),
    "https://example.com/install": ("Installing", "Run the installer. A key is not needed.\n\n# Windows\n\nUse the store."),
    "https://example.com/cars": ("Automobiles", "The red automobile is rotated by hand. Café prices."),
    "file:notes/empty.md": (None, ""),
}  # fmt: skip


@pytest.fixture
def connection(database: Settings) -> Iterator[sa.Connection]:
    with tenant(), managed_session(database) as session:
        yield session.connection()
        session.rollback()
    dispose_engines()


def store(connection: sa.Connection, docs: dict[str, tuple[str | None, str]]) -> dict[str, str]:
    """Store, index and embed documents; their ids by URI."""
    found = upsert_found(connection, [Found(uri, title=title) for uri, (title, _) in docs.items()])
    ids = {uri: reference.id for uri, reference in found.items()}
    hashes = {uri: content_hash(text) for uri, (_, text) in docs.items()}
    record_fetched(connection, [Fetched(ids[uri], f"{ids[uri]}.md", hashes[uri], 1) for uri in docs])
    index(connection, [Text(ids[uri], title, text) for uri, (title, text) in docs.items()])
    vectors = generate_embeddings([text for _, text in docs.values()])
    stored = {hashes[uri]: embedding_to_bytes(vector) for uri, vector in zip(docs, vectors, strict=True)}
    store_vectors(connection, current_model(), stored)
    return ids


@pytest.fixture
def ids(connection: sa.Connection) -> dict[str, str]:
    return store(connection, DOCS)


def names(hits: list[Hit]) -> list[str]:
    return [hit.uri.rpartition("/")[2] for hit in hits]


@pytest.mark.parametrize(
    ("question", "first", "count"),
    [
        ("how do I rotate keys?", "keys", 3),
        ("rotating", "keys", 2),
        ('"rotate a key"', "keys", 1),
        ("automobiles", "cars", 1),
        ("cafe", "cars", 1),
        ("installer", "install", 1),
        ("nothing-of-this-kind", None, 0),
        ("zebra", None, 0),
        ("", None, 0),
        ("'\"*():^-", None, 0),
        ("NOT zebra AND", None, 0),
    ],
)
def test_words(
    connection: sa.Connection, ids: dict[str, str], question: str, first: str | None, count: int
) -> None:
    if question == "cafe" and connection.dialect.name == "postgresql":
        pytest.skip("Postgres keeps accents apart without an extension of its own")
    hits = search(connection, question, mode="words")
    assert names(hits)[:1] == ([first] if first else names(hits)[:1])
    assert len(hits) == count


def test_a_hit_shows_title_address_heading_and_passage(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    [hit] = search(connection, "grow old", mode="words")
    assert (hit.id, hit.uri) == (ids["https://example.com/keys"], "https://example.com/keys")
    assert (hit.title, hit.heading, hit.passage) == ("Managing keys", "Why", "Keys grow old.")
    assert hit.to_json()["found_by"] == ["words"]
    assert hit.score > 0


def test_the_title_counts_more_than_the_text(connection: sa.Connection, ids: dict[str, str]) -> None:
    assert names(search(connection, "key", mode="words"))[0] == "keys"


def test_vectors_find_what_is_near(connection: sa.Connection, ids: dict[str, str]) -> None:
    vector = vector_of("red automobile")
    assert vector.is_lexical
    hits = search(connection, "red automobile", mode="meaning", vector=vector)
    assert names(hits)[0] == "cars"
    assert "empty.md" not in names(hits)
    assert hits[0].passage.startswith("The red automobile")
    assert hits[0].found_by == ("meaning",)


def test_both_are_merged(connection: sa.Connection, ids: dict[str, str]) -> None:
    hits = search(connection, "rotate a key", vector=vector_of("rotate a key"))
    assert names(hits)[0] == "keys"
    assert hits[0].found_by == ("words", "meaning")
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.id for hit in hits}) == len(hits)


def test_vectors_of_another_model_or_length_are_not_compared(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    assert search(connection, "red", mode="meaning", vector=Vector("other/model", [1.0] * 512)) == []
    assert search(connection, "red", mode="meaning", vector=Vector(current_model(), [1.0] * 3)) == []
    assert search(connection, "red", mode="meaning", vector=Vector(current_model(), [0.0] * 512)) == []


def test_filters_and_limit(connection: sa.Connection, ids: dict[str, str]) -> None:
    words = {"mode": "words"}
    assert names(search(connection, "key", limit=1, **words)) == ["keys"]
    installs = Filter(patterns=Patterns("*/install"))
    assert names(search(connection, "key", filters=installs, **words)) == ["install"]
    assert search(connection, "key", filters=Filter(source_types=["file"]), **words) == []


def test_a_changed_text_takes_the_place_of_the_old_one(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    index(connection, [Text(ids["https://example.com/keys"], "Bicycles", "All about wheels")])
    assert names(search(connection, "wheels", mode="words")) == ["keys"]
    assert names(search(connection, "rotate", mode="words")) == ["cars"]


def test_what_is_gone_or_deleted_is_not_found(connection: sa.Connection, ids: dict[str, str]) -> None:
    mark_gone(connection, [ids["https://example.com/cars"]])
    assert search(connection, "automobile", vector=vector_of("automobile")) == []
    assert names(search(connection, "automobile", mode="words", filters=Filter(states=["gone"]))) == ["cars"]
    hashed = content_hash(DOCS["https://example.com/keys"][1])
    assert missing_vectors(connection, current_model(), [hashed, "none"]) == {"none"}
    delete_documents(connection, list(ids.values()))
    assert search(connection, "key", mode="words") == []
    assert missing_vectors(connection, current_model(), [hashed]) == {hashed}
    assert connection.execute(sa.text("SELECT count(*) FROM content_passages")).scalar() == 0


def test_a_vector_stays_while_another_document_has_the_text(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    keys = "https://example.com/keys"
    store(connection, {"https://example.com/copy": DOCS[keys]})
    delete_documents(connection, [ids[keys]])
    assert missing_vectors(connection, current_model(), [content_hash(DOCS[keys][1])]) == set()


def test_documents_that_words_do_not_know_are_told(connection: sa.Connection, ids: dict[str, str]) -> None:
    assert outdated(connection) == []
    connection.execute(sa.text("DELETE FROM content_passages"))
    assert outdated(connection, limit=3) == [ids[uri] for uri in sorted(DOCS)[:3]]
    assert search(connection, "key", mode="words") == []


def test_a_workspace_finds_its_own_documents_only(connection: sa.Connection, ids: dict[str, str]) -> None:
    with tenant(workspace_id="acme"):
        assert search(connection, "key", vector=vector_of("key")) == []
        theirs = store(connection, {"https://example.com/theirs": ("Theirs", "their key")})
        assert names(search(connection, "key", vector=vector_of("key"))) == ["theirs"]
    assert "theirs" not in names(search(connection, "key", vector=vector_of("key")))
    assert theirs


def test_texts_that_databases_refuse_are_indexed_all_the_same(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    index(connection, [Text(ids["https://example.com/keys"], "a\0b", "wheels\0 \ud800 " + "x" * 100_000)])
    assert names(search(connection, "wheels", mode="words")) == ["keys"]


def test_wrong_questions_are_usage_errors(connection: sa.Connection) -> None:
    with pytest.raises(UsageError, match="no mode 'sense'"):
        search(connection, "x", mode="sense")
    with pytest.raises(UsageError, match="needs the vector"):
        search(connection, "x", mode="both")
