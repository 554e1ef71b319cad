"""What a question asks for: words, and phrases between quotation marks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PHRASE: Final = re.compile(r'"([^"]+)"')
_WORD: Final = re.compile(r"\w+")
_MOST: Final = 32
_EMPTY: Final = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "shall",
        "should",
        "so",
        "some",
        "that",
        "the",
        "their",
        "them",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is searched for.

    Attributes:
        phrases: words that stand side by side, in lower case; one word is a phrase too.
    """

    phrases: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> list[str]:
        """All words of all phrases."""
        return [word for phrase in self.phrases for word in phrase]


def terms_of(question: str) -> Terms:
    """The words of a question that tell documents apart, each once; all of its words where no such word is in it."""
    quoted = [tuple(_words(match[1])) for match in _PHRASE.finditer(question)]
    single = [(word,) for word in _words(_PHRASE.sub(" ", question))]
    telling = [word for word in single if word[0] not in _EMPTY]
    chosen = [phrase for phrase in quoted if phrase] + telling or single
    return Terms(tuple(dict.fromkeys(chosen))[:_MOST])


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text.replace("\0", " "))]
