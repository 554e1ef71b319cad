"""The states of runs as people see them, and what they are in the database."""

from __future__ import annotations

SCHEDULED = "scheduled"
QUEUED = "queued"
RUNNING = "running"
INTERRUPTED = "interrupted"
WAITING = "waiting"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
STUCK = "stuck"

STATES = (SCHEDULED, QUEUED, RUNNING, INTERRUPTED, WAITING, SUCCEEDED, FAILED, CANCELLED, STUCK)
"""All states, in the order of a run's life."""

OVER = frozenset({SUCCEEDED, FAILED, CANCELLED, STUCK})
"""States in which a run does nothing more by itself."""

PENDING = "PENDING"
"""What DBOS calls a run that somebody owns, whether the owner lives or not."""

_SHOWN = {
    "DELAYED": SCHEDULED,
    "ENQUEUED": QUEUED,
    "SUCCESS": SUCCEEDED,
    "ERROR": FAILED,
    "CANCELLED": CANCELLED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": STUCK,
}
_STORED = {shown: stored for stored, shown in _SHOWN.items()}
_OWNED = frozenset({RUNNING, INTERRUPTED, WAITING})


def shown_state(stored: str | None, *, waiting: bool, owner_alive: bool) -> str:
    """What people see.

    Args:
        stored: DBOS's state.
        waiting: whether the run says that it waits for a person, a message or a time.
        owner_alive: whether the executor that owns it holds its lease.
    """
    if stored == PENDING:
        if waiting:
            return WAITING
        return RUNNING if owner_alive else INTERRUPTED
    return _SHOWN.get(stored or "", (stored or "unknown").lower())


def stored_state(shown: str) -> str:
    """DBOS's name for a state; three of ours are one of DBOS's.

    Raises:
        ValueError: there is no such state.
    """
    if shown in _OWNED:
        return PENDING
    if shown not in _STORED:
        raise ValueError(f"{shown!r} is not a state of a run; there are {', '.join(STATES)}")
    return _STORED[shown]
