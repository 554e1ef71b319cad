"""Internet addresses: which of them are public, and connections to checked ones alone.

Names are resolved here, each answer is checked, and the connection is made to exactly the addresses that were checked; so an
answer that changes in between changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[list[tuple[Any, ...]]]]
"""Gives what `getaddrinfo` gives for a name, a port and a family."""

Refused = Callable[[str, str], Exception]
"""Gives the error for a host and its address that is not public."""


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the open Internet, also the IPv4 address inside an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        number = int(address)
        if number >> 32 in {0, 0x64FF9B << 64}:  # IPv4-compatible, and the prefix of NAT64
            inner.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
        if not all(is_public(part) for part in inner if part is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


async def system_lookup(host: str, port: int, family: socket.AddressFamily) -> list[tuple[Any, ...]]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    return list(await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))


class CheckedResolver(AbstractResolver):
    """Resolves names for connections; one address that is not public refuses the name.

    Args:
        refused: makes the error; None lets all addresses pass.
        lookup: what answers.
    """

    def __init__(self, refused: Refused | None, lookup: Lookup = system_lookup) -> None:
        self._refused = refused
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._lookup(host, port, family)
        if self._refused is not None:
            for *_, address in found:
                if not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                    raise self._refused(host, str(address[0]))
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
