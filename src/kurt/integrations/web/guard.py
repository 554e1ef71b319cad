"""Which addresses may be reached: a page must not lead us into the network in which we run."""

from __future__ import annotations

import ipaddress

from yarl import URL

from kurt.engine.addresses import is_public
from kurt.integrations.web.errors import AddressRefusedError, InvalidUrlError

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
