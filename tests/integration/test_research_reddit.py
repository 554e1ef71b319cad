"""`kurt integrations research reddit` against a server that answers as Reddit does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from kurt.cli.main import cli
from tests.support.reddit import KEYS, listing, post, stand_in
from tests.support.site import Page, Site

Run = Callable[..., Result]

POSTS = [
    post("How do I rotate keys?", votes=90, comments=10, selftext=" Ours are old. ", link_flair_text="Help"),
    post("My new tool", votes=100, comments=4, is_self=False, url="https://example.com/tool"),
    post("What is WAL", votes=20, comments=40, group="sqlite", author="[deleted]"),
    post("Why is this here?", votes=999, over_18=True),
    post("Rules of this place: what are they?", votes=5000, stickied=True),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(site, "--limit", "3")`: the command in this process, asking a server that stands for Reddit."""
    (tmp_path / "kurt.config").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kurt.integrations.research.reddit._APART", 0.0)

    def call(site: Site | None, *argv: str, code: int = 0) -> Result:
        if site is not None:
            monkeypatch.setenv("KURT_REDDIT__BASE_URL", site.url)
        result = CliRunner().invoke(cli, ["integrations", "research", "reddit", *argv], prog_name="kurt")
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        return result

    return call


def rows(result: Result) -> list[dict[str, Any]]:
    assert not result.stderr
    return json.loads(result.stdout)


def test_posts_come_with_their_scores_the_highest_first(run: Run) -> None:
    with stand_in(POSTS) as site:
        found = rows(run(site, "--format", "json"))
    assert [(row["title"], row["score"]) for row in found] == [
        ("My new tool", 0.73),
        ("How do I rotate keys?", 0.705),
        ("What is WAL", 0.44),
    ]
    assert found[1] == {
        "id": POSTS[0]["name"],
        "title": "How do I rotate keys?",
        "text": "Ours are old.",
        "url": f"https://www.reddit.com{POSTS[0]['permalink']}",
        "author": "somebody",
        "group": "python",
        "votes": 90,
        "comments": 10,
        "created_at": "2026-09-21T14:13:20Z",
        "link": None,
        "label": "Help",
        "is_question": True,
        "score": 0.705,
    }
    assert (found[0]["link"], found[2]["author"]) == ("https://example.com/tool", None)


def test_without_arguments_it_looks_where_the_project_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KURT_REDDIT__SUBREDDITS", "sqlite, r/postgres")
    with stand_in(POSTS) as site:
        assert [row["group"] for row in rows(run(site, "--format", "json"))] == ["sqlite"]
        assert site.paths() == ["/r/sqlite+postgres/top.json?t=week&limit=50&raw_json=1"]


def test_only_questions_of_a_search(run: Run) -> None:
    with stand_in(POSTS) as site:
        found = rows(run(site, "--query", "wal", "--questions", "--period", "year", "--format", "json"))
        assert [row["title"] for row in found] == ["What is WAL"]
        assert (
            rows(run(site, "--questions", "--min-votes", "50", "--adult", "--format", "json"))[0]["votes"]
            == 999
        )


def test_pages_are_asked_for_until_there_are_enough(run: Run) -> None:
    many = [post(f"Post {number}", votes=number) for number in range(260)]
    with stand_in(many) as site:
        found = rows(run(site, "--limit", "250", "--format", "json"))
        assert len(found) == 250
        assert min(row["votes"] for row in found) == 10
        assert len(site.hits) == 3
        assert [row["votes"] for row in rows(run(site, "--limit", "2", "--format", "json"))] == [259, 258]


def test_a_listing_without_end_is_left(run: Run) -> None:
    with stand_in([]) as site:
        site.pages["/r/all/top.json"] = Page(
            json.dumps(listing([post("A post")], after="t3_again")).encode(), content_type="application/json"
        )
        assert len(rows(run(site, "--limit", "1000", "--format", "json"))) == 1
        assert len(site.hits) == 10


