"""What a lease is: the id and description of an executor, and what both kinds of lease have in common."""

from __future__ import annotations

import dataclasses
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from kurt.types import JsonObject

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,180}")


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """A live executor.

    Attributes:
        id: its executor id.
        kind: `run`, `worker` or `session`.
        host: name of the machine on which it runs.
        pid: its process id there.
        started_at: when it took its lease, UTC in ISO 8601.
        metadata: what else it says about itself: `queues`, `run_id`...
    """

    id: str
    kind: str
    host: str
    pid: int
    started_at: str
    metadata: JsonObject = field(default_factory=dict)

    @property
    def queues(self) -> list[str]:
        """The named queues that it serves."""
        return list(self.metadata.get("queues") or [])

    def to_json(self) -> JsonObject:
        """The executor as one flat JSON object."""
        own = {
            "id": self.id,
            "kind": self.kind,
            "host": self.host,
            "pid": self.pid,
            "started_at": self.started_at,
        }
        return {**self.metadata, **own}

    @classmethod
    def from_json(cls, executor_id: str, value: JsonObject) -> ExecutorInfo:
        """Undo `to_json`; what is missing is taken from the id where it can be."""
        known = {"id", "kind", "host", "pid", "started_at"}
        return cls(
            id=executor_id,
            kind=str(value.get("kind") or executor_id.partition("-")[0]),
            host=str(value.get("host") or ""),
            pid=int(value.get("pid") or 0),
            started_at=str(value.get("started_at") or ""),
            metadata={key: item for key, item in value.items() if key not in known},
        )


class Executors(Protocol):
    """The executors of a project, seen from any process."""

    def live(self) -> list[ExecutorInfo]:
        """Those that live, oldest first."""
        ...

    def alive(self) -> set[str]:
        """Ids of those that live."""
        ...

    def is_alive(self, executor_id: str) -> bool:
        """Whether this one lives."""
        ...


class Lease(ABC):
    """The lease of this process; as a context manager it is taken and given up.

    Args:
        info: what others see of this executor.
    """

    def __init__(self, info: ExecutorInfo) -> None:
        self._info = info

    @property
    def id(self) -> str:
        """The executor id."""
        return self._info.id

    @property
    @abstractmethod
    def lost(self) -> bool:
        """Whether others may believe that this executor is dead although it lives."""

    @abstractmethod
    def acquire(self) -> None:
        """Take the lease; from now on others see this executor. Does nothing when it is held.

        Raises:
            StorageError: it cannot be written.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the lease up; does nothing when it is not held, and in a forked child."""

    def update(self, **metadata: Any) -> None:
        """Change or add facts that others see; None removes one.

        Raises:
            StorageError: they cannot be written.
        """
        merged = {**self._info.metadata, **metadata}
        kept = {key: value for key, value in merged.items() if value is not None}
        self._info = dataclasses.replace(self._info, metadata=kept)
        self._publish()

    @abstractmethod
    def _publish(self) -> None:
        """Show the present description to others, if the lease is held."""

    @abstractmethod
    def live(self) -> list[ExecutorInfo]:
        """The executors that live, oldest first."""

    @abstractmethod
    def alive(self) -> set[str]:
        """Ids of those that live."""

    @abstractmethod
    def is_alive(self, executor_id: str) -> bool:
        """Whether this one lives."""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def new_executor_id(kind: str) -> str:
    """`<kind>-<host>-<pid>-<8 hex>`: never given twice, fit for a file name."""
    host = re.sub(r"[^A-Za-z0-9_.]", "_", os.uname().nodename)[:60] or "host"
    return f"{kind}-{host}-{os.getpid()}-{os.urandom(4).hex()}"


def describe(executor_id: str, kind: str, metadata: JsonObject | None = None) -> ExecutorInfo:
    """This process as an executor that starts now."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ExecutorInfo(executor_id, kind, os.uname().nodename, os.getpid(), started, dict(metadata or {}))


def safe_id(executor_id: str) -> bool:
    """Whether the id may be part of a file name; ids come from the database, where anything may stand."""
    return _SAFE_ID.fullmatch(executor_id) is not None


def oldest_first(found: Iterable[ExecutorInfo]) -> list[ExecutorInfo]:
    """In the order of their start."""
    return sorted(found, key=lambda info: (info.started_at, info.id))
