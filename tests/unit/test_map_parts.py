"""Parts of `map` by themselves: what belongs to a site, where a crawl goes, what a config accepts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kurt.errors import UsageError
from kurt.workflows.map import MapConfig
from kurt.workflows.map.frontier import BATCH, Frontier
from kurt.workflows.map.scope import registered_domain, scope_of
from kurt.workflows.map.utils import counts, errors_of, once


def wanted(config: dict[str, Any], *urls: str, start: str = "https://docs.example.co.uk/x") -> list[str]:
    scope = scope_of(MapConfig(source_url=start, **config), [start])
    return [found for url in urls if (found := scope.wanted(url)) is not None]


HOME = "https://docs.example.co.uk/a"
SISTER = "https://blog.example.co.uk/b"
PARENT = "http://example.co.uk/c"
STRANGER = "https://other.co.uk/d"
LOOKALIKE = "https://docs.example.co.uk.evil.org/e"
ALL = (HOME, SISTER, PARENT, STRANGER, LOOKALIKE)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [HOME]),
        ({"allow_subdomains": True}, [HOME, SISTER, PARENT]),
        ({"allow_external": True}, list(ALL)),
        ({"allow_external": True, "include_patterns": "*.co.uk/*"}, [HOME, SISTER, PARENT, STRANGER]),
        ({"exclude_patterns": "re:/a$"}, []),
    ],
)
def test_what_belongs_to_a_site(config: dict[str, Any], expected: list[str]) -> None:
    assert wanted(config, *ALL) == expected


def test_the_same_site_by_other_names() -> None:
    urls = (
        "http://www.docs.example.co.uk/a",
        "https://docs.example.co.uk:443/a",
        "https://docs.example.co.uk:8443/a",
    )
    assert wanted({}, *urls) == ["http://www.docs.example.co.uk/a", "https://docs.example.co.uk/a"]


@pytest.mark.parametrize(
    ("place", "domain"),
    [
        ("a.b.example.co.uk", "example.co.uk"),
        ("example.com:8080", "example.com"),
        ("one.github.io", "one.github.io"),
        ("127.0.0.1:80", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("localhost", None),
    ],
)
def test_registered_domains(place: str, domain: str | None) -> None:
    assert registered_domain(place) == domain


@pytest.mark.parametrize("url", ["mailto:a@b.c", "ftp://docs.example.co.uk/", "", "/relative", "https://"])
def test_what_is_no_address_is_not_wanted(url: str) -> None:
    assert wanted({"allow_external": True}, url) == []


def visited(frontier: Frontier, web: dict[str, list[str]]) -> list[tuple[str, int]]:
    order: list[tuple[str, int]] = []
    while batch := frontier.next_batch():
        pages = []
        for url, depth in batch:
            order.append((str(url), int(depth)))
            links = web.get(str(url), []) if frontier.follows(int(depth)) else []
            pages.append({"url": url, "depth": depth, "document": True, "title": None, "links": links})
        frontier.take(pages)
    return order


def test_a_crawl_goes_from_near_to_far_and_to_each_page_once() -> None:
    web = {"/": ["/a", "/b"], "/a": ["/c", "/"], "/b": ["/c", "/d"], "/c": ["/e"]}
    frontier = Frontier(["/"], max_depth=2, max_pages=100)
    assert visited(frontier, web) == [("/", 0), ("/a", 1), ("/b", 1), ("/c", 2), ("/d", 2)]
    assert not frontier.truncated


def test_a_batch_has_one_depth_and_a_limit() -> None:
    frontier = Frontier(["/"], max_depth=3, max_pages=100)
    frontier.take(
        [{"url": "/", "depth": 0, "document": True, "links": [f"/{number}" for number in range(90)]}]
    )
    assert [depth for _, depth in frontier.next_batch()] == [0]
    assert [depth for _, depth in frontier.next_batch()] == [1] * BATCH


def test_a_crawl_ends_when_there_are_enough() -> None:
    web = {"/": [f"/{number}" for number in range(50)]}
    frontier = Frontier(["/"], max_depth=3, max_pages=7)
    assert len(visited(frontier, web)) == 7
    assert frontier.truncated
    assert frontier.documents == 7


def test_errors_and_redirects_are_no_second_documents() -> None:
    frontier = Frontier(["/"], max_depth=3, max_pages=7)
    frontier.take(
        [
            {"url": "/home", "depth": 0, "document": True, "links": ["/x"]},
            {"url": "/home", "depth": 1, "document": True},
            {"url": "/x", "depth": 1, "error": "gone"},
            {"url": "/image", "depth": 1, "document": False},
        ]
    )
    assert [row["uri"] for row in frontier.rows] == ["/home", "/x"]
    assert frontier.documents == 1


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"source_url": "https://a.b", "source_folder": "x"},
        {"source_folder": "x", "discovery_method": "crawl"},
        {"source_url": "https://a.b", "discovery_method": "folder"},
        {"source_url": "https://a.b", "cms_instance": "x"},
        {"source_url": "https://a.b", "max_pages": 0},
        {"source_url": "https://a.b", "max_dept": 1},
    ],
)
def test_configs_that_make_no_sense(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MapConfig.model_validate(given)


def test_patterns_of_a_config() -> None:
    config = MapConfig(
        source_url="https://a.b", include_patterns="*/a/*, *.md", exclude_patterns=["re:a{1,2}"]
    )
    assert (config.include_patterns, config.exclude_patterns) == (["*/a/*", "*.md"], ["re:a{1,2}"])
    assert MapConfig.model_validate(config.model_dump()) == config
    with pytest.raises(UsageError, match="cannot be read"):
        MapConfig(source_url="https://a.b", include_patterns="re:(")


def test_counts() -> None:
    marks = [["1", "discovered"], ["2", "renamed"], ["3", "existing"], ["4", "changed"], ["5", "error"]]
    found = counts(marks, gone=2, dry_run=False)
    assert (found["total"], found["documents_discovered"], found["documents_existing"]) == (4, 2, 2)
    assert (found["rows_written"], found["rows_updated"], found["documents_errors"]) == (2, 2, 1)
    assert counts(marks, gone=2, dry_run=True)["rows_written"] == 0


def test_each_address_counts_once() -> None:
    rows = [{"uri": "a", "title": "first"}, {"uri": "b", "error": "no"}, {"uri": "a", "title": "second"}]
    assert once(rows) == rows[:2]
    assert errors_of(rows) == [{"uri": "b", "error": "no"}]
