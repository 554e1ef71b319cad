"""Contentful: the Sync interface of content delivery, which tells of deletions too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from kurt.errors import NotFoundError
from kurt.integrations.cms.access import Access, Needs
from kurt.integrations.cms.api import Api
from kurt.integrations.cms.blocks_contentful import markdown_of_rich_text
from kurt.integrations.cms.types import CmsDocument, CmsItem, CmsPage, objects, text

if TYPE_CHECKING:
    from kurt.integrations.web.client import WebClient
    from kurt.types import JsonObject

NEEDS = Needs(
    fields={
        "SPACE_ID": None,
        "ENVIRONMENT": "master",
        "TYPES": "",
        "LOCALE": "en-US",
        "BASE_URL": "https://cdn.contentful.com",
    },
    secret="TOKEN",  # noqa: S106 - the end of a variable's name
    secret_needed=True,
    where="Contentful's settings, under API keys: the content delivery token",
)

_TITLES = ("title", "name", "headline", "internalName", "slug")
_BODIES = ("content", "body", "text", "article", "description")


class Contentful:
    """An environment of a space."""

    def __init__(self, access: Access, client: WebClient) -> None:
        values = access.values
        self._types = frozenset(access.listed("TYPES"))
        self._locale = values["LOCALE"]
        base = f"{values['BASE_URL'].rstrip('/')}/spaces/{values['SPACE_ID']}/environments/{values['ENVIRONMENT']}"
        self._api = Api(client, access, base, {"Authorization": f"Bearer {access.secret}"})

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        token = page or since
        params = {"sync_token": token} if token else {"initial": "true", "type": "all"}
        found, _ = await self._api.get("sync", params)
        entries = objects(found.get("items"))
        items = [self._item(entry) for entry in entries if _type(entry) == "Entry" and self._is_wanted(entry)]
        deleted = [("", str(entry["sys"]["id"])) for entry in entries if _type(entry) == "DeletedEntry"]
        return CmsPage(
            items=items,
            deleted=deleted,
            next_page=_token(found.get("nextPageUrl")),
            position=_token(found.get("nextSyncUrl")),
            complete=since is None,
        )

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        params = {"sys.id": item_id, "include": 1, "locale": "*"}
        found, _ = await self._api.get("entries", params)
        entries = objects(found.get("items"))
        if not entries:
            raise NotFoundError(f"contentful has no {kind} {item_id}")
        fields = {name: self._local(value) for name, value in (entries[0].get("fields") or {}).items()}
        return CmsDocument(
            item=self._item(entries[0]),
            markdown=_body(fields),
            author=self._author(fields.get("author"), found),
        )

    def _is_wanted(self, entry: JsonObject) -> bool:
        return not self._types or _kind(entry) in self._types

    def _local(self, value: Any) -> Any:
        """A field's value in the language that the settings name, else in the first one."""
        if not isinstance(value, dict) or "sys" in value or "nodeType" in value:
            return value
        return value.get(self._locale, next(iter(value.values()), None))

    def _item(self, entry: JsonObject) -> CmsItem:
        fields = {name: self._local(value) for name, value in (entry.get("fields") or {}).items()}
        return CmsItem(
            id=str(entry["sys"]["id"]),
            kind=_kind(entry),
            title=next((found for name in _TITLES if (found := text(fields.get(name)))), None),
            updated=text(entry["sys"].get("updatedAt")),
            published=text(entry["sys"].get("createdAt")),
            language=self._locale,
        )

    def _author(self, value: Any, found: JsonObject) -> str | None:
        """A name, or the name of the entry that is linked to."""
        if not isinstance(value, dict):
            return text(value)
        linked = (value.get("sys") or {}).get("id")
        for entry in objects((found.get("includes") or {}).get("Entry")):
            if entry["sys"]["id"] == linked:
                return self._item(entry).title
        return None


def _type(entry: JsonObject) -> str:
    return str((entry.get("sys") or {}).get("type"))


def _kind(entry: JsonObject) -> str:
    return str((((entry["sys"].get("contentType") or {}).get("sys")) or {}).get("id") or "entry")


def _token(url: object) -> str | None:
    """The token in the address with which the answer says how to go on."""
    return (
        next(iter(parse_qs(urlsplit(url).query).get("sync_token", [])), None)
        if isinstance(url, str)
        else None
    )


def _body(fields: JsonObject) -> str:
    """The text: the usual fields first; without one of them every field of rich text or of several lines."""
    named = [fields[name] for name in _BODIES if fields.get(name)]
    rest = [value for value in fields.values() if _is_text(value)]
    parts = [
        markdown_of_rich_text(value) if isinstance(value, dict) else str(value).strip()
        for value in named[:1] or rest
    ]
    return "\n\n".join(part for part in parts if part)


def _is_text(value: Any) -> bool:
    return (isinstance(value, str) and "\n" in value) or (isinstance(value, dict) and "nodeType" in value)
