"""Objects that travel to a command beside its command line.

A `cli` step gives a Kurt command real values: the rows of `--data` arrive as a list, not as text that has to be
parsed again. The command line then holds a token in the value's place. Whoever builds the command line asks
`Handoff.token(value)`; a click type that takes objects sets `takes_objects = True` and begins its `convert` with

    found, value = received(text)
    if found:
        return value

Tokens only mean something while their `Handoff` is open, and each has a random part, so that no text which
somebody else wrote is ever taken for one.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType

    from kurt.types import Json

_open: ContextVar[Mapping[str, Any] | None] = ContextVar("kurt_handoff", default=None)


class Handoff:
    """The objects of one command line; a context manager that makes them available to `received`.

    Attributes:
        objects: the values by their tokens.
    """

    def __init__(self, objects: Mapping[str, Json] | None = None) -> None:
        self.objects: dict[str, Json] = dict(objects or {})
        self._nonce = secrets.token_hex(4)
        self._restore: Token[Mapping[str, Any] | None] | None = None

    def token(self, value: Json) -> str:
        """Keep a value and return the text that stands for it, such as `@obj:5f3a90c1:0`."""
        text = f"@obj:{self._nonce}:{len(self.objects)}"
        self.objects[text] = value
        return text

    def __enter__(self) -> Handoff:
        self._restore = _open.set(self.objects)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._restore is not None:
            _open.reset(self._restore)
            self._restore = None


def received(text: object) -> tuple[bool, Json]:
    """The object that a word of the command line stands for.

    Returns:
        `(True, value)` for a token of the open handoff, else `(False, None)`.
    """
    objects = _open.get()
    if objects is None or not isinstance(text, str) or text not in objects:
        return False, None
    return True, objects[text]
