"""Documents of a CMS: a part of its listing at a time, from where the last complete run has come to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kurt.content.identity import cms_parts, cms_uri
from kurt.content.patterns import Patterns
from kurt.integrations.cms.access import DEFAULT_INSTANCE
from kurt.integrations.cms.registry import adapter
from kurt.integrations.web.client import WebClient

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.integrations.cms.types import CmsPage
    from kurt.types import JsonObject

    from .config import MapConfig


def source_of(config: MapConfig) -> str:
    """The address of a CMS: how those of its documents begin."""
    return cms_uri(*_place(config), "", "").rstrip("/")


def key_of(config: MapConfig) -> str:
    """What the position of a sync belongs to: another choice of documents has another one."""
    chosen = [config.include_patterns, config.exclude_patterns]
    return source_of(config) + (f" {json.dumps(chosen)}" if any(chosen) else "")


def gone(config: MapConfig, known: Sequence[str], listing: JsonObject) -> list[str]:
    """Addresses of documents that are not there any more.

    Args:
        config: which documents are meant; others are not looked at.
        known: addresses of documents that earlier runs found.
        listing: `rows` and `deleted` of all parts, and whether they are `complete`.
    """
    patterns = Patterns(config.include_patterns, config.exclude_patterns)
    found = {row["uri"] for row in listing["rows"]}
    missing = [uri for uri in known if uri not in found and patterns.allows(uri)]
    if listing["complete"]:
        return missing
    deleted = {cms_parts(uri)[2:] for uri in listing["deleted"]}
    return [uri for uri in missing if not deleted.isdisjoint({cms_parts(uri)[2:], ("", cms_parts(uri)[3])})]


def list_part(config: MapConfig, settings: Settings, since: str | None, page: str | None) -> JsonObject:
    """A part of what a CMS holds, or of what has changed.

    Args:
        config: which CMS, and which of its documents.
        settings: the project's: where it is.
        since: the position of the last complete run; None for everything.
        page: where the part before has ended; None for the first.

    Returns:
        `{rows, deleted, next_page, position, complete}`: rows as for other sources, `deleted` addresses, without their type where the CMS does not tell it.
    """
    return asyncio.run(_list_part(config, settings, since, page))


async def _list_part(
    config: MapConfig, settings: Settings, since: str | None, page: str | None
) -> JsonObject:
    platform, instance = _place(config)
    async with WebClient(allow_private=config.allow_private) as client:
        found = await adapter(platform, instance, settings, client).changes(since, page)
    patterns = Patterns(config.include_patterns, config.exclude_patterns)
    rows = [row for row in _rows(found, platform, instance) if patterns.allows(row["uri"])]
    return {
        "rows": rows,
        "deleted": [cms_uri(platform, instance, kind, item) for kind, item in found.deleted],
        "next_page": found.next_page,
        "position": found.position,
        "complete": found.complete,
    }


def _rows(found: CmsPage, platform: str, instance: str) -> list[JsonObject]:
    rows: list[JsonObject] = []
    for item in found.items:
        facts = {"published": item.published, "language": item.language, "modified": item.updated}
        row = {"uri": cms_uri(platform, instance, item.kind, item.id), "title": item.title, **facts}
        rows.append({name: value for name, value in row.items() if value is not None or name == "title"})
    return rows


def _place(config: MapConfig) -> tuple[str, str]:
    return str(config.cms_platform), config.cms_instance or DEFAULT_INSTANCE
