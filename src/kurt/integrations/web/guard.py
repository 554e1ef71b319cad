"""Which addresses may be reached: a page must not lead us into the network in which we run.

Names are resolved here and nowhere else, each answer is checked, and the connection is made to exactly the addresses that
were checked; so an answer that changes in between changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kurt.engine.web import is_public
from kurt.integrations.web.errors import AddressRefusedError, InvalidUrlError

Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[list[tuple[Any, ...]]]]
"""Gives what `getaddrinfo` gives for a name, a port and a family."""

REMEDY = "add --allow-private (allow_private: true) if it is meant to be reached"


def checked_url(text: str | URL, *, allow_private: bool) -> URL:
    """An address that may be asked for, as far as its text tells; names are checked when they are resolved.

    Raises:
        InvalidUrlError: it is neither http nor https, or it has no host.
        AddressRefusedError: it names an address that is not public.
    """
    try:
        url = text if isinstance(text, URL) else URL(text.strip())
    except ValueError as error:
        raise InvalidUrlError(f"{text!r} is not an address: {error}", url=str(text)) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidUrlError(
            f"{str(url)!r} is neither an http nor an https address",
            url=str(url),
            hint="write it as https://host/path",
        )
    if not allow_private:
        _check_literal(url)
    return url


def _check_literal(url: URL) -> None:
    host = url.host or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_public(address):
        raise refused(host, host, url=str(url))


def refused(host: str, address: str, *, url: str | None = None) -> AddressRefusedError:
    """The error for a host with an address that is not public."""
    shown = host if host == address else f"{host} ({address})"
    return AddressRefusedError(f"{shown} is not a public address", url=url, hint=REMEDY)


async def system_lookup(host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, ...]]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    return list(await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))


class GuardedResolver(AbstractResolver):
    """Resolves names for connections; one address that is not public refuses the name.

    Args:
        allow_private: let all addresses pass.
        lookup: what answers; the system by default.
    """

    def __init__(self, *, allow_private: bool = False, lookup: Lookup = system_lookup) -> None:
        self._allow_private = allow_private
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._lookup(host, port, family)
        if not self._allow_private:
            for *_, address in found:
                if not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                    raise refused(host, str(address[0]))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing to close."""
