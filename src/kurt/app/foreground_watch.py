"""Who watches a run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.errors import KurtError

if TYPE_CHECKING:
    from kurt.engine.interpreter.progress import Listener
    from kurt.errors import StorageError


class InterruptedRunError(KurtError):
    """The run was cancelled by Ctrl-C."""

    code = "interrupted"
    exit_code = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who watches a foreground run.

    Attributes:
        listener: told of steps and items.
        on_start: told the run's id before anything else.
        tick: called about twenty times a second while the run works.
        on_trouble: told when the database refuses; the run waits for it.
    """

    listener: Listener | None = None
    on_start: Callable[[str], None] | None = None
    tick: Callable[[], None] | None = None
    on_trouble: Callable[[StorageError], None] | None = None
