"""Hiding of secrets in text that leaves the process: logs, streams, errors, pages.

A secret rarely leaves in its own spelling only. It is also found inside JSON strings, in URLs, in HTML, in
the `repr` of an exception and, for `Authorization: Basic`, inside base64 of a longer text. All these
spellings are hidden.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kurt.types import Json

MASK = "***"
"""What stands in the place of a secret."""

SHORTEST = 4
"""Secrets below this many characters are not hidden.

A value such as `1` or `dev` is part of nearly every line: hiding it would make logs unreadable and would
give the value away by the places in which it is missing.
"""

_SHORTEST_LINE = 8  # of a secret of several lines (a private key): each longer line is hidden by itself
_SHORTEST_EMBEDDED = 8  # bytes; what base64 makes of less could be part of unrelated text


class Masker:
    """Replaces secrets by `***`.

    Attributes:
        too_short: how many of the secrets given are shorter than `SHORTEST` and therefore not hidden.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        given = {secret for secret in secrets if secret}
        known = {secret for secret in given if len(secret) >= SHORTEST}
        self.too_short = len(given) - len(known)
        spellings = sorted({form for secret in known for form in spellings_of(secret)}, key=_longest_first)
        alternatives = "|".join(re.escape(form) for form in spellings)
        self._any = re.compile(alternatives) if spellings else None
        self._overlapping = re.compile(f"(?=({alternatives}))") if spellings else None

    def mask(self, text: str) -> str:
        """The text without the secrets; the same object when it holds none."""
        if self._any is None or (first := self._any.search(text)) is None:
            return text
        pieces: list[str] = []
        end = 0
        for start, stop in self._spans(text, first.start()):
            pieces += [text[end:start], MASK]
            end = stop
        return "".join([*pieces, text[end:]])

    def mask_value(self, value: Json) -> Json:
        """A copy of a JSON value in which all strings, keys and secret numbers are masked."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.mask(str(key)): self.mask_value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_value(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if self.mask(str(value)) != str(value) else value
        return value

    def _spans(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """The places to hide, from `start` on; secrets that overlap become one place."""
        assert self._overlapping is not None  # noqa: S101 - set together with `_any`, which has matched
        begin, end = start, start
        for match in self._overlapping.finditer(text, start):
            if match.start() > end:
                yield begin, end
                begin = match.start()
            end = max(end, match.end(1))
        yield begin, end


def spellings_of(secret: str) -> set[str]:
    """All the ways in which a secret may be written; none of them is empty or shorter than `SHORTEST`."""
    forms = set(_escaped(secret)) | set(_base64(secret.encode("utf-8", "surrogateescape")))
    lines = secret.splitlines()
    if len(lines) > 1:
        for line in lines:
            if len(line.strip()) >= _SHORTEST_LINE:
                forms |= set(_escaped(line.strip()))
    return {form for form in forms if len(form) >= SHORTEST}


def _longest_first(form: str) -> tuple[int, str]:
    return -len(form), form


def _escaped(secret: str) -> Iterator[str]:
    """The secret itself, and as JSON, `repr`, HTML and URLs write it."""
    yield secret
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)
        yield once[1:-1]
        yield json.dumps(once, ensure_ascii=ascii_only)[3:-3]  # JSON inside JSON
    for quoted in (
        quote(secret, safe="", errors="surrogateescape"),
        quote(secret, errors="surrogateescape"),
        quote_plus(secret, errors="surrogateescape"),
    ):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), quoted)


def _base64(secret: bytes) -> Iterator[str]:
    """Base64 of the secret alone, and the part of it that is the same inside any longer text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        alone = encode(secret).decode()
        yield alone
        yield alone.rstrip("=")
        if len(secret) < _SHORTEST_EMBEDDED:
            continue
        for before in range(3):
            first = -(-before * 8 // 6)  # the first character without a bit of what stands before
            last = (before + len(secret)) * 8 // 6  # the last one without a bit of what follows
            yield encode(b"\0" * before + secret).decode()[first:last]
