"""WordPress: its REST interface, version 2."""

from __future__ import annotations

import base64
import html
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"URL": None, "TYPES": "posts,pages"},
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=False,
    where="the user's profile, under application passwords, as USER:PASSWORD",
)

_FIELDS = "id,link,title,modified,modified_gmt,date_gmt"
_SIZE = 100
_TAG = re.compile(r"<[^>]*>")


class WordPress:
    """A site; its types are the last parts of their addresses, such as `posts`."""

    def __init__(self, access: Access, client: WebClient) -> None:
        self._types = access.listed("TYPES")
        headers: dict[str, str] = {}
        if access.secret is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(access.secret.encode()).decode()}"
        self._api = Api(client, access, f"{access.values['URL'].rstrip('/')}/wp-json/wp/v2", headers)

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        kind, number, newest = (page or f"{self._types[0]} 1 {since or ''}").split(" ")
        params = {
            "per_page": _SIZE,
            "page": number,
            "orderby": "modified",
            "order": "asc",
            "_fields": _FIELDS,
            "modified_after": _before(since),
        }
        found, headers = await self._api.get(kind, params)
        rows = objects(found.get("items"))
        newest = max([newest, *(row["modified"] for row in rows if isinstance(row.get("modified"), str))])
        return CmsPage(
            items=[_item(row, kind) for row in rows],
            deleted=[],
            next_page=self._next(kind, int(number), headers.get("x-wp-totalpages", "1"), newest),
            position=newest or None,
            complete=since is None,
        )

    def _next(self, kind: str, number: int, pages: str, newest: str) -> str | None:
        if number < int(pages if pages.isdigit() else 1):
            return f"{kind} {number + 1} {newest}"
        after = self._types[self._types.index(kind) + 1 :]
        return f"{after[0]} 1 {newest}" if after else None

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        fields = f"{_FIELDS},content,_links,_embedded"
        found, _ = await self._api.get(f"{kind}/{item_id}", {"_embed": "author", "_fields": fields})
        authors = objects((found.get("_embedded") or {}).get("author"))
        return CmsDocument(
            item=_item(found, kind),
            html=(found.get("content") or {}).get("rendered") or "",
            author=next((text(author.get("name")) for author in authors), None),
        )


def _before(since: str | None) -> str | None:
    """A second earlier: WordPress leaves out what was changed at the very time that it is given.

    Its own local time, without a zone, is what it compares.
    """
    return None if since is None else (datetime.fromisoformat(since) - timedelta(seconds=1)).isoformat()


def _item(row: JsonObject, kind: str) -> CmsItem:
    title = (row.get("title") or {}).get("rendered")
    return CmsItem(
        id=str(row["id"]),
        kind=kind,
        title=text(html.unescape(_TAG.sub("", title))) if isinstance(title, str) else None,
        url=text(row.get("link")),
        updated=_utc(row.get("modified_gmt")),
        published=_utc(row.get("date_gmt")),
    )


def _utc(value: object) -> str | None:
    found = text(value)
    return f"{found}Z" if found and not found.endswith("Z") else found
