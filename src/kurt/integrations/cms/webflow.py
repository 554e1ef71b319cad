"""Webflow: the collections of a site, by version 2 of its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.errors import NotFoundError
from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, newest, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"SITE_ID": None, "TYPES": "", "SITE": "", "BASE_URL": "https://api.webflow.com"},
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=True,
    where="Webflow's site settings, under apps and integrations: an API token that may read the CMS",
)

_SIZE = 100
_BODIES = ("post-body", "body", "content", "text", "description")


class Webflow:
    """A site; its types are the slugs of its collections.

    Each listing names all items: they are few, and only so deletions are seen.
    """

    def __init__(self, access: Access, client: WebClient) -> None:
        self._access = access
        self._site = access.values["SITE"].rstrip("/")
        headers = {"Authorization": f"Bearer {access.secret}"}
        self._api = Api(client, access, f"{access.values['BASE_URL'].rstrip('/')}/v2", headers)
        self._known: list[tuple[str, str]] = []

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        collections = await self._collections()
        if not collections:
            return CmsPage(items=[], deleted=[], next_page=None, position=since, complete=True)
        kind, start, known = (page or f"{collections[0][0]} 0 {since or ''}").split(" ")
        offset = int(start)
        ids = dict(collections)
        if kind not in ids:
            raise NotFoundError(f"webflow has no collection {kind!r}", hint="check CMS.WEBFLOW.TYPES")
        found, _ = await self._api.get(f"collections/{ids[kind]}/items", {"limit": _SIZE, "offset": offset})
        rows = objects(found.get("items"))
        items = [self._item(row, kind) for row in rows if not (row.get("isDraft") or row.get("isArchived"))]
        reached = max(newest(items, None) or "", known)
        total = int((found.get("pagination") or {}).get("total") or 0)
        names = [name for name, _ in collections]
        next_page = None
        if rows and offset + len(rows) < total:
            next_page = f"{kind} {offset + len(rows)} {reached}"
        elif after := names[names.index(kind) + 1 :]:
            next_page = f"{after[0]} 0 {reached}"
        return CmsPage(items=items, deleted=[], next_page=next_page, position=reached or None, complete=True)

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        ids = dict(await self._collections())
        if kind not in ids:
            raise NotFoundError(f"webflow has no collection {kind!r}")
        row, _ = await self._api.get(f"collections/{ids[kind]}/items/{item_id}")
        return CmsDocument(item=self._item(row, kind), html=_body(row.get("fieldData") or {}))

    async def _collections(self) -> list[tuple[str, str]]:
        """Slugs and ids of the collections that are wanted, in a settled order; asked for once."""
        if not self._known:
            wanted = self._access.listed("TYPES")
            found, _ = await self._api.get(f"sites/{self._access.values['SITE_ID']}/collections")
            pairs = [(str(one["slug"]), str(one["id"])) for one in objects(found.get("collections"))]
            self._known = sorted(pair for pair in pairs if not wanted or pair[0] in wanted)
        return self._known

    def _item(self, row: JsonObject, kind: str) -> CmsItem:
        fields = row.get("fieldData") or {}
        slug = text(fields.get("slug"))
        return CmsItem(
            id=str(row["id"]),
            kind=kind,
            title=text(fields.get("name")),
            url=f"{self._site}/{kind}/{slug}" if self._site and slug else None,
            updated=text(row.get("lastUpdated")),
            published=text(row.get("lastPublished") or row.get("createdOn")),
        )


def _body(fields: JsonObject) -> str:
    """The text: the usual field, else every field with markup in it."""
    named = [fields[name] for name in _BODIES if isinstance(fields.get(name), str) and fields[name]]
    rest = [value for value in fields.values() if isinstance(value, str) and "</" in value]
    return "\n".join(named[:1] or rest)
