"""The settings with which DBOS is launched and its client is made.

Facts behind each value: DBOS defaults to pickled values, one executor id for every process, an application version made
from source hashes, and a one-second listener that delays every shutdown; Kurt needs other choices in each case.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dbos import DBOSClient, DBOSConfig, Serializer
from sqlalchemy.exc import DBAPIError

from kurt.db.engine import system_engine
from kurt.db.failures import storage_error
from kurt.errors import ConfigError
from kurt.runtime import names, serializer

if TYPE_CHECKING:
    from collections.abc import Generator

    from kurt.config import Settings

OWNED_BY_KURT = frozenset(
    {
        "name",
        "system_database_url",
        "system_database_engine",
        "application_version",
        "executor_id",
        "serializer",
        "enable_patching",
        "run_migrations",
        "sharding",
        "log_level",
        "console_log_level",
    }
)
"""Keys of DBOS's configuration that a project's `DBOS.<KEY>` settings may not change."""

QUEUE_POLL = 0.2
"""Seconds between two looks at a queue by the executors that serve it."""

ITEMS_POLL = 1.0
"""Seconds between two looks at a queue of recovered children; they are rare."""

_LISTENER_POLL = 0.05


class KurtSerializer(Serializer):
    """`kurt_json` as DBOS wants it."""

    def serialize(self, data: Any) -> str:
        return serializer.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        return serializer.loads(serialized_data)

    def name(self) -> str:
        return serializer.NAME


def dbos_config(settings: Settings, executor_id: str) -> DBOSConfig:
    """The configuration for an executor of this project."""
    config: dict[str, Any] = {
        "name": names.APPLICATION_NAME,
        "system_database_url": settings.database_url,
        "system_database_engine": system_engine(settings),
        "application_version": names.APPLICATION_VERSION,
        "executor_id": executor_id,
        "serializer": KurtSerializer(),
        "run_migrations": False,
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": _LISTENER_POLL,
        "scheduler_polling_interval_sec": 1.0,
    }
    config.update(_passed_through(settings))
    return DBOSConfig(**config)


def _passed_through(settings: Settings) -> dict[str, Any]:
    """The project's own `DBOS.<KEY>` settings."""
    chosen: dict[str, Any] = {}
    for key, value in settings.items():
        if not key.startswith("DBOS."):
            continue
        name = key.removeprefix("DBOS.").lower()
        if name in OWNED_BY_KURT:
            raise ConfigError(
                f"{key} cannot be set: Kurt itself chooses it", hint=f"remove the line {key}=..."
            )
        if name not in DBOSConfig.__annotations__:
            raise ConfigError(f"{key} is not a setting of DBOS 3.4", hint=f"remove the line {key}=...")
        chosen[name] = _number(value)
    return chosen


def _number(value: Any) -> Any:
    """DBOS compares numbers; settings that it passes on are text."""
    if not isinstance(value, str):
        return value
    if value.lower() in {"true", "false"}:
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


@contextmanager
def open_client(settings: Settings) -> Generator[DBOSClient]:
    """A client of the project's database: acts on runs without launching DBOS.

    What it writes outlives a power cut: an acknowledged enqueue must not vanish.

    Raises:
        StorageError: the database or the disk refuses, also while the client is used.
    """
    quiet_dbos()
    engine = system_engine(settings, synchronous="full")
    try:
        client = DBOSClient(
            system_database_url=settings.database_url,
            system_database_engine=engine,
            serializer=KurtSerializer(),
            application_name=names.APPLICATION_NAME,
            retry_connection_errors=False,
        )
        try:
            yield client
        finally:
            client.destroy()
    except DBAPIError as error:
        raise storage_error(settings, error) from error
    finally:
        engine.dispose()


def quiet_dbos() -> None:
    """Send what DBOS logs to Python's logging alone: standard error belongs to the command."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    for handler in list(logger.handlers):
        if handler.name == "__dbos_console_log_handler__":
            logger.removeHandler(handler)
    logger.propagate = True
