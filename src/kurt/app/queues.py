"""Managing queues of a project."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kurt.db.migrate import ensure_schema
from kurt.runtime import names, queues
from kurt.runtime.engine import open_client

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kurt.config import Settings
    from kurt.runtime.queues import QueueInfo, QueueLimits


@contextmanager
def _client(settings: Settings) -> Generator[DBOSClient]:
    """A client of a database that is there and has the default queue."""
    ensure_schema(settings)
    with open_client(settings) as client:
        queues.ensure_queues(client, [names.DEFAULT_QUEUE])
        yield client


def list_all(settings: Settings) -> list[QueueInfo]:
    """The queues by name."""
    with _client(settings) as client:
        return queues.list_queues(client)


def create(settings: Settings, name: str, limits: QueueLimits) -> QueueInfo:
    """Create a queue; see `kurt.runtime.queues.create_queue`."""
    with _client(settings) as client:
        return queues.create_queue(client, name, limits)


def update(settings: Settings, name: str, limits: QueueLimits) -> QueueInfo:
    """Replace a queue's limits; see `kurt.runtime.queues.update_queue`."""
    with _client(settings) as client:
        return queues.update_queue(client, name, limits)


def delete(settings: Settings, name: str) -> None:
    """Delete an empty queue; see `kurt.runtime.queues.delete_queue`."""
    with _client(settings) as client:
        queues.delete_queue(client, name)
