"""Notion: the pages that an integration was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.blocks_notion import markdown_of_blocks, plain
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"BASE_URL": "https://api.notion.com"},
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=True,
    where="notion.so/my-integrations; share the pages with the integration",
)

_VERSION = "2022-06-28"
_SIZE = 100
_DEEPEST = 8
_MOST = 2_000
_OWN_PAGES = frozenset({"child_page", "child_database"})


class Notion:
    """A workspace, as far as it is shared with the integration."""

    def __init__(self, access: Access, client: WebClient) -> None:
        headers = {"Authorization": f"Bearer {access.secret}", "Notion-Version": _VERSION}
        self._api = Api(client, access, f"{access.values['BASE_URL'].rstrip('/')}/v1", headers)

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        cursor, known = (page or f" {since or ''}").split(" ")
        body: JsonObject = {
            "filter": {"property": "object", "value": "page"},
            "sort": {"timestamp": "last_edited_time", "direction": "descending"},
            "page_size": _SIZE,
            **({"start_cursor": cursor} if cursor else {}),
        }
        found = await self._api.post("search", body)
        rows = objects(found.get("results"))
        # Newest first: what comes after the first older page is known.
        fresh = [row for row in rows if since is None or str(row.get("last_edited_time")) >= since]
        reached = max([known, *(str(row.get("last_edited_time") or "") for row in fresh)])
        more = found.get("next_cursor") if found.get("has_more") and len(fresh) == len(rows) else None
        return CmsPage(
            items=[_item(row) for row in fresh if not _is_trashed(row)],
            deleted=[("page", str(row["id"])) for row in fresh if _is_trashed(row)],
            next_page=f"{more} {reached}" if more else None,
            position=reached or None,
            complete=since is None,
        )

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        del kind
        row, _ = await self._api.get(f"pages/{item_id}")
        count = [0]
        blocks = await self._blocks(item_id, 0, count)
        return CmsDocument(item=_item(row), markdown=markdown_of_blocks(blocks))

    async def _blocks(self, parent: str, depth: int, count: list[int]) -> list[JsonObject]:
        """The blocks of a page or block with those below them, each in `children`; pages of their own are left out."""
        found: list[JsonObject] = []
        cursor: str | None = None
        while count[0] < _MOST:
            params = {"page_size": _SIZE, "start_cursor": cursor}
            answer, _ = await self._api.get(f"blocks/{parent}/children", params)
            for block in objects(answer.get("results")):
                count[0] += 1
                if block.get("has_children") and block.get("type") not in _OWN_PAGES and depth < _DEEPEST:
                    block["children"] = await self._blocks(str(block["id"]), depth + 1, count)
                found.append(block)
            cursor = answer.get("next_cursor") if answer.get("has_more") else None
            if cursor is None:
                break
        return found


def _is_trashed(row: JsonObject) -> bool:
    return bool(row.get("archived") or row.get("in_trash"))


def _item(row: JsonObject) -> CmsItem:
    properties = (row.get("properties") or {}).values()
    titles = [
        plain(value.get("title"))
        for value in properties
        if isinstance(value, dict) and value.get("type") == "title"
    ]
    return CmsItem(
        id=str(row["id"]),
        kind="page",
        title=text(titles[0]) if titles else None,
        url=text(row.get("public_url") or row.get("url")),
        updated=text(row.get("last_edited_time")),
        published=text(row.get("created_time")),
    )
