"""Strapi: the REST interface of version 5, and that of version 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.errors import NotFoundError
from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.blocks_strapi import markdown_of_blocks
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, newest, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={"URL": None, "TYPES": None},
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=False,
    where="Strapi's settings, under API tokens",
)

_SIZE = 100
_TITLES = ("title", "name", "headline", "slug")
_BODIES = ("content", "body", "text", "article", "description")


class Strapi:
    """A server; its types are the plural names in its addresses, such as `articles`."""

    def __init__(self, access: Access, client: WebClient) -> None:
        self._types = access.listed("TYPES")
        headers = {} if access.secret is None else {"Authorization": f"Bearer {access.secret}"}
        self._api = Api(client, access, f"{access.values['URL'].rstrip('/')}/api", headers)

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        kind, number, known = (page or f"{self._types[0]} 1 {since or ''}").split(" ")
        params = {
            "pagination[page]": number,
            "pagination[pageSize]": _SIZE,
            "sort": "updatedAt:asc",
            "filters[updatedAt][$gte]": since,
        }
        found, _ = await self._api.get(kind, params)
        items = [_item(_flat(row), kind) for row in objects(found.get("data"))]
        pagination = (found.get("meta") or {}).get("pagination") or {}
        reached = max(newest(items, None) or "", known)
        next_page = None
        if int(number) < int(pagination.get("pageCount") or 1):
            next_page = f"{kind} {int(number) + 1} {reached}"
        elif after := self._types[self._types.index(kind) + 1 :]:
            next_page = f"{after[0]} 1 {reached}"
        return CmsPage(
            items=items, deleted=[], next_page=next_page, position=reached or None, complete=since is None
        )

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        found, _ = await self._api.get(f"{kind}/{item_id}", {"populate": "*"})
        data = found.get("data")
        if not isinstance(data, dict):
            raise NotFoundError(f"strapi has no {kind} {item_id}")
        row = _flat(data)
        return CmsDocument(item=_item(row, kind), markdown=_body(row), author=_author(row.get("author")))


def _flat(row: JsonObject) -> JsonObject:
    """An entry of version 4 as version 5 writes it."""
    attributes = row.get("attributes")
    return {**attributes, "id": row.get("id")} if isinstance(attributes, dict) else row


def _item(row: JsonObject, kind: str) -> CmsItem:
    return CmsItem(
        id=str(row.get("documentId") or row["id"]),
        kind=kind,
        title=next((found for name in _TITLES if (found := text(row.get(name)))), None),
        updated=text(row.get("updatedAt")),
        published=text(row.get("publishedAt")),
        language=text(row.get("locale")),
    )


def _body(row: JsonObject) -> str:
    """The text: the usual fields first; without one of them every field that holds blocks or several lines."""
    named = [row[name] for name in _BODIES if row.get(name)]
    rest = [value for name, value in row.items() if name not in _TITLES and _is_text(value)]
    parts = [_markdown(value) for value in (named[:1] or rest)]
    zones = [_markdown(part.get("body") or part.get("text")) for part in objects(row.get("blocks"))]
    return "\n\n".join(part for part in [*parts, *zones] if part)


def _is_text(value: Any) -> bool:
    return (isinstance(value, str) and "\n" in value) or (
        bool(objects(value)) and "children" in objects(value)[0]
    )


def _markdown(value: Any) -> str:
    """A field's text: Strapi's rich text is Markdown, its newer one are blocks."""
    return value.strip() if isinstance(value, str) else markdown_of_blocks(objects(value))


def _author(value: Any) -> str | None:
    if not isinstance(value, dict):
        return text(value)
    inner = value.get("data") if isinstance(value.get("data"), dict) else value
    return text(_flat(inner or {}).get("name"))
