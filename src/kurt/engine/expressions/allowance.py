"""How much work and memory one evaluation of an expression may take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kurt.types import Json

MAX_WORK = 20_000_000
"""Work that one evaluation may do; a second or two of processor time."""
MAX_TEXT = 10_000_000
MAX_ITEMS = 1_000_000
MAX_BITS = 1024
_MAX_ROOM = 3 * MAX_TEXT
_ROOM_OF_ITEM = 16


class LimitError(ValueError):
    """An evaluation goes beyond what one expression may take."""


class Allowance:
    """What is left for one evaluation: work, in items looked at, and room for the texts and lists that it makes."""

    __slots__ = ("_left", "_room")

    def __init__(self, work: int = MAX_WORK) -> None:
        self._left = work
        self._room = _MAX_ROOM

    def charge(self, work: int) -> None:
        """Take some work away.

        Raises:
            LimitError: nothing is left.
        """
        self._left -= work
        if self._left < 0:
            raise LimitError("it takes more work than one expression may")

    def made(self, value: Json) -> Json:
        """Charge for a text or list that was made; gives the value back.

        Raises:
            LimitError: no room is left.
        """
        if isinstance(value, str):
            self._room -= len(value)
        elif isinstance(value, list | tuple | dict):
            self._room -= len(value) * _ROOM_OF_ITEM
        if self._room < 0:
            raise LimitError("it makes more text and lists than one expression may")
        return value

    def charge_for(self, value: Json) -> None:
        """Charge for looking at a whole value, down to its leaves."""
        todo: list[Any] = [value]
        while todo:
            item = todo.pop()
            if isinstance(item, Mapping):
                self.charge(len(item))
                todo.extend(item.values())
            elif isinstance(item, list | tuple):
                self.charge(len(item))
                todo.extend(item)
            elif isinstance(item, str):
                self.charge(1 + len(item) // 64)

    def text(self, value: Json) -> str:
        """The value as text: a string as it is, everything else as JSON.

        Raises:
            LimitError: the text would be too long.
        """
        return value if isinstance(value, str) else self.json(value)

    def json(self, value: Json) -> str:
        """The value as JSON, written piece by piece so that it can stop.

        Raises:
            LimitError: the text would be too long.
        """
        if not isinstance(value, dict | list | tuple):
            return json.dumps(value, ensure_ascii=False)
        pieces: list[str] = []
        length = 0
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            length += len(piece)
            self.charge(1 + len(piece) // 64)
            check_text_length(length)
            pieces.append(piece)
        return "".join(pieces)


def check_text_length(length: int) -> None:
    """Refuse a text that would be too long.

    Raises:
        LimitError: it would.
    """
    if length > MAX_TEXT:
        raise LimitError(f"the text would be longer than {MAX_TEXT} characters")


def check_item_count(count: int) -> None:
    """Refuse a list or mapping that would be too large.

    Raises:
        LimitError: it would.
    """
    if count > MAX_ITEMS:
        raise LimitError(f"the list would have more than {MAX_ITEMS} items")
