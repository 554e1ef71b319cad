"""The table of documents on both back ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from kurt.config import Settings
from kurt.content.documents import (
    Fetched,
    Filter,
    Found,
    delete_documents,
    find_document,
    mark_gone,
    record_failed,
    record_fetched,
    record_unchanged,
    select_documents,
    select_ids,
    stats,
    upsert_found,
)
from kurt.content.identity import document_id
from kurt.content.patterns import Patterns
from kurt.core.tenancy import tenant
from kurt.db.models import utc_now
from kurt.db.sessions import dispose_engines, managed_session
from kurt.errors import AmbiguousIdError, NotFoundError, UsageError

A, B, C = "https://example.com/a", "https://example.com/b.html", "file:notes/c.md"


@pytest.fixture
def connection(database: Settings) -> Iterator[sa.Connection]:
    with tenant(), managed_session(database) as session:
        yield session.connection()
        session.rollback()
    dispose_engines()


@pytest.fixture
def ids(connection: sa.Connection) -> dict[str, str]:
    """Three documents: by URI, their ids."""
    found = upsert_found(connection, [Found(A, title="A"), Found(B), Found(C, "file", title="C")])
    return {uri: reference.id for uri, reference in found.items()}


def fetched(identity: str, text: str = "x", **facts: str) -> Fetched:
    return Fetched(identity, f"{identity}.md", f"hash of {text}", len(text), **facts)


def states(connection: sa.Connection) -> dict[str, str]:
    return {document.uri: document.state for document in select_documents(connection)}


def test_documents_are_new_once(connection: sa.Connection) -> None:
    first = upsert_found(connection, [Found(A, title="first"), Found(B), Found(A, title="again")])
    assert {uri: (one.id, one.is_new) for uri, one in first.items()} == {
        A: (document_id(A), True),
        B: (document_id(B), True),
    }
    second = upsert_found(
        connection, [Found(A, title="later"), Found(B, title="b\0\ud800"), Found(C, "file")]
    )
    assert [one.is_new for one in second.values()] == [False, False, True]
    assert [(one.uri, one.title) for one in select_documents(connection)] == [
        (C, None),
        (A, "first"),
        (B, "b?"),
    ]


def test_nothing_is_written_where_nothing_is_new(connection: sa.Connection, ids: dict[str, str]) -> None:
    before = {one.id: one.updated_at for one in select_documents(connection)}
    upsert_found(connection, [Found(A, title="A"), Found(B)])
    assert {one.id: one.updated_at for one in select_documents(connection)} == before
    assert upsert_found(connection, []) == {}


def test_a_row_that_others_wrote_is_found_by_its_address(connection: sa.Connection) -> None:
    upsert_found(connection, [Found(A)])
    connection.execute(sa.text("UPDATE documents SET id = 'doc-1'"))
    assert upsert_found(connection, [Found(A)])[A].id == "doc-1"


def test_a_fetched_document_keeps_what_it_does_not_say_anew(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    record_failed(connection, {ids[A]: "it was not there"})
    record_fetched(connection, [fetched(ids[A], author="Ada", etag='"1"'), fetched(ids[B], title="B\0")])
    one, other = find_document(connection, A), find_document(connection, B)
    assert (one.state, one.title, one.author, one.etag, one.error) == ("fetched", "A", "Ada", '"1"', None)
    assert (one.content_path, one.content_hash, one.size) == (f"{ids[A]}.md", "hash of x", 1)
    assert one.fetched_at is not None
    assert utc_now() - one.fetched_at < timedelta(minutes=1)
    assert other.title == "B"
    record_fetched(connection, [fetched(ids[A], "changed", title="new")])
    again = find_document(connection, A)
    assert (again.title, again.author, again.etag, again.content_hash) == (
        "new",
        "Ada",
        None,
        "hash of changed",
    )


def test_a_failure_and_an_unchanged_document_keep_the_text(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    record_fetched(connection, [fetched(ids[A])])
    record_failed(connection, {ids[A]: "HTTP 500" + "!" * 5000, ids[B]: "HTTP 404\0"})
    document = find_document(connection, ids[A])
    assert (document.state, document.content_hash) == ("error", "hash of x")
    assert len(document.error or "") == 2000
    record_unchanged(connection, [ids[A]])
    document = find_document(connection, ids[A])
    assert (document.state, document.error, document.content_hash) == ("fetched", None, "hash of x")


def test_what_is_gone_comes_back_when_it_is_found_again(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    mark_gone(connection, [ids[A]], "HTTP 410")
    assert states(connection)[A] == "gone"
    upsert_found(connection, [Found(A)])
    assert states(connection)[A] == "discovered"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filter(), [C, A, B]),
        (Filter(states=["fetched", "gone"]), [A]),
        (Filter(source_types=["file"]), [C]),
        (Filter(patterns=Patterns("https://*", "*.html")), [A]),
        (Filter(url_contains="EXAMPLE"), [A, B]),
        (Filter(url_contains="%"), []),
        (Filter(file_ext="HTML"), [B]),
        (Filter(file_ext=".md"), [C]),
        (Filter(has_content=True), [A]),
        (Filter(has_content=False), [C, B]),
        (Filter(min_size=3), [A]),
        (Filter(min_size=4), []),
        (Filter(limit=2), [C, A]),
        (Filter(limit=1, patterns=Patterns("https://*")), [A]),
        (Filter(uris=[A, A, "https://example.com/none"]), [A]),
        (Filter(uris=[B], ids=[document_id(A)]), [A, B]),
        (Filter(ids=["none"]), []),
        (Filter(fetched_before=utc_now() + timedelta(days=1)), [C, A, B]),
        (Filter(fetched_before=utc_now() - timedelta(days=1)), [C, B]),
    ],
)
def test_filters(connection: sa.Connection, ids: dict[str, str], filters: Filter, found: list[str]) -> None:
    record_fetched(connection, [fetched(ids[A], "abc")])
    assert [document.uri for document in select_documents(connection, filters)] == found
    assert select_ids(connection, filters) == [ids[uri] for uri in found]


def test_thousands_of_ids_are_no_problem(connection: sa.Connection, ids: dict[str, str]) -> None:
    many = Filter(ids=[*ids.values(), *(f"id-{number}" for number in range(3000))])
    assert len(select_documents(connection, many)) == 3
    uris = [Found(f"https://example.com/{number}") for number in range(2500)]
    assert sum(one.is_new for one in upsert_found(connection, uris).values()) == 2500
    assert not any(one.is_new for one in upsert_found(connection, uris).values())


def test_an_unknown_state_is_a_usage_error(connection: sa.Connection) -> None:
    with pytest.raises(UsageError, match="no state 'done'"):
        select_documents(connection, Filter(states=["done"]))


def test_a_document_is_found_by_id_by_its_beginning_and_by_address(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    for text in (ids[A], ids[A][:6], A, "HTTPS://example.com:443/a#x"):
        assert find_document(connection, text).uri == A
    with pytest.raises(NotFoundError, match="no document 'nothing'"):
        find_document(connection, "nothing")
    with pytest.raises(AmbiguousIdError):
        find_document(connection, "")


def test_numbers_about_all_documents(connection: sa.Connection, ids: dict[str, str]) -> None:
    assert stats(connection)["oldest_fetch"] is None
    record_fetched(connection, [fetched(ids[A], "abc")])
    record_failed(connection, {ids[B]: "HTTP 404"})
    found = stats(connection)
    assert found["total"] == 3
    assert found["by_state"] == {"discovered": 1, "fetched": 1, "error": 1, "gone": 0}
    assert found["by_source_type"] == {"file": 1, "url": 2}
    assert (found["with_content"], found["bytes"]) == (1, 3)
    assert found["errors"] == [{"error": "HTTP 404", "count": 1}]
    assert found["newest_fetch"].tzinfo is not None


def test_a_document_is_deleted_with_its_row(connection: sa.Connection, ids: dict[str, str]) -> None:
    record_fetched(connection, [fetched(ids[A])])
    assert delete_documents(connection, [ids[A], ids[B], "none"]) == [f"{ids[A]}.md"]
    assert list(states(connection)) == [C]


def test_a_workspace_sees_and_changes_its_own_documents_only(
    connection: sa.Connection, ids: dict[str, str]
) -> None:
    with tenant(workspace_id="acme", user_id="ada"):
        assert select_documents(connection) == []
        assert stats(connection)["total"] == 0
        found = upsert_found(connection, [Found(A, title="theirs")])
        assert found[A].is_new
        assert found[A].id != ids[A]
        [theirs] = select_documents(connection)
        assert (theirs.user_id, theirs.workspace_id) == ("ada", "acme")
        record_failed(connection, {ids[A]: "not theirs"})
        mark_gone(connection, [ids[B]])
        assert delete_documents(connection, list(ids.values())) == []
        with pytest.raises(NotFoundError):
            find_document(connection, ids[A])
    assert states(connection) == dict.fromkeys([A, B, C], "discovered")
    assert find_document(connection, A).title == "A"
