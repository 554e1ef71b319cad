"""Putting a run on a queue, with an id that is known before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbos import DebouncerClient
from dbos import error as dbos_error

from kurt.errors import ConflictError, UsageError
from kurt.runtime import names
from kurt.runtime.queues import require_queue

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Start once, after a time without another request.

    Attributes:
        key: requests with the same key are one.
        period: seconds without a request after which the run starts.
        longest: seconds after the first request at which it starts all the same; None for no limit.
    """

    key: str
    period: float
    longest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where, when and how often a run is to start.

    Attributes:
        queue: the named queue.
        priority: low numbers first; None is highest.
        delay: seconds until it may start.
        timeout: seconds after its start at which it is cancelled.
        dedup_id: while a run with this id waits or works on the queue, no second one starts.
        return_existing: give the id of that run instead of refusing.
        partition_key: key on a partitioned queue.
        debounce: start once for many requests.
    """

    queue: str = names.DEFAULT_QUEUE
    priority: int | None = None
    delay: float | None = None
    timeout: float | None = None
    dedup_id: str | None = None
    return_existing: bool = False
    partition_key: str | None = None
    debounce: Debounce | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be put on a queue.

    Attributes:
        workflow: durable name of the DBOS workflow.
        run_id: its id.
        arguments: positional arguments, JSON.
        keywords: arguments by name, JSON.
        attributes: Kurt's facts about the run, shown in lists.
        user_id: whose run it is.
    """

    workflow: str
    run_id: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = None


def enqueue(client: DBOSClient, run: NewRun, placement: Placement) -> str:
    """Put a run on its queue; the id of the run that stands for it, which may be an earlier one.

    Raises:
        NotFoundError: no such queue.
        UsageError: the queue does not allow what is asked.
        ConflictError: a run with the same deduplication id is on the queue.
    """
    _check_placement(client, placement)
    options = _options(run, placement)
    try:
        if placement.debounce is not None:
            return _debounced(client, run, options, placement.debounce)
        return client.enqueue(options, *run.arguments, **dict(run.keywords)).get_workflow_id()
    except dbos_error.DBOSQueueDeduplicatedError as error:
        raise ConflictError(
            f"a run with the deduplication id {placement.dedup_id!r} is on the queue {placement.queue!r}",
            hint="wait for it, or pass --on-duplicate return-existing",
        ) from error


def _check_placement(client: DBOSClient, placement: Placement) -> None:
    limits = require_queue(client, placement.queue).limits
    if limits.partitioned and placement.partition_key is None:
        raise UsageError(f"the queue {placement.queue!r} is partitioned", hint="pass --partition-key KEY")
    if placement.partition_key is not None and not limits.partitioned:
        raise UsageError(
            f"the queue {placement.queue!r} is not partitioned", hint="leave --partition-key out"
        )
    if limits.partitioned and (placement.dedup_id or placement.debounce):
        raise UsageError(
            f"the queue {placement.queue!r} is partitioned, and such queues know no deduplication",
            hint="leave --dedup-id and --debounce out, or use another queue",
        )
    if placement.debounce and (placement.dedup_id or placement.delay or placement.priority is not None):
        raise UsageError(
            "--debounce cannot be combined with --dedup-id, --in, --at or --priority",
            hint="leave the others out",
        )


def _options(run: NewRun, placement: Placement) -> EnqueueOptions:
    options: EnqueueOptions = {
        "workflow_name": run.workflow,
        "queue_name": placement.queue,
        "workflow_id": run.run_id,
        "app_version": names.APPLICATION_VERSION,
        "attributes": {names.ATTRIBUTES_KEY: {**run.attributes, "queue": placement.queue}},
    }
    if placement.priority is not None:
        options["priority"] = placement.priority
    if placement.delay is not None:
        options["delay_seconds"] = placement.delay
    if placement.timeout is not None:
        options["workflow_timeout"] = placement.timeout
    if placement.dedup_id is not None:
        options["deduplication_id"] = placement.dedup_id
        options["duplication_policy"] = "return-existing" if placement.return_existing else "reject"
    if placement.partition_key is not None:
        options["queue_partition_key"] = placement.partition_key
    if run.user_id is not None:
        options["authenticated_user"] = run.user_id
    return options


def _debounced(client: DBOSClient, run: NewRun, options: EnqueueOptions, debounce: Debounce) -> str:
    debouncer = DebouncerClient(client, options, debounce_timeout_sec=debounce.longest)
    # Many workflow files are one DBOS workflow, so the file is part of the key.
    key = f"{run.attributes.get('file') or run.attributes.get('workflow')}:{debounce.key}"
    return debouncer.debounce(key, debounce.period, *run.arguments, **dict(run.keywords)).get_workflow_id()
