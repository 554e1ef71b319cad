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


class LeftWaitingError(InterruptedRunError):
    """Ctrl-C came while the run waited for people: it goes on waiting.

    Attributes:
        run_id: the run.
        is_timed: it waits only until some time, so that a worker must take it up.
    """

    run_id = ""
    is_timed = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who watches a foreground run.

    Attributes:
        listener: told of steps and items.
        on_start: told the run's id once this process can execute it.
        tick: called about twenty times a second while the run works.
        on_interrupt: told `cancelling` at the first Ctrl-C, and `cancelled` once the run is.
        on_leave: told that the process ends now, at the second Ctrl-C; called from a signal handler.
        on_trouble: told when the database refuses; the run waits for it.
    """

    listener: Listener | None = None
    on_start: Callable[[str], None] | None = None
    tick: Callable[[], None] | None = None
    on_interrupt: Callable[[str], None] | None = None
    on_leave: Callable[[], None] | None = None
    on_trouble: Callable[[StorageError], None] | None = None
