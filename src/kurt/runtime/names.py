"""Names that are stored in databases and so outlive a release.

A test holds a recorded list of them: one that disappears or changes would strand the work of an earlier release.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time

from kurt.errors import UsageError

APPLICATION_NAME = "kurt"
"""DBOS application to which all runs belong."""

APPLICATION_VERSION = "kurt-1"
"""Rises only when the interpreter's step order for an unchanged definition changes."""

RUN_WORKFLOW = "kurt.run"
"""The DBOS workflow that interprets a declared workflow."""

BRANCH_WORKFLOW = "kurt.branch"
"""The DBOS workflow of one item or branch of several steps."""

DEFAULT_QUEUE = "default"
"""The queue of runs that name none."""

ITEMS_SUFFIX = ".items"
"""Suffix of the queue to which recovered children of a queue's runs go; it has no limits of its own."""

PRIVATE_PREFIX = "executor."
"""Prefix of the queue that only one foreground executor serves, followed by its id."""

FAILED_ROWS_EVENT = "failed_rows"
"""Event that says how many rows of a run's steps failed without failing the run: `{"rows": 200, "rows_failed": 3}`."""

WAITING_EVENT = "waiting_for"
"""Event that says for what a run waits; see `kurt.runtime.asking`."""

ANSWER_PREFIX = "answer."
"""Prefix of the events that hold the answers of people, followed by the id of the question."""

NOBODY = "nobody"
"""Executor of runs that wait for people and that no process executes meanwhile."""

EVENT_KEYS = (
    "status",
    "started_at",
    "completed_at",
    "current_step",
    "stage",
    "stage_total",
    "stage_current",
    "stage_status",
    "steps",
    WAITING_EVENT,
    "items",
    FAILED_ROWS_EVENT,
)
"""Events that Kurt itself sets on a run."""

PROGRESS_STREAM = "progress"
LOGS_STREAM = "logs"
STREAM_KEYS = (PROGRESS_STREAM, LOGS_STREAM)
"""Streams that Kurt itself writes."""

ATTRIBUTES_KEY = "kurt"
"""The key of a run's attributes under which Kurt keeps its own."""

MOCKED_ATTRIBUTE = "mocked"
"""The one of them that marks a run which only pretends."""

BUDGETS_ATTRIBUTE = "budgets"
"""The one of them that says what files let a run spend which they have started."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def items_queue(queue: str) -> str:
    """The queue to which recovered children of this queue's runs go."""
    return queue if queue.endswith(ITEMS_SUFFIX) else queue + ITEMS_SUFFIX


def private_queue(executor_id: str) -> str:
    """The queue that only this executor serves."""
    return PRIVATE_PREFIX + executor_id


def new_run_id() -> str:
    """A new run id: 26 characters that sort by time of creation (48 bits of milliseconds, 80 random bits)."""
    return _run_id(int(time.time() * 1000), os.urandom(10))


def tick_run_id(schedule_id: str, at: int) -> str:
    """The id of the run that a schedule starts for a time, the same whoever starts it.

    Args:
        schedule_id: the schedule's id, which is never given twice.
        at: the time for which the run is, in milliseconds since the epoch.
    """
    return _run_id(at, hashlib.sha256(json.dumps([schedule_id, at]).encode()).digest()[:10])


def _run_id(milliseconds: int, rest: bytes) -> str:
    number = (milliseconds << 80) | int.from_bytes(rest)
    digits: list[str] = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def child_id(run_id: str, path: str, key: str = "") -> str:
    """Id of a child: the id of the run that the user started, and 16 hexadecimal digits of where it stands.

    Parent, path and key are hashed as a list: joined, step `a` with key `b-c` and step `a-b` with key `c` would be one.
    """
    digest = hashlib.sha256(json.dumps([run_id, path, key]).encode()).hexdigest()[:16]
    return f"{run_id.split('.', 1)[0]}.{digest}"


def check_run_id(run_id: str) -> str:
    """The id, if a run may have it.

    Raises:
        UsageError: it is empty, too long or holds other characters.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
        raise UsageError(f"{run_id!r} is not a run id", hint="use 1 to 100 letters, digits, '-' and '_'")
    return run_id
