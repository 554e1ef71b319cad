"""The cache of answers in the table `llm_cache`: reads and writes of many rows go together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from kurt.llm.background import in_background
from kurt.llm.cache import endpoint_of, request_key
from kurt.llm.types import Response, Usage

if TYPE_CHECKING:
    from kurt.llm.types import Completer, Request
    from kurt.types import JsonObject

_log = logging.getLogger("kurt.llm.cache")

_Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_Moment = sa.DateTime(timezone=True)
_CACHE = sa.table(
    "llm_cache",
    sa.column("key", sa.Text),
    sa.column("tenant", sa.Text),
    sa.column("value", _Json),
    sa.column("usage", _Json),
    sa.column("created_at", _Moment),
    sa.column("expires_at", _Moment),
)
_MOST = 500


class DatabaseCache:
    """Answers that a tenant has paid before.

    A database that refuses costs no row: the answer is then paid again, and the log says so.
    """

    def __init__(self, engine: sa.Engine, *, tenant: str = "", lifetime: timedelta | None = None) -> None:
        """Open a cache.

        Args:
            engine: the project's database.
            tenant: whose answers these are; one tenant never sees another's.
            lifetime: how long an answer counts; None for ever.
        """
        self._engine = engine
        self._tenant = tenant
        self._lifetime = lifetime
        self._asked: dict[str, asyncio.Future[Response | None]] = {}
        self._new: dict[str, Response] = {}
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    def key(self, request: Request, completer: Completer) -> str:
        """What an answer is stored under: all that can change it, and the tenant."""
        return request_key(request, tenant=self._tenant, endpoint=endpoint_of(completer, request.model))

    async def get(self, key: str) -> Response | None:
        """The stored answer, or None; those that are asked for while others are being read are read together."""
        found = self._asked.get(key)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._asked[key] = loop.create_future()
            if self._reader is None or self._reader.done():
                self._reader = loop.create_task(self._read())
        return await asyncio.shield(found)  # one who gives up leaves the others their answer

    def put(self, key: str, response: Response) -> None:
        """Have an answer stored, soon."""
        if not _storable(response.text):
            return
        self._new[key] = response
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def flush(self) -> None:
        """Wait until all answers are stored."""
        if self._writer is not None:
            await asyncio.shield(self._writer)

    async def forget(self, keys: Collection[str]) -> None:
        """Remove answers; what cannot be removed goes with its lifetime."""
        try:
            await in_background(partial(self._delete, list(keys)))
        except Exception as error:  # noqa: BLE001 - as below
            _log.warning("%d stored answers cannot be removed: %s", len(keys), type(error).__name__)

    async def _read(self) -> None:
        """Answer those who ask, until nobody does."""
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await in_background(partial(self._select, list(asked)))
            except Exception as error:  # noqa: BLE001 - whatever fails here, the row is paid and not lost
                _log.warning(
                    "stored answers cannot be read, so they are paid again: %s", type(error).__name__
                )
                found = {}
            for key, future in asked.items():
                if not future.done():
                    future.set_result(found.get(key))

    async def _write(self) -> None:
        """Store what there is, until there is no more."""
        while self._new:
            new, self._new = self._new, {}
            try:
                await in_background(partial(self._upsert, new))
            except Exception as error:  # noqa: BLE001 - as above
                _log.warning("%d answers cannot be stored for later: %s", len(new), type(error).__name__)

    def _delete(self, keys: list[str]) -> None:
        with self._engine.begin() as connection:
            for start in range(0, len(keys), _MOST):
                some = keys[start : start + _MOST]
                own = sa.and_(_CACHE.c.key.in_(some), _CACHE.c.tenant == self._tenant)
                connection.execute(sa.delete(_CACHE).where(own))

    def _select(self, keys: list[str]) -> dict[str, Response]:
        now = datetime.now(UTC)
        found: dict[str, Response] = {}
        alive = sa.or_(_CACHE.c.expires_at.is_(None), _CACHE.c.expires_at > now)
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _MOST):
                some = keys[start : start + _MOST]
                query = sa.select(_CACHE.c.key, _CACHE.c.value, _CACHE.c.usage).where(
                    _CACHE.c.key.in_(some), _CACHE.c.tenant == self._tenant, alive
                )
                found |= {key: _response(value, usage) for key, value, usage in connection.execute(query)}
        return found

    def _upsert(self, new: dict[str, Response]) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "key": key,
                "tenant": self._tenant,
                "value": _value(response),
                "usage": asdict(response.usage),
                "created_at": now,
                "expires_at": now + self._lifetime if self._lifetime is not None else None,
            }
            for key, response in new.items()
        ]
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(_CACHE)
        fresh = {name: insert.excluded[name] for name in ("value", "usage", "created_at", "expires_at")}
        with self._engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_=fresh), rows)


def _value(response: Response) -> JsonObject:
    return {
        "text": response.text,
        "model": response.model,
        "provider": response.provider,
        "response_id": response.response_id,
        "finish_reason": response.finish_reason,
    }


def _response(value: JsonObject, usage: JsonObject | None) -> Response:
    return Response(usage=Usage(**(usage or {})), **value)


def _storable(text: str) -> bool:
    """Whether Postgres can hold a text: no NUL, and no half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
