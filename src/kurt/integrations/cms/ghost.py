"""Ghost: its Content interface."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kurt.errors import NotFoundError
from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, newest, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"URL": None},
    secret="KEY",  # noqa: S106 - the end of a variable's name
    secret_needed=True,
    where="Ghost's settings, under integrations: the content API key",
)

_KINDS = ("posts", "pages")
_FIELDS = "id,title,url,updated_at,published_at"
_SIZE = 100


class Ghost:
    """A site with its posts and pages."""

    def __init__(self, access: Access, client: WebClient) -> None:
        self._key = access.secret
        base = f"{access.values['URL'].rstrip('/')}/ghost/api/content"
        self._api = Api(client, access, base, {"Accept-Version": "v5.0"})

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        kind, number, known = (page or f"{_KINDS[0]} 1 {since or ''}").split(" ")
        params = {
            "key": self._key,
            "limit": _SIZE,
            "page": number,
            "fields": _FIELDS,
            "order": "updated_at asc",
            "filter": None if since is None else f"updated_at:>='{_in_filter(since)}'",
        }
        found, _ = await self._api.get(f"{kind}/", params)
        items = [_item(row, kind) for row in objects(found.get(kind))]
        following = ((found.get("meta") or {}).get("pagination") or {}).get("next")
        reached = max(newest(items, None) or "", known)
        next_page = f"{kind} {following} {reached}" if following else None
        if next_page is None and kind != _KINDS[-1]:
            next_page = f"{_KINDS[_KINDS.index(kind) + 1]} 1 {reached}"
        return CmsPage(
            items=items, deleted=[], next_page=next_page, position=reached or None, complete=since is None
        )

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        params = {"key": self._key, "formats": "html", "include": "authors"}
        found, _ = await self._api.get(f"{kind}/{item_id}/", params)
        rows = objects(found.get(kind))
        if not rows:
            raise NotFoundError(f"ghost has no {kind} {item_id}")
        authors = [text(author.get("name")) for author in objects(rows[0].get("authors"))]
        return CmsDocument(
            item=_item(rows[0], kind),
            html=rows[0].get("html") or "",
            author=", ".join(name for name in authors if name) or None,
        )


def _in_filter(moment: str) -> str:
    """A time as Ghost's filters have it: UTC, without fractions, so that nothing at that time is left out."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _item(row: JsonObject, kind: str) -> CmsItem:
    return CmsItem(
        id=str(row["id"]),
        kind=kind,
        title=text(row.get("title")),
        url=text(row.get("url")),
        updated=_utc(row.get("updated_at")),
        published=text(row.get("published_at")),
    )


def _utc(value: object) -> str | None:
    """A time in UTC with milliseconds, so that texts are in the order of times."""
    found = text(value)
    if found is None:
        return None
    moment = datetime.fromisoformat(found).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
