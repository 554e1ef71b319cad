"""Queues that code declares: `queue("mail", concurrency=2)` at the top of a module.

Declaring touches no database. A process that serves queues registers those that it knows when it launches, and serves
them; one that is declared later is registered with its first run. What the code says of its limits counts then,
whatever `kurt queues update` has made of them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.errors import UsageError
from kurt.runtime.queues import QueueLimits, check_queue_name, declare_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dbos import DBOSClient, WorkflowHandle

    from kurt.config import Settings

_declared: dict[str, DeclaredQueue] = {}
_registered: set[tuple[str, str]] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue with its limits.

    Attributes:
        name: its name.
        limits: its bounds.
    """

    name: str
    limits: QueueLimits

    def enqueue(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Put a workflow on the queue, and see to a worker; call it in a workflow, or anywhere outside of one.

        Args:
            function: a `@DBOS.workflow()` function.
            args: its arguments.
            kwargs: its arguments by name.

        Returns:
            DBOS's handle; its `get_result()` waits.

        Raises:
            UsageError: it is no workflow, or the caller is in a step.
            KurtError: no worker could be started; the run stays queued.
        """
        from kurt.config.current import current_settings  # noqa: PLC0415 - as below
        from kurt.runtime.queueing import enqueue_here  # noqa: PLC0415 - loads DBOS; declaring does not

        self.registered(current_settings())
        return enqueue_here(self.name, function, args, kwargs)

    def registered(self, settings: Settings) -> None:
        """See that the project's database knows the queue."""
        key = (settings.database_url, self.name)
        if key in _registered:
            return
        from kurt.runtime.engine import open_client  # noqa: PLC0415 - as above

        with open_client(settings) as client:
            declare_queue(client, self.name, self.limits)
        with _lock:
            _registered.add(key)


def queue(
    name: str,
    *,
    concurrency: int | None = None,
    worker_concurrency: int | None = None,
    rate: tuple[int, float] | None = None,
) -> DeclaredQueue:
    """Declare a queue of the project; to be called at the top of a module.

    Args:
        name: its name.
        concurrency: runs at work at once over all workers.
        worker_concurrency: runs at work at once in one worker.
        rate: runs that may start within a period, and that period in seconds: `(100, 60)`.

    Raises:
        UsageError: the name cannot be, or it was declared with other limits.
    """
    limits = QueueLimits(concurrency=concurrency, worker_concurrency=worker_concurrency, rate=rate)
    made = DeclaredQueue(check_queue_name(name), limits)
    with _lock:
        known = _declared.setdefault(name, made)
    if known != made:
        raise UsageError(
            f"the queue {name!r} is declared twice, with different limits",
            hint="declare it in one module and import it from there",
        )
    return known


def declared() -> list[str]:
    """Names of the queues that this process knows so far."""
    return sorted(_declared)


def register_all(client: DBOSClient, wanted: Collection[str]) -> None:
    """Register those of the named queues that were declared, with their limits."""
    for name in wanted:
        if (found := _declared.get(name)) is not None:
            declare_queue(client, name, found.limits)
