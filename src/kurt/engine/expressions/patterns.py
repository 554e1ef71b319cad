"""Regular expressions whose time is bounded by their construction.

Python's `re` tries alternatives one after another: a pattern such as `(a|a)*$` takes time exponential in the text, and
nothing can stop it from outside. Patterns and texts here come from workflow files and from data, so they are matched
by an automaton instead, which looks at each character once for all alternatives at the same time. That leaves out
what an automaton cannot do: back references and look-around. Everything else is written and means the same as in `re`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MAX_PATTERN = 1000
_MAX_DEPTH = 50
_MAX_REPEAT = 1000
_MAX_SHOWN = 80


class PatternError(ValueError):
    """The pattern is not well formed, or uses what an automaton cannot do."""


Test: TypeAlias = Callable[[str], bool]
"""Whether a character belongs to a set."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set.

    Attributes:
        test: whether a character is in the set.
    """

    test: Test


@dataclass(frozen=True, slots=True)
class Assertion:
    """A place: `^`, `$`, `A` (start of the text), `Z` (its end), `b` or `B`.

    Attributes:
        kind: the letter.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other.

    Attributes:
        items: what follows what.
    """

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several.

    Attributes:
        items: the alternatives.
    """

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same several times.

    Attributes:
        item: what repeats.
        least: how often at least.
        most: how often at most; None for no limit.
    """

    item: Item
    least: int
    most: int | None


Item: TypeAlias = "Chars | Assertion | Sequence | Choice | Repeat"

_FLAGS = re.compile(r"\(\?([ims]+)\)")
_GROUP = re.compile(r"\((?:\?:|\?P<[^\W\d]\w*>)?")
_BRACES = re.compile(r"\{(\d*)(?:(,)(\d*))?\}")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


is_word: Test = _is_word
"""Whether a character counts as `\\w`."""

_CLASSES: dict[str, Test] = {
    "d": str.isdecimal,
    "D": lambda char: not char.isdecimal(),
    "s": str.isspace,
    "S": lambda char: not char.isspace(),
    "w": is_word,
    "W": lambda char: not is_word(char),
}


def parse_pattern(pattern: str) -> Item:
    """Read a pattern.

    Raises:
        PatternError: it is not well formed, too long, or uses back references or look-around.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a pattern may have {MAX_PATTERN} characters")
    flags = _FLAGS.match(pattern)
    parser = _Parser(pattern, flags.end() if flags else 0, frozenset(flags[1]) if flags else frozenset())
    return parser.whole()


def shortened(pattern: str) -> str:
    """A pattern in a message, cut short."""
    return repr(pattern if len(pattern) <= _MAX_SHOWN else pattern[: _MAX_SHOWN - 3] + "...")


class _Parser:
    """Recursive descent over the text of a pattern."""

    def __init__(self, text: str, position: int, flags: frozenset[str]) -> None:
        self._text = text
        self._at = position
        self._flags = flags
        self._depth = 0

    def whole(self) -> Item:
        """The whole pattern."""
        item = self._choice()
        if self._at < len(self._text):
            raise self._error("a `)` too many")
        return item

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{what} at position {self._at + 1} of the pattern {shortened(self._text)}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise self._error("the pattern ends too early")
        self._at += 1
        return char

    def _choice(self) -> Item:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error("groups nested too deep")
        items = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            items.append(self._sequence())
        self._depth -= 1
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self) -> Item:
        items: list[Item] = []
        while self._peek() not in ("", "|", ")"):
            items.append(self._repeated(self._atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self, item: Item) -> Item:
        bounds = self._bounds()
        if bounds is None:
            return item
        if self._peek() == "?":
            self._at += 1  # a lazy repeat finds the same matches
        elif self._peek() == "+" or self._bounds() is not None:
            raise self._error("a repeat of a repeat")
        return Repeat(item, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._peek())
        if simple:
            self._at += 1
            return simple
        braces = _BRACES.match(self._text, self._at)
        if braces is None or not (braces[1] or braces[3]):
            return None  # as in `re`, braces without a number are plain text
        least = int(braces[1] or 0)
        most = (int(braces[3]) if braces[3] else None) if braces[2] else least
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise self._error(f"a repeat goes from less to more and to {_MAX_REPEAT} at most")
        self._at = braces.end()
        return least, most

    def _atom(self) -> Item:
        char = self._peek()
        if char == "(":
            return self._group()
        self._at += 1
        if char == "[":
            return Chars(self._set())
        if char == ".":
            return Chars((lambda _: True) if "s" in self._flags else (lambda found: found != "\n"))
        if char in "^$":
            multiline = "m" in self._flags
            return Assertion(char if multiline else {"^": "A", "$": "$$"}[char])
        if char == "\\":
            return self._escape()
        if char in "*+?":
            self._at -= 1
            raise self._error("nothing to repeat")
        return Chars(self._one(char))

    def _group(self) -> Item:
        opening = _GROUP.match(self._text, self._at)
        end = opening.end() if opening else self._at + 1
        if self._text.startswith("(?", self._at) and end == self._at + 1:
            raise self._error("look-around, flags inside and other `(?` groups are not supported")
        self._at = end
        item = self._choice()
        if self._peek() != ")":
            raise self._error("a `)` is missing")
        self._at += 1
        return item

    def _escape(self) -> Item:
        char = self._take()
        if char in "AZbB":
            return Assertion(char)
        if char in _CLASSES:
            return Chars(_CLASSES[char])
        return Chars(self._one(self._escaped(char)))

    def _escaped(self, char: str) -> str:
        """The character that a backslash and `char` stand for."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        digits = _HEX.match(self._text, self._at - 1)
        if digits:
            self._at = digits.end()
            return chr(int(digits[1] or digits[2], 16))
        if char.isdigit():
            raise self._error("back references are not supported")
        if char.isalpha() and char.isascii():
            raise self._error(f"unknown escape \\{char}")
        return char

    def _set(self) -> Test:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Test] = []
        first = self._at
        while self._peek() != "]" or self._at == first:
            tests.append(self._member())
        self._at += 1
        members = tuple(tests)
        if negated:
            return lambda char: not any(test(char) for test in members)
        return lambda char: any(test(char) for test in members)

    def _member(self) -> Test:
        low = self._member_char()
        if not isinstance(low, str):
            return low
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return self._one(low)
        self._at += 1
        high = self._member_char()
        if not isinstance(high, str) or high < low:
            raise self._error("a range in brackets goes from a lower to a higher character")
        return self._folded(lambda char: low <= char <= high)

    def _member_char(self) -> str | Test:
        char = self._take()
        if char != "\\":
            return char
        char = self._take()
        if char in _CLASSES:
            return _CLASSES[char]
        return "\b" if char == "b" else self._escaped(char)

    def _one(self, wanted: str) -> Test:
        return self._folded(lambda char: char == wanted)

    def _folded(self, test: Test) -> Test:
        if "i" not in self._flags:
            return test
        return lambda char: test(char) or test(char.lower()) or test(char.upper())
