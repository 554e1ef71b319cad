"""Which addresses belong to the site that is searched, and which of those are wanted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from kurt.content.identity import canonical_url
from kurt.content.patterns import Patterns
from kurt.errors import DataError

from .config import MapConfig


class Scope:
    """Decides about addresses before anything is fetched.

    Args:
        patterns: which addresses are wanted.
        allow_subdomains: hosts under the same registered domain belong to the site.
        allow_external: all hosts do.
    """

    def __init__(self, patterns: Patterns, *, allow_subdomains: bool, allow_external: bool) -> None:
        self._patterns = patterns
        self._subdomains = allow_subdomains
        self._external = allow_external
        self._hosts: set[str] = set()
        self._domains: set[str] = set()

    def add(self, url: str) -> None:
        """The site has this address: the one that the user gave, and where it redirects to."""
        host = _place(url)
        self._hosts.add(host)
        if self._subdomains and (domain := registered_domain(host)) is not None:
            self._domains.add(domain)

    def canonical(self, url: str) -> str | None:
        """The canonical form of an address that belongs to the site, wanted or not, else None."""
        try:
            found = canonical_url(url)
        except DataError:
            return None
        return found if self.belongs(found) else None

    def wanted(self, url: str) -> str | None:
        """The canonical form of an address that belongs to the site and fits the patterns, else None."""
        found = self.canonical(url)
        return found if found is not None and self._patterns.allows(found) else None

    def belongs(self, url: str) -> bool:
        """Whether an address belongs to the site, wanted or not."""
        if self._external:
            return True
        host = _place(url)
        return host in self._hosts or (self._subdomains and registered_domain(host) in self._domains)


@lru_cache(maxsize=4096)
def _site_of(host: str) -> str:
    return host.removeprefix("www.")


def _place(url: str) -> str:
    """Host without `www.`, and port where it is unusual: `http` and `https` are one site."""
    parts = urlsplit(url)
    host = _site_of((parts.hostname or "").lower())
    port = None if parts.port in {80, 443} else parts.port
    return host if port is None else f"{host}:{port}"


@lru_cache(maxsize=4096)
def registered_domain(place: str) -> str | None:
    """The domain that somebody registered, by the public list of suffixes: `example.co.uk` of `a.b.example.co.uk`.

    None for addresses of machines and for names without a known suffix, which have no subdomains of the same owner.
    """
    host = place.rpartition(":")[0] if place.rpartition(":")[2].isdigit() and place.count(":") == 1 else place
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        from tld import get_fld  # noqa: PLC0415 - a tenth of a second, and only with --allow-subdomains

        found = get_fld(f"https://{host}/", fail_silently=True)
        return found if isinstance(found, str) else None
    return None


def scope_of(config: MapConfig, starts: Iterable[str]) -> Scope:
    """What a config says of addresses.

    Args:
        config: what is searched.
        starts: addresses that the site has.
    """
    patterns = Patterns(config.include_patterns, config.exclude_patterns)
    scope = Scope(patterns, allow_subdomains=config.allow_subdomains, allow_external=config.allow_external)
    for start in starts:
        scope.add(start)
    return scope
