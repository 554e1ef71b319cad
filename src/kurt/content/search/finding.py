"""Questions to all documents, answered by words, by vectors, or by both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from kurt.content.queries import conditions_of
from kurt.content.rows import GONE, Filter
from kurt.content.search.indexing import PASSAGES
from kurt.content.search.passages import excerpt
from kurt.content.search.terms import Terms, terms_of
from kurt.content.search.vectors import Vector, nearest
from kurt.content.search.words import Match, by_words
from kurt.content.tables import DOCUMENTS, groups
from kurt.errors import UsageError

BOTH: Final = "both"
WORDS: Final = "words"
MEANING: Final = "meaning"
MODES: Final = (BOTH, WORDS, MEANING)
"""How documents are found."""

_RANK: Final = 60
"""How little the first places count for more than the next ones when two lists are merged."""

_WIDER: Final = 4
"""How many more documents are looked at than shown, so that merging and patterns have a choice."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers a question.

    Attributes:
        id: its id.
        uri: its URI.
        title: its title.
        heading: the heading over the passage.
        passage: the passage that fits best, shortened to one line.
        score: how well it fits, to compare with others of the same answer only.
        found_by: `words`, `meaning`, or both.
    """

    id: str
    uri: str
    title: str | None
    heading: str | None
    passage: str
    score: float
    found_by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The hit as JSON."""
        return {**asdict(self), "score": round(self.score, 4), "found_by": list(self.found_by)}


def search(
    connection: sa.Connection,
    question: str,
    *,
    mode: str = BOTH,
    vector: Vector | None = None,
    filters: Filter | None = None,
    limit: int = 10,
) -> list[Hit]:
    """The documents that answer a question best, of the present workspace; those that are gone only where their state is asked for.

    Args:
        connection: to the database.
        question: words, phrases between quotation marks.
        mode: `words`, `meaning`, or `both` merged by their ranks.
        vector: that of the question, by `vector_of`; needed for all but `words`.
        filters: which documents are meant.
        limit: hits at most.

    Raises:
        UsageError: there is no such mode, or the vector is missing.
    """
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}", hint=f"use one of {', '.join(MODES)}")
    if mode != WORDS and vector is None:
        raise UsageError("a search by meaning needs the vector of the question")
    chosen = filters or Filter()
    conditions = conditions_of(chosen)
    if not chosen.states:
        conditions.append(DOCUMENTS.c.state != GONE)
    terms = terms_of(question)
    wide = limit * _WIDER if not chosen.patterns else limit * _WIDER * 10
    lists: dict[str, list[Match]] = {}
    if mode != MEANING:
        lists[WORDS] = by_words(connection, terms, conditions, wide)
    if mode != WORDS and vector is not None:
        near = nearest(connection, vector, conditions, wide)
        lists[MEANING] = _with_passages(connection, [identity for _, identity in near], terms)
    allowed = {
        name: [match for match in matches if chosen.patterns.allows(match.uri)]
        for name, matches in lists.items()
    }
    return _merged(allowed, terms)[:limit]


def _merged(lists: dict[str, list[Match]], terms: Terms) -> list[Hit]:
    """One list of several, by reciprocal ranks; the passage is that of the first list which has the document."""
    scores: dict[str, float] = {}
    found: dict[str, tuple[Match, list[str]]] = {}
    for name, matches in lists.items():
        for rank, match in enumerate(matches):
            scores[match.id] = scores.get(match.id, 0.0) + 1 / (_RANK + rank + 1)
            found.setdefault(match.id, (match, []))[1].append(name)
    order = sorted(scores, key=lambda identity: (-scores[identity], found[identity][0].uri))
    return [_hit(*found[identity], scores[identity], terms) for identity in order]


def _hit(match: Match, names: Iterable[str], score: float, terms: Terms) -> Hit:
    shown = excerpt(match.text, terms.words)
    return Hit(match.id, match.uri, match.title, match.heading, shown, score, tuple(names))


def _with_passages(connection: sa.Connection, ids: Sequence[str], terms: Terms) -> list[Match]:
    """Documents with the passage that has the most of the words, the first one where none has any."""
    columns = (DOCUMENTS.c.id, DOCUMENTS.c.uri, DOCUMENTS.c.title, PASSAGES.c.heading, PASSAGES.c.text)
    joined = DOCUMENTS.outerjoin(PASSAGES, PASSAGES.c.document_id == DOCUMENTS.c.id)
    best: dict[str, tuple[int, Match]] = {}
    for some in groups(ids):
        query = sa.select(*columns).select_from(joined).where(DOCUMENTS.c.id.in_(some))
        for row in connection.execute(query.order_by(PASSAGES.c.position)):
            text = (row.text or "").lower()
            count = sum(word in text for word in terms.words)
            if row.id not in best or count > best[row.id][0]:
                best[row.id] = count, Match(row.id, row.uri, row.title, row.heading, row.text or "")
    return [best[identity][1] for identity in ids if identity in best]
