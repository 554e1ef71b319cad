"""Which documents are meant: patterns over their URIs, applied before anything is fetched."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from kurt.errors import UsageError

PatternText: TypeAlias = str | Iterable[str] | None
"""Patterns: texts with commas between them, one or several."""

_REGEX: Final = "re:"
_AFTER_HOST: Final = re.compile(r"(?:[a-z]+://[^/]*|file:(?://)?)(.*)", re.DOTALL)


class Patterns:
    """Includes and excludes documents by their URIs.

    A pattern is a glob over the whole URI, `*` and `?` standing for slashes too, or over what follows the host: `/docs/*`
    and `*.md` need no host. After `re:` it is a regular expression that is searched for in the URI; a text that begins so
    is one pattern, whatever commas are in it.

    Args:
        include: what is meant; everything when there are none.
        exclude: what is not meant, even if it is included.

    Raises:
        UsageError: a regular expression cannot be read.
    """

    def __init__(self, include: PatternText = None, exclude: PatternText = None) -> None:
        self.include = split_patterns(include)
        self.exclude = split_patterns(exclude)
        self._include = [_compiled(pattern) for pattern in self.include]
        self._exclude = [_compiled(pattern) for pattern in self.exclude]

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)

    def allows(self, uri: str) -> bool:
        """Whether a document with this URI is meant."""
        if any(_fits(pattern, uri) for pattern in self._exclude):
            return False
        return not self._include or any(_fits(pattern, uri) for pattern in self._include)


def split_patterns(text: PatternText) -> tuple[str, ...]:
    """Patterns as a list, from texts with commas between them; one that begins with `re:` is one pattern."""
    texts = () if text is None else [text] if isinstance(text, str) else text
    parts = [part for one in texts for part in ([one] if one.lstrip().startswith(_REGEX) else one.split(","))]
    return tuple(part.strip() for part in parts if part.strip())


def _compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    """The expression of a pattern, and whether it has to fit as a whole."""
    if not pattern.startswith(_REGEX):
        return re.compile(fnmatch.translate(pattern)), True
    try:
        return re.compile(pattern.removeprefix(_REGEX)), False
    except re.error as error:
        raise UsageError(
            f"the pattern {pattern!r} cannot be read: {error}", hint="write a glob such as '*/docs/*'"
        ) from None


def _fits(pattern: tuple[re.Pattern[str], bool], uri: str) -> bool:
    expression, whole = pattern
    if not whole:
        return expression.search(uri) is not None
    rest = _AFTER_HOST.fullmatch(uri)
    return expression.match(uri) is not None or (rest is not None and expression.match(rest[1]) is not None)
