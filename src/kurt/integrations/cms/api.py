"""Asking a CMS: JSON over the web client, with its refusals as errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kurt.errors import DataError, NotFoundError
from kurt.integrations.web.errors import StatusError, UnreachableError

if TYPE_CHECKING:
    from kurt.integrations.cms.access import Access
    from kurt.integrations.web.client import Reply, WebClient
    from kurt.types import JsonObject

_REFUSED = frozenset({401, 403})
_SHOWN = 200


class Api:
    """One CMS's interface.

    Args:
        client: sends the requests.
        access: where it is.
        base: how its addresses begin.
        headers: sent with every request.
    """

    def __init__(
        self, client: WebClient, access: Access, base: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._client = client
        self._access = access
        self._base = base.rstrip("/")
        self._headers = dict(headers or {})

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> tuple[JsonObject, Mapping[str, str]]:
        """The object, or the list under `items`, that an address gives, and the answer's headers.

        Raises:
            CredentialsError: the key is not accepted.
            NotFoundError: there is no such thing.
            WebError: the CMS cannot be reached, or does not know what to do.
            DataError: the answer is no JSON.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        url = f"{self._base}/{path.lstrip('/')}" + (f"?{urlencode(given)}" if given else "")
        reply = await self._answer(self._client.get(url, accept="application/json", headers=self._headers))
        return self._read(reply), reply.headers

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        """The object that an address gives for this one; errors as for `get`."""
        url = f"{self._base}/{path.lstrip('/')}"
        return self._read(await self._answer(self._client.post(url, json=body, headers=self._headers)))

    async def _answer(self, request: Awaitable[Reply]) -> Reply:
        try:
            return await request
        except UnreachableError as error:
            settings = f"CMS.{self._access.platform.upper()}"
            error.hint = f"check the address in the settings {settings}..., and the network"
            raise

    def _read(self, reply: Reply) -> JsonObject:
        if reply.status in _REFUSED:
            raise self._access.refused()
        if reply.gone:
            raise NotFoundError(f"{self._access.platform} has nothing at {reply.url.partition('?')[0]}")
        if not reply.ok:
            said = " ".join(reply.body.decode("utf-8", "replace").split())[:_SHOWN]
            raise StatusError(
                f"{self._access.platform} answered with {reply.status}: {said}",
                status=reply.status,
                url=reply.url.partition("?")[0],
            )
        try:
            found = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise DataError(
                f"{self._access.platform} answered with something that is no JSON: {reply.url.partition('?')[0]}",
                hint="check the address in the settings",
            ) from None
        if isinstance(found, list):
            return {"items": found}
        if not isinstance(found, dict):
            raise DataError(f"{self._access.platform} answered with neither an object nor a list")
        return found
