"""Scores of posts, and which of them ask something."""

from __future__ import annotations

import pytest

from kurt.errors import UsageError
from kurt.integrations.research.posts import Post, asks, scored
from kurt.integrations.research.reddit import Question, subreddit_name


def made(identity: str, votes: int, comments: int) -> Post:
    return Post(
        id=identity,
        title=identity,
        text="",
        url="",
        author=None,
        group="python",
        votes=votes,
        comments=comments,
        created_at="",
        link=None,
        label=None,
        is_question=False,
    )


def test_a_score_is_seven_tenths_votes_and_three_tenths_comments_of_the_most() -> None:
    ranked = scored([made("quiet", 10, 0), made("loud", 100, 25), made("discussed", 50, 100)])
    assert [(post.id, post.score) for post in ranked] == [
        ("loud", 0.775),
        ("discussed", 0.65),
        ("quiet", 0.07),
    ]


def test_scores_of_posts_that_nobody_likes_are_zero() -> None:
    assert [post.score for post in scored([made("a", 0, 0), made("b", -7, 0)])] == [0.0, 0.0]
    assert scored([]) == []


def test_votes_against_a_post_do_not_outweigh_its_comments() -> None:
    ranked = scored([made("liked", 10, 0), made("hated", -500, 10)])
    assert [(post.id, post.score) for post in ranked] == [("liked", 0.7), ("hated", 0.3)]


def test_equal_scores_have_one_order() -> None:
    one, two = made("a", 5, 5), made("b", 5, 5)
    assert [post.id for post in scored([two, one])] == [post.id for post in scored([one, two])] == ["a", "b"]


@pytest.mark.parametrize(
    ("title", "is_question"),
    [
        ("How do I rotate keys", True),
        ("Is WAL safe on NFS?", True),
        ('Anyone else seen "database is locked"?', True),
        ("[Help] What\u2019s a good default", True),
        ("SQLite or Postgres for 3 users?)", True),
        ("I made a small tool", False),
        ("However you do it, keep backups", False),
        ("Isolation levels explained", False),
        ("", False),
        ("???", True),
    ],
)
def test_a_title_that_asks(title: str, is_question: bool) -> None:
    assert asks(title) is is_question


@pytest.mark.parametrize(
    ("question", "path"),
    [
        (Question(), "/r/all/top.json?t=week"),
        (Question(subreddits=("r/Python", "/r/learnpython/"), sort="new"), "/r/Python+learnpython/new.json"),
        (
            Question(query="a b&c", sort="relevance", period="year"),
            "/search.json?q=a%20b%26c&sort=relevance&t=year&type=link",
        ),
        (
            Question(subreddits=("sqlite",), query="wal"),
            "/r/sqlite/search.json?q=wal&sort=top&t=week&type=link&restrict_sr=1",
        ),
    ],
)
def test_addresses(question: Question, path: str) -> None:
    assert question.path() == path


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(sort="relevance"), "a listing has no order 'relevance'"),
        (Question(query="x", sort="rising"), "a search has no order 'rising'"),
        (Question(query="  "), "the words to search for are empty"),
        (Question(subreddits=("../admin",)), r"'\.\./admin' is no name of a subreddit"),
        (Question(subreddits=("a+b",)), "no name of a subreddit"),
    ],
)
def test_questions_that_cannot_be_asked(question: Question, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        question.path()


@pytest.mark.parametrize("word", ["python", "r/python", "/r/python", "R/python/", " python "])
def test_a_name_with_and_without_its_prefix(word: str) -> None:
    assert subreddit_name(word) == "python"
