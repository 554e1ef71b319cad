"""One URI for one document, one id for one URI."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.content.identity import (
    canonical_url,
    cms_parts,
    cms_uri,
    document_id,
    file_path,
    file_uri,
    source_type_of,
)
from kurt.errors import DataError


@pytest.mark.parametrize(
    ("given_url", "canonical"),
    [
        ("HTTPS://Example.COM", "https://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://example.com:8443/a", "https://example.com:8443/a"),
        ("https://example.com./a", "https://example.com/a"),
        ("https://user:secret@example.com/a", "https://example.com/a"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("https://example.com/a?", "https://example.com/a"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../a/..", "https://example.com/"),
        ("https://example.com/a/", "https://example.com/a/"),
        ("https://example.com/a//b", "https://example.com/a//b"),
        ("https://example.com/%7euser/%c3%bc", "https://example.com/~user/%C3%BC"),
        ("https://example.com/ü b", "https://example.com/%C3%BC%20b"),
        ("https://example.com/a%2fb%2Bc", "https://example.com/a%2Fb%2Bc"),
        ("https://example.com/100%", "https://example.com/100%25"),
        ("https://example.com/?b=2&a=1&a=0", "https://example.com/?a=1&a=0&b=2"),
        ("https://example.com/?flag&q=a+b&x=", "https://example.com/?flag&q=a+b&x="),
        ("https://example.com/?utm_source=x&id=7&gclid=y&fbclid=z", "https://example.com/?id=7"),
        ("https://example.com/?utm_source=x", "https://example.com/"),
        (" https://example.com/a\n", "https://example.com/a"),
        ("https://Bücher.example/a", "https://xn--bcher-kva.example/a"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
    ],
)
def test_an_address_has_one_spelling(given_url: str, canonical: str) -> None:
    assert canonical_url(given_url) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "/a", "ftp://example.com/", "javascript:alert(1)", "mailto:a@example.com",
        "https://", "https:///a", "http://[::1", "https://example.com:port/", "https://a b/", "data:text/html,x",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not a web address"):
        canonical_url(text)


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_canonical_form_is_its_own(path: str, query: str) -> None:
    once = canonical_url(f"https://example.com/{path}?{query}")
    assert canonical_url(once) == once
    assert once.isascii()


def test_an_id_is_the_same_everywhere_and_another_in_each_workspace() -> None:
    uri = "https://example.com/"
    assert document_id(uri) == "0f115db062b7c0dd030b"
    assert document_id(uri, "acme") == document_id(uri, "acme") != document_id(uri)
    assert document_id(uri, "acme") != document_id(uri, "other")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("notes/a b.md", "file:notes/a b.md"),
        ("/srv/p/notes/ü.md", "file:notes/ü.md"),
        ("100%#?.md", "file:100%25%23%3F.md"),
        ("/elsewhere/a.md", "file:///elsewhere/a.md"),
        ("bad\udcff.md", "file:bad%FF.md"),
    ],
)
def test_files_are_named_from_the_project(path: str, uri: str) -> None:
    root = Path("/srv/p")
    assert file_uri(path, root) == uri
    assert file_path(uri, root) == root / path


@pytest.mark.parametrize(
    "uri", ["file:../a.md", "file://host/a.md", "file:", "https://example.com/", "file:/a"]
)
def test_a_file_uri_leads_to_no_other_machine_and_not_out_of_the_project(uri: str) -> None:
    with pytest.raises(DataError):
        file_path(uri, "/srv/p")


def test_items_of_a_cms_have_addresses_with_four_parts() -> None:
    uri = cms_uri("sanity", "prod", "blog/post", "a b")
    assert uri == "cms://sanity/prod/blog%2Fpost/a%20b"
    assert cms_parts(uri) == ("sanity", "prod", "blog/post", "a b")
    with pytest.raises(DataError):
        cms_parts("cms://sanity/prod")


def test_a_uri_tells_where_it_comes_from() -> None:
    uris = ("https://example.com/", "file:a.md", "cms://a/b/c/d")
    assert [source_type_of(uri) for uri in uris] == ["url", "file", "cms"]
