"""robots.txt: which pages of a site may be asked for, how fast, and where its sitemaps are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from kurt.integrations.web.client import AGENT_TOKEN, WebClient
from kurt.integrations.web.errors import AddressRefusedError, UnreachableError, WebError
from kurt.integrations.web.politeness import origin_of

_NO_SERVER = "check the address and the network; no server answers there"
_NO_ROBOTS = "try again later, or add --ignore-robots (respect_robots: false) if the site is yours"
_LONGEST = 512 * 1024  # RFC 9309 lets a reader stop after 500 KiB


@dataclass(frozen=True, slots=True)
class _Robots:
    """What a site's robots.txt says.

    Attributes:
        rules: the parsed file; None where all is allowed.
        error: why it could not be read; nothing is allowed then.
    """

    rules: Protego | None = None
    error: WebError | None = None


class RobotsCache:
    """The robots.txt of each site, read once; sets the delay of the client's politeness too.

    Args:
        client: asks for them.
    """

    def __init__(self, client: WebClient) -> None:
        self._client = client
        self._sites: dict[str, asyncio.Task[_Robots]] = {}

    async def allowed(self, url: str) -> bool:
        """Whether a page may be asked for.

        Raises:
            UnreachableError: the site's robots.txt cannot be read, because of the server: nobody knows then.
            AddressRefusedError: the same, because the server has an address that is not public.
        """
        found = await self._site(url)
        if found.error is not None:
            raise _unreadable(url, found.error) from found.error
        return found.rules is None or bool(found.rules.can_fetch(url, AGENT_TOKEN))

    async def delay(self, url: str) -> float:
        """Seconds between two requests that the site asks for, by `Crawl-delay` or `Request-rate`; 0 for none."""
        return _delay((await self._site(url)).rules)

    async def sitemaps(self, url: str) -> list[str]:
        """Addresses of the site's sitemaps."""
        rules = (await self._site(url)).rules
        return [] if rules is None else [str(URL(url).join(URL(found))) for found in rules.sitemaps]

    async def _site(self, url: str) -> _Robots:
        origin = origin_of(url)
        task = self._sites.get(origin)
        if task is None:
            task = self._sites[origin] = asyncio.ensure_future(self._load(origin))
        return await asyncio.shield(task)

    async def _load(self, origin: str) -> _Robots:
        try:
            reply = await self._client.get(f"{origin}/robots.txt", accept="text/plain,*/*;q=0.5")
        except WebError as error:
            return _Robots(error=error)
        if reply.status >= 500 or reply.status == 429:
            return _Robots(error=WebError(f"the server answered with {reply.status}"))
        if not 200 <= reply.status < 300:
            return _Robots()  # RFC 9309: there is none, all is allowed
        rules = Protego.parse(reply.body[:_LONGEST].decode("utf-8", "replace"))
        if wait := _delay(rules):
            self._client.politeness.set_delay(origin, wait)
        return _Robots(rules)


def _unreadable(url: str, cause: WebError) -> WebError:
    message = f"the robots.txt of {URL(url).host} cannot be read: {cause.message}"
    if isinstance(cause, AddressRefusedError):
        return AddressRefusedError(message, url=url, hint=cause.hint)
    hint = _NO_SERVER if isinstance(cause, UnreachableError) else _NO_ROBOTS
    error = UnreachableError(message, url=url, hint=hint)
    error.transient = False  # its requests were repeated already
    return error


def _delay(rules: Protego | None) -> float:
    if rules is None:
        return 0.0
    delay = float(rules.crawl_delay(AGENT_TOKEN) or 0)
    rate = rules.request_rate(AGENT_TOKEN)
    return max(delay, rate.seconds / rate.requests if rate is not None and rate.requests else 0.0)
