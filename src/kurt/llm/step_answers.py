"""Answers that a step needs again if its process dies before it is over: a step of several calls pays none of them twice."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from kurt.llm.stored_answers import DatabaseCache
from kurt.llm.types import Response, Usage

if TYPE_CHECKING:
    import sqlalchemy as sa

    from kurt.llm.types import Completer, Request
    from kurt.types import Json

_LIFETIME = timedelta(days=30)
"""How long a run may lie before it goes on; then its answers are paid again."""


class StepAnswers:
    """The answers of one attempt of a step, until the step is over: a `ResponseCache`.

    An answer is stored when the next call begins. A step of one call stores nothing: if its process dies, the call was in
    flight, or its answer not yet the step's value.

    Args:
        engine: the project's database.
        place: the run or item, the step's path and the number of the attempt: nobody else sees these answers.
    """

    def __init__(self, engine: sa.Engine, place: tuple[str, ...]) -> None:
        self._place = json.dumps(place)
        self._store = DatabaseCache(engine, tenant=f"step {self._place}", lifetime=_LIFETIME)
        self._last: tuple[str, Response] | None = None
        self._stored: set[str] = set()
        self._uses = 0

    def key(self, request: Request, completer: Completer) -> str:
        """What an answer is stored under."""
        return self._store.key(request, completer)

    async def get(self, key: str) -> Response | None:
        """The answer that an earlier process had for the same request, or None."""
        await self._keep()
        found = await self._store.get(key)
        if found is not None:
            self._stored.add(key)
        return found

    def put(self, key: str, response: Response) -> None:
        """Remember an answer until the next call."""
        self._last = (key, response)

    async def result(self, what: str, args: Json) -> tuple[str, Json]:
        """What an earlier process had from the same use of a tool, and the key under which `note` remembers it.

        Args:
            what: the tool.
            args: what it is given.

        The result is `{"value": ...}`, null where there is none.
        """
        self._uses += 1
        text = json.dumps([self._place, self._uses, what, args], sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        found = await self.get(key)
        return key, None if found is None else json.loads(found.text)

    def note(self, key: str, value: Json) -> None:
        """Remember what a tool gave."""
        self.put(key, Response(json.dumps({"value": value}, default=str), Usage(), "", "tool"))

    async def over(self) -> None:
        """The step is over: its answers are in its value, or of no use."""
        self._last = None
        if self._stored:
            await self._store.forget(self._stored)
            self._stored.clear()

    async def _keep(self) -> None:
        """Store the last answer, before anything else is done that may end the process."""
        if self._last is None:
            return
        key, response = self._last
        self._last = None
        self._stored.add(key)
        self._store.put(key, response)
        await self._store.flush()
