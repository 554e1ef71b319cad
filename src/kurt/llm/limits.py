"""Rate limits: requests and tokens a minute, shared by whatever calls the same model at the same endpoint.

Calls get places on a time line, evenly spread, so there is no burst at the start either. A call that is late by more than
`LATEST` gives its place back and takes a new one; a place therefore tells when the call reaches the provider, up to
`LATEST` and the time on the way (`TRANSIT`). Places are `(WINDOW + LATEST + TRANSIT) / limit` apart: no `WINDOW` of the
provider's clock sees more calls than the limit. Tokens are spread likewise by what a call is expected to use, and besides
summed over the window; when the answer tells what they were, the sum is put right.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kurt.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kurt.config import Settings
    from kurt.llm.types import Request, Usage
    from kurt.types import JsonObject

WINDOW = 60.0
"""Seconds over which a limit is meant."""

LATEST = 0.5
"""Seconds that a call may begin after its place."""

TRANSIT = 1.0
"""Seconds that a request takes to its provider at most."""

SPAN = WINDOW + LATEST + TRANSIT
"""Seconds over which places are spread, so that the provider never sees more in a window."""

HORIZON = 5.0
"""Seconds for which places are given in advance, so that a process that dies strands no more."""

_CHARS_PER_TOKEN = 3
_ASK_AGAIN = 1.0
_FIRST_ANSWER = 500
_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a provider allows.

    Attributes:
        requests_per_minute: calls, or None for no limit.
        tokens_per_minute: tokens of prompts and answers, or None for no limit.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would never let a call begin.

        Raises:
            UsageError: a limit is less than one.
        """
        for value in (self.requests_per_minute, self.tokens_per_minute):
            if value is not None and value < 1:
                raise UsageError("a rate limit is at least 1", hint="leave it out for no limit")

    @classmethod
    def from_settings(
        cls, settings: Settings, *, module: str | None = None, step: str | None = None
    ) -> RateLimit | None:
        """What the settings allow a step: its own, its module's, or the project's; None for no limit.

        Raises:
            ConfigError: a limit of a step or a module is no number.
        """
        found = [
            _number(settings, name, module, step) for name in ("REQUESTS_PER_MINUTE", "TOKENS_PER_MINUTE")
        ]
        return cls(*found) if any(found) else None


def _number(settings: Settings, name: str, module: str | None, step: str | None) -> int | None:
    own = settings.get(f"LLM_{name}", module=module, step=step)
    value = own if own not in (None, "") else settings.get(f"LLM.{name}")
    if value in (None, ""):
        return None
    try:
        return int(str(value))
    except ValueError:
        raise ConfigError(f"LLM_{name}={value!r} is no whole number", hint=f"write LLM_{name}=600") from None


