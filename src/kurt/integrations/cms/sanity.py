"""Sanity: queries over the Content Lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kurt.errors import NotFoundError
from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.blocks_sanity import markdown_of_document
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, newest, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"PROJECT_ID": None, "DATASET": "production", "TYPES": "", "SITE": "", "BASE_URL": ""},
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=False,
    where="sanity.io/manage, under API: a viewer token; public datasets need none",
)

_VERSION = "v2025-02-19"
_SIZE = 200
_OURS = '!(_id in path("_.**")) && !(_id in path("drafts.**")) && !(_type match "sanity.*") && !(_type match "system.*")'
_FIELDS = (
    '{_id, _type, _updatedAt, "title": coalesce(title, name), "slug": slug.current, publishedAt, language}'
)
_ONE = '*[_id == $id][0]{..., "author": coalesce(author->name, author)}'


class Sanity:
    """A dataset of a project."""

    def __init__(self, access: Access, client: WebClient) -> None:
        values = access.values
        base = values["BASE_URL"] or f"https://{values['PROJECT_ID']}.api.sanity.io"
        headers = {} if access.secret is None else {"Authorization": f"Bearer {access.secret}"}
        self._types = access.listed("TYPES")
        self._site = values["SITE"].rstrip("/")
        self._api = Api(client, access, base, headers)
        self._path = f"{_VERSION}/data/query/{values['DATASET']}"

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        start, known = (page or f"0 {since or ''}").split(" ")
        wanted = "_type in $types" if self._types else "(defined(title) || defined(name))"
        changed = " && _updatedAt >= $since" if since else ""
        last = int(start) + _SIZE
        query = f"*[{_OURS} && {wanted}{changed}] | order(_updatedAt asc, _id asc) [{int(start)}...{last}]{_FIELDS}"
        params: JsonObject = {"types": self._types} if self._types else {}
        found = objects(await self._ask(query, {**params, **({"since": since} if since else {})}))
        items = [self._item(row) for row in found]
        reached = max(newest(items, None) or "", known)
        return CmsPage(
            items=items,
            deleted=[],
            next_page=f"{last} {reached}" if len(found) == _SIZE else None,
            position=reached or None,
            complete=since is None,
        )

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        row = await self._ask(_ONE, {"id": item_id})
        if not isinstance(row, dict):
            raise NotFoundError(f"sanity has no {kind} {item_id}")
        slug = row.get("slug")
        flat = {**row, "slug": slug.get("current") if isinstance(slug, dict) else slug}
        return CmsDocument(
            item=self._item(flat), markdown=markdown_of_document(row), author=text(row.get("author"))
        )

    async def _ask(self, query: str, params: JsonObject) -> object:
        """The result of a query; parameters are JSON, so that no value can become a part of the query."""
        given = {f"${name}": json.dumps(value) for name, value in params.items()}
        found, _ = await self._api.get(self._path, {"query": query, "perspective": "published", **given})
        return found.get("result")

    def _item(self, row: JsonObject) -> CmsItem:
        slug = text(row.get("slug"))
        return CmsItem(
            id=str(row["_id"]),
            kind=str(row["_type"]),
            title=text(row.get("title") or row.get("name")),
            url=f"{self._site}/{slug}" if self._site and slug else None,
            updated=text(row.get("_updatedAt")),
            published=text(row.get("publishedAt")),
            language=text(row.get("language")),
        )
