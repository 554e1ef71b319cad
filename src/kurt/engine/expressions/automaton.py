"""Running a pattern: an automaton that is built while it reads, with an allowance for its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from kurt.engine.expressions.patterns import (
    Assertion,
    Chars,
    Choice,
    Item,
    PatternError,
    Repeat,
    Sequence,
    Test,
    is_word,
    parse_pattern,
    shortened,
)

_MAX_CODES = 3000
_MAX_CACHE = 20_000
_WORK_OF_CODE = 20
"""What a new state costs for each instruction, measured against one known state."""
_END = "end"
_LAST_NEWLINE = "last newline"
_Key: TypeAlias = tuple[frozenset[int], str, str]


@dataclass(slots=True)
class _Code:
    """One instruction: consume a character (`test`), hold at a place (`place`), or fork; then go to `targets`."""

    test: Test | None = None
    place: str | None = None
    targets: tuple[int, ...] = ()


class Pattern:
    """A compiled pattern; thread-safe, because a lost cache entry is only computed again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._codes: list[_Code] = []
        self._accept = self._emit_code(_Code())
        self._start = frozenset({self._emit(parse_pattern(text), self._accept)})
        self._has_places = any(code.place for code in self._codes)
        self._cache: dict[_Key, frozenset[int] | None] = {}
        self._states: dict[frozenset[int], frozenset[int]] = {self._start: self._start}

    def search(self, text: str, charge: Callable[[int], None]) -> bool:
        """Whether the pattern fits anywhere in the text.

        Args:
            text: where to look.
            charge: told of each piece of work before it is done; raises to stop.
        """
        charge(len(text))
        states: frozenset[int] | None = self._start
        last = len(text) - 1
        before = _END if self._has_places else ""
        for index, char in enumerate(text):
            after = _LAST_NEWLINE if char == "\n" and index == last else char
            states = self._next((states, before, after), charge)
            if states is None:
                return True
            if self._has_places:
                before = _place_class(char)
        return self._next((states, before, _END), charge) is None

    def _next(self, key: _Key, charge: Callable[[int], None]) -> frozenset[int] | None:
        """The states after one more character; None when the pattern has been found."""
        try:
            return self._cache[key]
        except KeyError:
            pass
        charge(len(self._codes) * _WORK_OF_CODE)
        if len(self._cache) >= _MAX_CACHE:
            self._cache.clear()
            self._states.clear()
        found = self._step(*key)
        if found is not None:
            found = self._states.setdefault(found, found)  # one object each: keys then compare by identity
        self._cache[key] = found
        return found

    def _step(self, states: frozenset[int], before: str, after: str) -> frozenset[int] | None:
        char = "\n" if after == _LAST_NEWLINE else after
        reached = set(self._start)
        for index in self._closure(states, before, after):
            code = self._codes[index]
            if index == self._accept:
                return None
            if code.test is not None and char != _END and code.test(char):
                reached.update(code.targets)
        return frozenset(reached)

    def _closure(self, states: frozenset[int], before: str, after: str) -> set[int]:
        """All states that are reached without a character."""
        seen: set[int] = set()
        todo = list(states)
        while todo:
            index = todo.pop()
            if index in seen:
                continue
            seen.add(index)
            code = self._codes[index]
            if code.test is None and (code.place is None or _holds(code.place, before, after)):
                todo.extend(code.targets)
        return seen

    def _emit_code(self, code: _Code) -> int:
        if len(self._codes) >= _MAX_CODES:
            raise PatternError(
                f"the pattern {shortened(self.text)} is too large once its repeats are written out"
            )
        self._codes.append(code)
        return len(self._codes) - 1

    def _emit(self, item: Item, then: int) -> int:
        """Add the codes of an item that goes on to `then`; returns its first code."""
        match item:
            case Chars():
                return self._emit_code(_Code(test=item.test, targets=(then,)))
            case Assertion():
                return self._emit_code(_Code(place=item.kind, targets=(then,)))
            case Choice():
                return self._emit_code(_Code(targets=tuple(self._emit(part, then) for part in item.items)))
            case Sequence():
                for part in reversed(item.items):
                    then = self._emit(part, then)
                return then
            case Repeat():
                return self._emit_repeat(item, then)

    def _emit_repeat(self, item: Repeat, then: int) -> int:
        if item.most is None:
            loop = self._emit_code(_Code())
            self._codes[loop].targets = (self._emit(item.item, loop), then)
            then = loop
        else:
            end = then
            for _ in range(item.most - item.least):
                then = self._emit_code(_Code(targets=(self._emit(item.item, then), end)))
        for _ in range(item.least):
            then = self._emit(item.item, then)
        return then


def _place_class(before: str) -> str:
    """What assertions need to know of the character before a place."""
    if before in (_END, "\n"):
        return before
    return "w" if is_word(before) else " "


def _holds(place: str, before: str, after: str) -> bool:
    if place in "bB":
        edge = _word_at(before) != _word_at(after)
        return edge == (place == "b")
    return {
        "A": before == _END,
        "^": before in (_END, "\n"),
        "Z": after == _END,
        "$$": after in (_END, _LAST_NEWLINE),
        "$": after in (_END, _LAST_NEWLINE, "\n"),
    }[place]


def _word_at(char: str) -> bool:
    return len(char) == 1 and is_word(char)


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Pattern:
    """The compiled pattern, from a cache.

    Raises:
        PatternError: it is not well formed, too large, or uses back references or look-around.
    """
    return Pattern(text)