@dataclass(slots=True)
class Timeline:
    """Which places are taken; the same in one process as in a row of the database.

    Attributes:
        next_request: when the next call may begin, by its number alone.
        next_tokens: when the next call may begin, by the tokens of those before it.
        last: the last place that was given.
        used: `[second, tokens]` of the last `SPAN`, oldest first.
    """

    next_request: float = 0.0
    next_tokens: float = 0.0
    last: float = 0.0
    used: list[list[float]] = field(default_factory=list[list[float]])

    def take(self, limit: RateLimit, now: float, tokens: int) -> float:
        """Take the next place.

        Args:
            limit: what is allowed.
            now: the time, on the clock of this line.
            tokens: what the call is expected to use.

        Returns:
            when it may begin.
        """
        place = max(now, self.last)
        if limit.requests_per_minute is not None:
            place = max(place, self.next_request)
            self.next_request = place + SPAN / limit.requests_per_minute
        if limit.tokens_per_minute is not None:
            place = self._take_tokens(limit.tokens_per_minute, place, now, tokens)
            if limit.requests_per_minute is not None:
                self.next_request = place + SPAN / limit.requests_per_minute
        self.last = place
        return place

    def _take_tokens(self, limit: int, place: float, now: float, tokens: int) -> float:
        self.used = [entry for entry in self.used if entry[0] + SPAN + 1 > now]
        place = max(place, self.next_tokens)
        sum_of_window = sum(entry[1] for entry in self.used if entry[0] + SPAN + 1 > place)
        for second, spent in self.used:
            if sum_of_window + tokens <= limit:
                break
            if second + SPAN + 1 > place:
                place = second + SPAN + 1
                sum_of_window -= spent
        self.next_tokens = place + tokens * SPAN / limit
        self.correct(limit, place, tokens, move=False)
        return place

    def correct(self, limit: int, place: float, tokens: int, *, move: bool = True) -> None:
        """Put the tokens of a call right.

        Args:
            limit: tokens a minute.
            place: when the call began.
            tokens: how many more (or less) it used than was expected.
            move: whether later calls begin later (or sooner) for it.
        """
        if move:
            self.next_tokens += tokens * SPAN / limit
        second = float(int(place))
        for entry in reversed(self.used):
            if entry[0] == second:
                entry[1] = max(0, entry[1] + tokens)
                return
            if entry[0] < second:
                break
        self.used.append([second, max(0, tokens)])
        self.used.sort()

    def to_json(self) -> JsonObject:
        """The line as JSON."""
        return {
            "request": self.next_request,
            "tokens": self.next_tokens,
            "last": self.last,
            "used": self.used,
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Timeline:
        """Undo `to_json`; what is missing begins empty."""
        return cls(
            float(value.get("request", 0)),
            float(value.get("tokens", 0)),
            float(value.get("last", 0)),
            [list(entry) for entry in value.get("used", [])],
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """Tokens that a call used beyond what was expected.

    Attributes:
        place: when it began, on the clock of the line.
        tokens: how many more, or less.
    """

    place: float
    tokens: int


class Places(Protocol):
    """Where places come from: this process, or a row that many processes share."""

    def take(
        self, limit: RateLimit, tokens: list[int], corrections: list[Correction]
    ) -> Awaitable[list[Place]]:
        """Take places for several calls.

        Args:
            limit: what is allowed.
            tokens: what each of them is expected to use.
            corrections: what earlier calls used beyond that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the time line.

    Attributes:
        at: when the call may begin, by `time.monotonic` of this process.
        until: when it must have begun.
        on_line: its beginning on the clock of the line.
    """

    at: float
    until: float
    on_line: float


class OwnPlaces:
    """Places that only this process takes."""

    def __init__(self) -> None:
        self._line = Timeline()
        self._lock = threading.Lock()

    async def take(self, limit: RateLimit, tokens: list[int], corrections: list[Correction]) -> list[Place]:
        return self.take_now(limit, tokens, corrections)

    def take_now(self, limit: RateLimit, tokens: list[int], corrections: list[Correction]) -> list[Place]:
        """The same at once."""
        now = time.monotonic()
        with self._lock:
            return [
                Place(at, at + LATEST, at) for at in take_all(self._line, limit, now, tokens, corrections)
            ]


def take_all(
    line: Timeline, limit: RateLimit, now: float, tokens: list[int], corrections: list[Correction]
) -> list[float]:
    """Put earlier calls right on a line, then take places for new ones, as many as are within the horizon."""
    if limit.tokens_per_minute is not None:
        for correction in corrections:
            line.correct(limit.tokens_per_minute, correction.place, correction.tokens)
    places: list[float] = []
    for each in tokens:
        if max(line.last, line.next_request) > now + HORIZON:
            break
        places.append(line.take(limit, now, each))
    return places


class Permit:
    """The right to make one call now."""

    __slots__ = ("_expected", "_limiter", "_place")

    def __init__(self, limiter: Limiter, place: Place, expected: int) -> None:
        self._limiter = limiter
        self._place = place
        self._expected = expected

    def fresh(self) -> bool:
        """Whether the call may still begin."""
        return time.monotonic() <= self._place.until

    def leave(self, usage: Usage | None) -> None:
        """Tell what the call used; None where nobody knows, which counts as what was expected."""
        if usage is not None:
            self._limiter.learn(self._place, self._expected, usage)


class Limiter:
    """Keeps the rate limits of one model at one endpoint; made once for each and shared."""

    def __init__(self, limit: RateLimit, places: Places | None = None) -> None:
        self.limit = limit
        self._places = places or OwnPlaces()
        self._waiting: dict[asyncio.AbstractEventLoop, list[_Waiter]] = {}
        self._corrections: list[Correction] = []
        self._answer = float(_FIRST_ANSWER)
        self._paused_until = 0.0

    async def enter(self, request: Request) -> Permit:
        """Wait until a call may begin."""
        expected = self._expected(request)
        while True:
            place = self._place_now(expected) or await self._place(expected)
            if (wait := place.at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            permit = Permit(self, place, expected)
            if permit.fresh() and time.monotonic() >= self._paused_until:
                return permit
            self._correct(place, -expected)
            if (wait := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(wait)

    def pause(self, seconds: float) -> None:
        """Let no call begin for a while, because the provider asks for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def learn(self, place: Place, expected: int, usage: Usage) -> None:
        """Put the sum right by what a call used."""
        if usage.output_tokens:
            self._answer += (usage.output_tokens - self._answer) * _SMOOTHING
        self._correct(place, usage.total - expected)

    def _correct(self, place: Place, tokens: int) -> None:
        if tokens and self.limit.tokens_per_minute is not None:
            self._corrections.append(Correction(place.on_line, tokens))

    def _expected(self, request: Request) -> int:
        """Tokens that a call will use, guessed from its prompt and earlier answers."""
        if self.limit.tokens_per_minute is None:
            return 0
        prompt = sum(len(message.content) for message in request.messages) // _CHARS_PER_TOKEN
        answer = min(self._answer, request.max_tokens or self._answer)
        return min(prompt + int(answer), self.limit.tokens_per_minute)

    def _place_now(self, expected: int) -> Place | None:
        """A place without asking anybody else, where nobody waits before."""
        if self._waiting or not isinstance(self._places, OwnPlaces):
            return None
        corrections, self._corrections = self._corrections, []
        found = self._places.take_now(self.limit, [expected], corrections)
        return found[0] if found else None

    async def _place(self, expected: int) -> Place:
        """A place; calls of the same loop that ask at the same time take theirs together."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(expected, loop.create_future())
        waiting = self._waiting.setdefault(loop, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            task = loop.create_task(self._serve(loop))
            waiter.server = task  # the loop itself holds tasks weakly
        return await waiter.place

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            batch = [waiter for waiter in self._waiting[loop] if not waiter.place.done()]
            corrections, self._corrections = self._corrections, []
            try:
                places = await self._places.take(self.limit, [each.expected for each in batch], corrections)
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                for waiter in batch:
                    waiter.fail(error)
            else:
                for waiter, place in zip(batch, places, strict=False):
                    waiter.give(place)
                if len(places) < len(batch):
                    await asyncio.sleep(_ASK_AGAIN)
            left = [waiter for waiter in self._waiting[loop] if not waiter.place.done()]
            self._waiting[loop] = left
            if not left:
                del self._waiting[loop]
                return


@dataclass(slots=True)
class _Waiter:
    """A call that waits for a place.

    Attributes:
        expected: tokens that it will use.
        place: is set when it has one.
        server: the task that asks for places.
    """

    expected: int
    place: asyncio.Future[Place]
    server: asyncio.Task[None] | None = None

    def give(self, place: Place) -> None:
        if not self.place.done():
            self.place.set_result(place)

    def fail(self, error: Exception) -> None:
        if not self.place.done():
            self.place.set_exception(error)
