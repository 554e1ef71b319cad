"""Did you mean: the closest of the known words."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_SHOWN = 12
_MAX_WORD = 64


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, or None if none is near.

    Letters' case, `-` against `_` and one plural `s` do not count as differences.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - costs 3 ms, wanted for messages only

    words = [item for item in known if len(item) <= _MAX_WORD]
    plain = {_plain(item): item for item in reversed(words)}
    if len(word) > _MAX_WORD:
        return None
    if _plain(word) in plain:
        return plain[_plain(word)]
    near = get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[near[0]] if near else None


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").removesuffix("s")


def listing(words: Iterable[str]) -> str:
    """Words for a message, at most a dozen of them."""
    shown = list(dict.fromkeys(words))
    if not shown:
        return "(none)"
    more = len(shown) - _MAX_SHOWN
    text = ", ".join(f"`{word}`" for word in shown[:_MAX_SHOWN])
    return f"{text} and {more} more" if more > 0 else text


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """The hint for an unknown word: the closest one, else `otherwise`."""
    near = closest(word, known)
    return f"did you mean `{near}`?" if near else otherwise
