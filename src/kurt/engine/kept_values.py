"""Values of steps that are kept for later runs, in the table `step_cache`: reads and writes of many steps go together."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from kurt.db.models import UtcDateTime
from kurt.runtime import serializer
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("kurt.engine.cache")

LARGEST = 5_000_000
"""Characters of a value's JSON that are kept at most."""

_MOST = 500
_FORMAT = 1

_CACHE = sa.table(
    "step_cache",
    sa.column("key", sa.Text),
    sa.column("tenant", sa.Text),
    sa.column("workflow", sa.Text),
    sa.column("step", sa.Text),
    sa.column("run_id", sa.Text),
    sa.column("value", sa.Text),
    sa.column("created_at", UtcDateTime),
    sa.column("expires_at", UtcDateTime),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that an earlier run has kept.

    Attributes:
        value: the value.
        run_id: the run.
        at: when, in ISO 8601.
    """

    value: Json
    run_id: str
    at: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose value it is.

    Attributes:
        tenant: workspace and user; one tenant never sees another's.
        workflow: the workflow's name.
        step: the step's path without the keys of items.
    """

    tenant: str
    workflow: str
    step: str

    def key(self, inputs: JsonObject) -> str:
        """What a value is stored under: a digest, so nothing of the inputs can be read from it."""
        parts = [_FORMAT, self.tenant, self.workflow, self.step, inputs]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class KeptValues:
    """The values of one step, as an execution of it sees them.

    A database that refuses costs no step: its work is then done again, and the log says so.

    Args:
        engine: the project's database.
        owner: whose they are.
        run_id: the run that keeps what is new.
        lifetime: how long that counts; None for ever.
        warn: told what could not be kept.
    """

    def __init__(
        self,
        engine: sa.Engine,
        owner: Owner,
        *,
        run_id: str,
        lifetime: float | None,
        warn: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._run_id = run_id
        self._lifetime = None if lifetime is None else timedelta(seconds=lifetime)
        self._warn = warn
        self._asked: dict[str, asyncio.Future[Kept | None]] = {}
        self._new: dict[str, str] = {}
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    def key(self, inputs: JsonObject) -> str:
        """What a value is stored under."""
        return self._owner.key(inputs)

    async def get(self, key: str) -> Kept | None:
        """The stored value, or None; those that are asked for while others are being read are read together."""
        found = self._asked.get(key)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._asked[key] = loop.create_future()
            if self._reader is None or self._reader.done():
                self._reader = loop.create_task(self._read())
        return await asyncio.shield(found)

    def put(self, key: str, value: Json) -> None:
        """Have a value stored, soon."""
        text = serializer.dumps(value)
        if len(text) > LARGEST:
            self._warn(f"its value of {len(text):,} characters is not kept: {LARGEST:,} are the most")
            return
        self._new[key] = text
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def flush(self) -> None:
        """Wait until all values are stored."""
        if self._writer is not None:
            await asyncio.shield(self._writer)

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await asyncio.to_thread(self._select, list(asked))
            except SQLAlchemyError as error:
                self._warn(f"kept values cannot be read, so the work is done again: {type(error).__name__}")
                found = {}
            for key, future in asked.items():
                if not future.done():
                    future.set_result(found.get(key))

    async def _write(self) -> None:
        while self._new:
            new, self._new = self._new, {}
            try:
                await asyncio.to_thread(partial(self._upsert, new))
            except SQLAlchemyError as error:
                self._warn(f"{len(new)} values cannot be kept for later runs: {type(error).__name__}")

    def _select(self, keys: list[str]) -> dict[str, Kept]:
        now = datetime.now(UTC)
        found: dict[str, Kept] = {}
        alive = sa.or_(_CACHE.c.expires_at.is_(None), _CACHE.c.expires_at > now)
        columns = (_CACHE.c.key, _CACHE.c.value, _CACHE.c.run_id, _CACHE.c.created_at)
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _MOST):
                some = keys[start : start + _MOST]
                query = sa.select(*columns).where(
                    _CACHE.c.key.in_(some), _CACHE.c.tenant == self._owner.tenant, alive
                )
                for key, value, run_id, at in connection.execute(query):
                    found[key] = Kept(serializer.loads(value), run_id, at.isoformat(timespec="seconds"))
        return found

    def _upsert(self, new: dict[str, str]) -> None:
        now = datetime.now(UTC)
        owner = self._owner
        rows = [
            {
                "key": key,
                "tenant": owner.tenant,
                "workflow": owner.workflow,
                "step": owner.step,
                "run_id": self._run_id,
                "value": text,
                "created_at": now,
                "expires_at": None if self._lifetime is None else now + self._lifetime,
            }
            for key, text in new.items()
        ]
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(_CACHE)
        fresh = {name: insert.excluded[name] for name in ("run_id", "value", "created_at", "expires_at")}
        with self._engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_=fresh), rows)
