"""The engine `cms`: items of content management systems, by the adapter of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.content.identity import cms_parts
from kurt.errors import CredentialsError, NotFoundError
from kurt.integrations.cms.registry import adapter

from .engine_http import web_client
from .engines import Brought, Target

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.integrations.cms.types import CmsAdapter

    from .config import FetchConfig


class CmsEngine:
    """Asks each system by its own interface.

    Args:
        config: limits and manners.
        settings: where the systems are, and their keys.
    """

    name = "cms"

    def __init__(self, config: FetchConfig, settings: Settings) -> None:
        self._settings = settings
        self._client = web_client(config)
        self._adapters: dict[tuple[str, str], CmsAdapter] = {}
        self._refused: dict[tuple[str, str], CredentialsError] = {}

    async def bring(self, target: Target) -> Brought:
        """Ask for an item; one that has not been changed is not read again.

        Raises:
            KurtError: the system is not known, refuses, or cannot be reached.
        """
        platform, instance, kind, item_id = cms_parts(target.uri)
        key = (platform, instance)
        if (refused := self._refused.get(key)) is not None:
            raise refused  # what it has said of one item it says of all
        try:
            if key not in self._adapters:
                self._adapters[key] = adapter(platform, instance, self._settings, self._client)
            found = await self._adapters[key].fetch(kind, item_id)
        except NotFoundError as error:
            return Brought(gone=error.message)
        except CredentialsError as error:
            self._refused[key] = error
            raise
        if target.etag is not None and found.item.updated == target.etag:
            return Brought(unchanged=True)
        return Brought(
            body=None if found.html is None else found.html.encode("utf-8", "replace"),
            kind="fragment",
            charset="utf-8",
            markdown=found.markdown if found.html is None else None,
            url=found.item.url,
            etag=found.item.updated,
            facts={
                "title": found.item.title,
                "author": found.author,
                "published": found.item.published,
                "language": found.item.language,
            },
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
