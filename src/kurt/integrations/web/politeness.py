"""How many requests a server gets at a time, and how far apart."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from yarl import URL

SLOWEST = 60.0
"""Seconds between two requests that a server which says 429 gets at most of its own."""

_FIRST_STEP = 0.1
_EASIER = 0.8
_AT_ONCE = 1.0
_NOTHING = 0.01


def origin_of(url: str | URL) -> str:
    """Scheme, host and port of an address: what politeness and robots.txt go by."""
    return str((url if isinstance(url, URL) else URL(url)).origin())


@dataclass(slots=True)
class _Host:
    """What is known of a server.

    Attributes:
        places: requests that may be on their way.
        one: taken by the only request, where there is a delay.
        delay: seconds that it asks for between two requests.
        slowed: seconds that were added because it complained.
        not_before: when the next request may begin, on the monotonic clock.
        complained: when it was slowed down last, likewise.
    """

    places: asyncio.Semaphore
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    delay: float = 0.0
    slowed: float = 0.0
    not_before: float = 0.0
    complained: float = -math.inf

    @property
    def apart(self) -> float:
        """Seconds between two requests."""
        return max(self.delay, self.slowed)


class Politeness:
    """Takes turns at servers; one object for all who ask them from one event loop.

    Args:
        per_host: requests at a time to one server.
        delay: seconds between two requests to one server; a longer `Crawl-delay` of its own wins.
    """

    def __init__(self, *, per_host: int = 8, delay: float = 0.0) -> None:
        self._per_host = per_host
        self._delay = delay
        self._hosts: dict[str, _Host] = {}

    def _host(self, origin: str) -> _Host:
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = _Host(asyncio.Semaphore(self._per_host), delay=self._delay)
        return host

    def set_delay(self, origin: str, seconds: float) -> None:
        """A server asks for so many seconds between two requests."""
        host = self._host(origin)
        host.delay = max(self._delay, seconds)

    def pause(self, origin: str, seconds: float) -> None:
        """Nothing more to this server for so long: it said `Retry-After`."""
        host = self._host(origin)
        host.not_before = max(host.not_before, time.monotonic() + seconds)

    def complained(self, origin: str) -> None:
        """A server said that it gets too many requests: it gets them half as fast.

        Requests that were on their way together complain together; they count once.
        """
        host, now = self._host(origin), time.monotonic()
        if now - host.complained < max(_AT_ONCE, 2 * host.slowed):
            return
        host.complained = now
        host.slowed = min(SLOWEST, max(_FIRST_STEP, host.slowed * 2))

    def content(self, origin: str) -> None:
        """A server answered as it should: by and by it gets more requests again."""
        host = self._host(origin)
        if host.slowed:
            host.slowed = host.slowed * _EASIER if host.slowed > _NOTHING else 0.0

    @asynccontextmanager
    async def turn(self, origin: str) -> AsyncGenerator[None]:
        """Wait for our turn at a server; the block is the request."""
        host = self._host(origin)
        async with host.places:
            if not host.apart:
                await _wait(host)
                yield
                return
            async with host.one:
                await _wait(host)
                try:
                    yield
                finally:
                    # Counted from the end: however long the way, the server sees at least the delay between two.
                    host.not_before = max(host.not_before, time.monotonic() + host.apart)


async def _wait(host: _Host) -> None:
    while (left := host.not_before - time.monotonic()) > 0:  # noqa: ASYNC110 - it may be moved while we sleep
        await asyncio.sleep(left)


def backoff(failures: int, *, first: float = 0.5, longest: float = 30.0) -> float:
    """Seconds to wait after so many failures: doubled each time, with jitter so that not all come back at once."""
    return min(longest, first * 2 ** (failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