def test_keys_of_an_application(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(POSTS, keys=True) as site:
        refused = run(site, code=4)
        assert "Reddit refuses requests without keys from here (403)" in refused.stderr
        assert "put REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET into .env" in refused.stderr
        monkeypatch.setenv("REDDIT_CLIENT_ID", KEYS[0])
        assert "REDDIT_CLIENT_SECRET is not set" in run(site, code=4).stderr
        monkeypatch.setenv("REDDIT_CLIENT_SECRET", "wrong")
        assert "refuses the keys of the application (401)" in run(site, code=4).stderr
        monkeypatch.setenv("REDDIT_CLIENT_SECRET", KEYS[1])
        assert len(rows(run(site, "--format", "json"))) == 3
        assert all("the-secret" not in hit.path for hit in site.hits)


@pytest.mark.parametrize(
    ("page", "code", "message"),
    [
        (Page(b"<html>", status=200), 1, "something that is no JSON"),
        (Page(b'{"kind": "other"}', status=200), 1, "something that is no listing of Reddit"),
        (Page(b'{"reason": "private", "error": 403}', status=403), 1, "r/python is private"),
        (
            Page(b'{"reason": "banned", "error": 404}', status=404),
            3,
            "Reddit has nothing at r/python: banned",
        ),
        (
            Page(b"", status=302, headers={"Location": "/subreddits/search"}),
            3,
            "Reddit has nothing at r/python",
        ),
        (Page(b"", status=418), 1, "Reddit answered with 418"),
        (Page(b"{", status=429, headers={"Retry-After": "900"}), 1, "Reddit answered with 429"),
    ],
    ids=["page", "other", "private", "banned", "unknown", "other-status", "too-many"],
)
def test_answers_that_are_no_posts(run: Run, page: Page, code: int, message: str) -> None:
    with stand_in(POSTS) as site:
        site.pages["/r/python/top.json"] = page
        site.pages["/subreddits/search"] = Page(json.dumps(listing([], kind="t5")).encode())
        assert message in run(site, "--subreddit", "python", code=code).stderr


def test_a_server_that_fails_once_is_asked_again(run: Run) -> None:
    with stand_in(POSTS) as site:

        async def once(_: web.Request) -> web.StreamResponse:
            del site.pages["/r/python/top.json"]
            return web.Response(status=503)

        site.pages["/r/python/top.json"] = once
        assert len(rows(run(site, "--subreddit", "python", "--format", "json"))) == 2


def test_what_people_see(run: Run) -> None:
    with stand_in(POSTS) as site:
        shown = run(site, "--subreddit", "sqlite")
        assert shown.stdout.splitlines()[0].split() == [
            "SCORE",
            "VOTES",
            "COMMENTS",
            "SUBREDDIT",
            "TITLE",
            "URL",
        ]
        assert "1.00     20        40  sqlite     What is WAL" in shown.stdout
        nothing = run(site, "--query", "nothing like this")
        assert nothing.stdout == "no posts\n"
        assert "hint: look further back with --period" in nothing.stderr
        assert rows(run(site, "--query", "nothing like this", "--format", "json")) == []


def test_a_dry_run_asks_nobody(run: Run) -> None:
    shown = run(None, "--subreddit", "python", "--query", "wal", "--dry-run")
    assert shown.stdout == (
        "https://www.reddit.com/r/python/search.json?q=wal&sort=top&t=week&type=link&restrict_sr=1"
        " would be asked (--dry-run)\n"
    )


def test_with_keys_the_api_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDDIT_CLIENT_ID", KEYS[0])
    monkeypatch.setenv("REDDIT_CLIENT_SECRET", KEYS[1])
    assert run(None, "--dry-run").stdout.startswith("https://oauth.reddit.com/r/all/top.json?t=week would")


def test_a_mistake_is_told_before_anything_is_asked(run: Run) -> None:
    with stand_in(POSTS) as site:
        assert "'no name' is no name of a subreddit" in run(site, "--subreddit", "no name", code=2).stderr
        assert (
            "a search has no order 'rising'" in run(site, "--query", "x", "--sort", "rising", code=2).stderr
        )
        assert site.hits == []
