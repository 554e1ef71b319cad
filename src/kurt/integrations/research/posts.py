"""What people wrote somewhere, and how much it moved others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.types import JsonObject

VOTES_WEIGHT = 0.7
"""What votes count for in a score; comments are the rest."""

COMMENTS_WEIGHT = 1 - VOTES_WEIGHT

_QUESTION_WORDS = (
    *(
        "what",
        "why",
        "how",
        "who",
        "whom",
        "whose",
        "when",
        "where",
        "which",
        "can",
        "could",
        "should",
        "would",
    ),
    *(
        "will",
        "is",
        "are",
        "am",
        "was",
        "were",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "may",
        "might",
        "anyone",
    ),
    *(
        "anybody",
        "what's",
        "how's",
        "who's",
        "where's",
        "why's",
        "isn't",
        "aren't",
        "don't",
        "doesn't",
        "can't",
    ),
)
_FIRST_WORD = re.compile(r"^(?:\s*\[[^\]]*\])?\W*([a-z']+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One thing that somebody wrote.

    Attributes:
        id: its name at the place where it stands.
        title: its heading, one line.
        text: what stands below that; empty for a mere link.
        url: where people read it.
        author: who wrote it, None where that is gone.
        group: the part of the place that it stands in, such as a subreddit.
        votes: for it, less those against it.
        comments: how many there are.
        created_at: UTC, ISO 8601.
        link: what it points to outside of the place, None where it points to nothing.
        label: what the group sorts it under, None where it does not.
        is_question: whether the title asks something, as far as its first and last words tell.
        score: 0 to 1, see `scored`.
    """

    id: str
    title: str
    text: str
    url: str
    author: str | None
    group: str
    votes: int
    comments: int
    created_at: str
    link: str | None
    label: str | None
    is_question: bool
    score: float = 0.0

    def to_json(self) -> JsonObject:
        """All fields by name."""
        return asdict(self)


def scored(posts: Iterable[Post]) -> list[Post]:
    """Posts with their scores, the highest first.

    A score is 0.7 times the votes and 0.3 times the comments, each as a part of the most that one of these posts has:
    it compares posts of one list, not of two. Votes below zero count as none.
    """
    found = list(posts)
    votes = max((post.votes for post in found), default=0)
    comments = max((post.comments for post in found), default=0)

    def score(post: Post) -> float:
        weighed = VOTES_WEIGHT * _part(post.votes, votes) + COMMENTS_WEIGHT * _part(post.comments, comments)
        return round(weighed, 4)

    ranked = [replace(post, score=score(post)) for post in found]
    return sorted(ranked, key=lambda post: (-post.score, -post.votes, -post.comments, post.id))


def asks(title: str) -> bool:
    """Whether a title is a question: it ends so, or it begins with a word with which English questions begin."""
    text = title.strip().lower().replace("\u2019", "'")
    if text.rstrip(")]}\"' ").endswith("?"):
        return True
    first = _FIRST_WORD.match(text)
    return first is not None and first[1] in _QUESTION_WORDS


def _part(value: int, most: int) -> float:
    return max(value, 0) / most if most > 0 else 0.0
