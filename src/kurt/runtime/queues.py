"""Named queues: rows that every worker reads, with limits that may change while they run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kurt.errors import ConflictError, NotFoundError, UsageError
from kurt.runtime import names
from kurt.runtime.engine import ITEMS_POLL, QUEUE_POLL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbos import DBOSClient, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What bounds a queue; None means no bound.

    Attributes:
        concurrency: runs at work at once over all workers.
        worker_concurrency: runs at work at once in one worker.
        rate: runs started within `period`, and that period in seconds.
        partition_concurrency: runs at work at once for one partition key.
        partition_worker_concurrency: the same in one worker.
        partition_rate: runs started within a period for one partition key.
    """

    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate: tuple[int, float] | None = None
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    partition_rate: tuple[int, float] | None = None

    @property
    def partitioned(self) -> bool:
        """True when each run on the queue needs a partition key."""
        return any((self.partition_concurrency, self.partition_worker_concurrency, self.partition_rate))

    def to_json(self) -> dict[str, Any]:
        """The limits as JSON; a rate is `{"limit", "period"}`."""
        return {
            key: {"limit": value[0], "period": value[1]} if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as it is registered.

    Attributes:
        name: its name.
        limits: its bounds.
    """

    name: str
    limits: QueueLimits

    def to_json(self) -> dict[str, Any]:
        """The queue as JSON."""
        return {"name": self.name, **self.limits.to_json()}


def check_queue_name(name: str) -> str:
    """The name, if a queue may have it.

    Raises:
        UsageError: it is empty or belongs to Kurt or DBOS.
    """
    reserved = name.startswith(("_dbos", names.PRIVATE_PREFIX)) or name.endswith(names.ITEMS_SUFFIX)
    if reserved or not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(
            f"{name!r} is not a name for a queue",
            hint="use letters, digits, '-', '_' and '.', not ending in '.items'",
        )
    return name


def list_queues(client: DBOSClient) -> list[QueueInfo]:
    """The registered queues by name; those that Kurt keeps for itself are left out."""
    found = [_info(queue) for queue in client.list_queues() if not _internal(queue.name)]
    return sorted(found, key=lambda queue: queue.name)


def require_queue(client: DBOSClient, name: str) -> QueueInfo:
    """The queue of that name.

    Raises:
        NotFoundError: no such queue: DBOS would accept work on it and leave it there for ever.
    """
    queue = client.retrieve_queue(name)
    if queue is None:
        raise NotFoundError(f"there is no queue {name!r}", hint=f"kurt queues create {name}")
    return _info(queue)


def create_queue(client: DBOSClient, name: str, limits: QueueLimits | None = None) -> QueueInfo:
    """Register a queue.

    Raises:
        ConflictError: it exists already.
    """
    if client.retrieve_queue(check_queue_name(name)) is not None:
        raise ConflictError(f"the queue {name!r} exists already", hint=f"kurt queues update {name} ...")
    return _register(client, name, limits or QueueLimits())


def update_queue(client: DBOSClient, name: str, limits: QueueLimits) -> QueueInfo:
    """Replace the limits of a queue; running workers follow at their next look."""
    require_queue(client, name)
    return _register(client, name, limits)


def delete_queue(client: DBOSClient, name: str) -> None:
    """Remove a queue that holds no work.

    Raises:
        ConflictError: runs still wait on it, or it is the default queue.
    """
    require_queue(client, name)
    if name == names.DEFAULT_QUEUE:
        raise ConflictError("the queue 'default' cannot be deleted", hint="kurt queues update default ...")
    waiting = client.list_queued_workflows(queue_name=name, limit=1, load_input=False)
    if waiting:
        raise ConflictError(
            f"runs still wait on the queue {name!r}",
            hint=f"kurt workflows list --queue {name}, then cancel them",
        )
    client.delete_queue(name)
    client.delete_queue(names.items_queue(name))


def ensure_queues(client: DBOSClient, wanted: Iterable[str]) -> None:
    """Register those of the named queues that are missing, each with its items queue."""
    known = {queue.name for queue in client.list_queues()}
    for name in wanted:
        if name not in known or names.items_queue(name) not in known:
            _register(client, name, QueueLimits(), on_conflict="never_update")


def declare_queue(client: DBOSClient, name: str, limits: QueueLimits) -> QueueInfo:
    """Register a queue as code declares it, whether it is there or not."""
    return _register(client, name, limits)


def register_private(client: DBOSClient, executor_id: str) -> str:
    """Register the queue that only this executor serves; its name."""
    name = names.private_queue(executor_id)
    client.register_queue(name, polling_interval_sec=0.05)
    return name


def _register(
    client: DBOSClient, name: str, limits: QueueLimits, *, on_conflict: Any = "always_update"
) -> QueueInfo:
    client.register_queue(
        name,
        global_concurrency=limits.concurrency,
        worker_concurrency=limits.worker_concurrency,
        limiter=_limiter(limits.rate),
        partition_concurrency=limits.partition_concurrency,
        partition_worker_concurrency=limits.partition_worker_concurrency,
        partition_limiter=_limiter(limits.partition_rate),
        polling_interval_sec=QUEUE_POLL,
        on_conflict=on_conflict,
    )
    client.register_queue(names.items_queue(name), polling_interval_sec=ITEMS_POLL, on_conflict=on_conflict)
    return QueueInfo(name, limits)


def _limiter(rate: tuple[int, float] | None) -> Any:
    return {"limit": rate[0], "period": rate[1]} if rate else None


def _rate(limiter: Any) -> tuple[int, float] | None:
    return (int(limiter["limit"]), float(limiter["period"])) if limiter else None


def _internal(name: str) -> bool:
    return name.endswith(names.ITEMS_SUFFIX) or name.startswith((names.PRIVATE_PREFIX, "_dbos"))


def _info(queue: Queue) -> QueueInfo:
    """DBOS's cached fields: its accessors read the database once more each."""
    field = lambda name: getattr(queue, name, None)  # noqa: E731 - seven reads of private names in one place
    limits = QueueLimits(
        concurrency=field("_concurrency"),
        worker_concurrency=field("_worker_concurrency"),
        rate=_rate(field("_limiter")),
        partition_concurrency=field("_partition_concurrency"),
        partition_worker_concurrency=field("_partition_worker_concurrency"),
        partition_rate=_rate(field("_partition_limiter")),
    )
    return QueueInfo(queue.name, limits)
