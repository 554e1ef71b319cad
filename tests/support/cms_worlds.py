"""CMSs on loopback: servers that answer as the documentation of each interface shows, over items that tests change.

Each world keeps items by id: `{kind, title, updated, body, deleted}`; times are ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.site import Handler, Site

KEY = "key-123"


@dataclass
class Entry:
    kind: str
    title: str
    updated: str
    body: Any = None
    draft: bool = False


@dataclass
class World:
    """A CMS.

    Attributes:
        platform: its kind.
        settings: lines for `kurt.config`, with `{url}` for the server.
        secret: the variable with the key; None where none is needed.
        routes: what answers, by path.
        entries: what it holds, by id.
        log: what happened, for platforms that tell of deletions.
    """

    platform: str
    settings: str
    secret: str | None
    routes: Callable[[World], Mapping[str, Callable[[web.Request], Any]]]
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    page_size: int = 2

    def put(self, item: str, entry: Entry) -> None:
        self.entries[item] = entry
        self.log.append(("put", item))

    def remove(self, item: str) -> None:
        del self.entries[item]
        self.log.append(("remove", item))

    def sorted(self, kind: str | None = None) -> list[tuple[str, Entry]]:
        rows = [(item, one) for item, one in self.entries.items() if kind is None or one.kind == kind]
        return sorted(rows, key=lambda row: (row[1].updated, row[0]))

    def serve(self, site: Site) -> None:
        site.pages |= {path: _answering(answer) for path, answer in self.routes(self).items()}


def _answering(answer: Callable[[web.Request], Any]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        if inspect.isawaitable(found):
            found = await found
        if isinstance(found, web.StreamResponse):
            return found
        return web.json_response(found)

    return handle


def bearer(request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {KEY}"


def wordpress(world: World) -> dict[str, Any]:
    """WordPress, as developer.wordpress.org/rest-api/reference/posts shows it."""

    def row(item: str, one: Entry) -> dict[str, Any]:
        local = one.updated[:19]
        title = one.title.replace("&", "&#038;")
        return {
            "id": int(item),
            "date_gmt": "2026-01-01T00:00:00",
            "modified": local,
            "modified_gmt": local,
            "link": f"https://blog.example.com/{item}/",
            "title": {"rendered": f"{title}"},
        }

    def listing(kind: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            asked = request.query
            assert (asked["orderby"], asked["order"]) == ("modified", "asc")
            after = asked.get("modified_after", "")
            rows = [row(item, one) for item, one in world.sorted(kind) if one.updated[:19] > after]
            size, page = world.page_size, int(asked["page"])
            pages = max(1, -(-len(rows) // size))
            if page > pages:
                return web.json_response({"code": "rest_post_invalid_page_number"}, status=400)
            found = rows[(page - 1) * size : page * size]
            return web.json_response(
                found, headers={"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages)}
            )

        return answer

    def one(kind: str, item: str) -> Callable[[web.Request], Any]:
        def answer(_: web.Request) -> Any:
            entry = world.entries.get(item)
            if entry is None:
                return web.json_response({"code": "rest_post_invalid_id"}, status=404)
            author = {"_embedded": {"author": [{"id": 1, "name": "Ann Author"}]}}
            return {**row(item, entry), "content": {"rendered": entry.body, "protected": False}, **author}

        return answer

    base = "/wp-json/wp/v2"
    singles = {f"{base}/{entry.kind}/{item}": one(entry.kind, item) for item, entry in world.entries.items()}
    return {f"{base}/posts": listing("posts"), f"{base}/pages": listing("pages"), **singles}


def ghost(world: World) -> dict[str, Any]:
    """Ghost, as docs.ghost.org/content-api shows it."""

    def row(item: str, one: Entry) -> dict[str, Any]:
        updated = one.updated.replace("Z", "+00:00")
        return {
            "id": item,
            "title": one.title,
            "url": f"https://g.example.com/{item}/",
            "updated_at": updated,
            "published_at": updated,
        }

    def listing(kind: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            asked = request.query
            if asked.get("key") != KEY:
                return web.json_response(
                    {"errors": [{"message": "Unknown Content API Key", "type": "UnauthorizedError"}]},
                    status=401,
                )
            since = re.fullmatch(r"updated_at:>='([\d: -]+)'", asked.get("filter", "updated_at:>='0'"))
            assert since is not None, asked["filter"]
            rows = [
                row(item, one)
                for item, one in world.sorted(kind)
                if one.updated[:19].replace("T", " ") >= since[1]
            ]
            size, page = world.page_size, int(asked["page"])
            pages = max(1, -(-len(rows) // size))
            meta = {"page": page, "limit": size, "pages": pages, "total": len(rows)}
            meta |= {"next": page + 1 if page < pages else None, "prev": page - 1 or None}
            return {kind: rows[(page - 1) * size : page * size], "meta": {"pagination": meta}}

        return answer

    def one(kind: str, item: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            entry = world.entries.get(item)
            if entry is None:
                return web.json_response({"errors": [{"type": "NotFoundError"}]}, status=404)
            return {
                kind: [
                    {**row(item, entry), "html": entry.body, "authors": [{"id": "1", "name": "Ann Author"}]}
                ]
            }

        return answer

    base = "/ghost/api/content"
    singles = {f"{base}/{entry.kind}/{item}/": one(entry.kind, item) for item, entry in world.entries.items()}
    return {f"{base}/posts/": listing("posts"), f"{base}/pages/": listing("pages"), **singles}


def strapi(world: World) -> dict[str, Any]:
    """Strapi 5, as docs.strapi.io/cms/api/rest shows it."""

    def row(item: str, one: Entry) -> dict[str, Any]:
        times = {
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": one.updated,
            "publishedAt": one.updated,
        }
        return {"id": 1, "documentId": item, "title": one.title, **times, "locale": "en"}

    def listing(request: web.Request) -> Any:
        if not bearer(request):
            return web.json_response(
                {"data": None, "error": {"status": 401, "name": "UnauthorizedError"}}, status=401
            )
        asked = request.query
        since = asked.get("filters[updatedAt][$gte]", "")
        rows = [row(item, one) for item, one in world.sorted() if one.updated >= since]
        size, page = world.page_size, int(asked["pagination[page]"])
        meta = {"page": page, "pageSize": size, "pageCount": -(-len(rows) // size), "total": len(rows)}
        return {"data": rows[(page - 1) * size : page * size], "meta": {"pagination": meta}}

    def one(item: str) -> Callable[[web.Request], Any]:
        def answer(_: web.Request) -> Any:
            entry = world.entries.get(item)
            if entry is None:
                return web.json_response(
                    {"data": None, "error": {"status": 404, "name": "NotFoundError"}}, status=404
                )
            author = {"author": {"id": 2, "documentId": "a", "name": "Ann Author"}}
            return {"data": {**row(item, entry), "content": entry.body, **author}, "meta": {}}

        return answer

    return {"/api/articles": listing, **{f"/api/articles/{item}": one(item) for item in world.entries}}


def sanity(world: World) -> dict[str, Any]:
    """Sanity, as sanity.io/docs/http-reference/query shows it."""

    def answer(request: web.Request) -> Any:
        asked = request.query
        query = asked["query"]
        assert asked["perspective"] == "published"
        if "[_id == $id]" in query:
            item = json.loads(asked["$id"])
            one = world.entries.get(item)
            if one is None:
                return {"ms": 1, "query": query, "result": None}
            row = {
                "_id": item,
                "_type": one.kind,
                "_updatedAt": one.updated,
                "title": one.title,
                "slug": {"current": item},
            }
            return {"ms": 1, "query": query, "result": {**row, "body": one.body, "author": "Ann Author"}}
        since = json.loads(asked.get("$since", '""'))
        bounds = re.search(r"\[(\d+)\.\.\.(\d+)\]", query)
        assert bounds is not None
        rows = [
            {
                "_id": item,
                "_type": one.kind,
                "_updatedAt": one.updated,
                "title": one.title,
                "slug": item,
                "publishedAt": None,
                "language": None,
            }
            for item, one in world.sorted()
            if one.updated >= since
        ]
        return {
            "ms": 2,
            "query": query,
            "result": rows[int(bounds[1]) : int(bounds[2])],
            "syncTags": ["s1:x"],
        }

    return {"/v2025-02-19/data/query/production": answer}


def contentful(world: World) -> dict[str, Any]:
    """Contentful, as contentful.com/developers/docs/references/content-delivery-api/synchronization shows it."""

    base = "/spaces/space1/environments/master"

    def entry(item: str, one: Entry) -> dict[str, Any]:
        kind = {"sys": {"type": "Link", "linkType": "ContentType", "id": one.kind}}
        sys = {
            "id": item,
            "type": "Entry",
            "createdAt": one.updated,
            "updatedAt": one.updated,
            "revision": 1,
            "contentType": kind,
        }
        fields = {"title": {"en-US": one.title, "de-DE": f"de {one.title}"}}
        if one.body is not None:
            fields["body"] = {"en-US": one.body}
            fields["author"] = {"en-US": {"sys": {"type": "Link", "linkType": "Entry", "id": "ann"}}}
        return {"sys": sys, "fields": fields}

    def sync(request: web.Request) -> Any:
        if not bearer(request):
            return web.json_response({"sys": {"type": "Error", "id": "AccessTokenInvalid"}}, status=401)
        asked = request.query
        token = asked.get("sync_token")
        first = int(token) if token else 0
        if not token:
            assert asked["initial"] == "true"
        part = world.log[first : first + world.page_size]
        items: list[dict[str, Any]] = [{"sys": {"id": "picture", "type": "Asset"}, "fields": {}}]
        for what, item in part:
            if what == "put" and item in world.entries:
                items.append(entry(item, world.entries[item]))
            elif what == "remove" and token:
                items.append(
                    {"sys": {"type": "DeletedEntry", "id": item, "deletedAt": "2026-05-01T00:00:00.000Z"}}
                )
        reached = first + len(part)
        name = "nextPageUrl" if reached < len(world.log) else "nextSyncUrl"
        return {
            "sys": {"type": "Array"},
            "items": items,
            name: f"https://cdn.contentful.com{base}/sync?sync_token={reached}",
        }

    def entries(request: web.Request) -> Any:
        item = request.query["sys.id"]
        one = world.entries.get(item)
        found = [] if one is None else [entry(item, one)]
        ann = {"sys": {"id": "ann", "type": "Entry"}, "fields": {"name": {"en-US": "Ann Author"}}}
        return {"sys": {"type": "Array"}, "total": len(found), "items": found, "includes": {"Entry": [ann]}}

    return {f"{base}/sync": sync, f"{base}/entries": entries}


def _notion_page(item: str, one: Entry) -> dict[str, Any]:
    spans = [{"type": "text", "plain_text": one.title, "annotations": {}, "href": None}]
    return {
        "object": "page",
        "id": item,
        "created_time": "2026-01-01T00:00:00.000Z",
        "last_edited_time": one.updated,
        "archived": one.draft,
        "in_trash": one.draft,
        "url": f"https://www.notion.so/{item}",
        "public_url": None,
        "properties": {
            "Name": {"id": "title", "type": "title", "title": spans},
            "Tags": {"type": "multi_select"},
        },
    }


def notion(world: World) -> dict[str, Any]:
    """Notion, as developers.notion.com/reference/post-search shows it."""

    async def search(request: web.Request) -> web.StreamResponse:
        if not bearer(request) or request.headers.get("Notion-Version") is None:
            return web.json_response({"object": "error", "status": 401, "code": "unauthorized"}, status=401)
        asked = await request.json()
        assert asked["filter"] == {"property": "object", "value": "page"}
        start = int(asked.get("start_cursor") or 0)
        rows = [_notion_page(item, one) for item, one in world.sorted()[::-1]]
        found = rows[start : start + world.page_size]
        more = start + len(found) < len(rows)
        return web.json_response(
            {
                "object": "list",
                "results": found,
                "has_more": more,
                "next_cursor": str(start + len(found)) if more else None,
                "type": "page_or_database",
            }
        )

    def page(item: str) -> Callable[[web.Request], Any]:
        def answer(_: web.Request) -> Any:
            if item not in world.entries:
                return web.json_response(
                    {"object": "error", "status": 404, "code": "object_not_found"}, status=404
                )
            return _notion_page(item, world.entries[item])

        return answer

    def blocks(item: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            start = int(request.query.get("start_cursor") or 0)
            found = world.entries[item].body[start : start + world.page_size]
            more = start + len(found) < len(world.entries[item].body)
            return {
                "object": "list",
                "results": found,
                "has_more": more,
                "next_cursor": str(start + len(found)) if more else None,
            }

        return answer

    routes: dict[str, Any] = {"/v1/search": search}
    for item in world.entries:
        routes |= {f"/v1/pages/{item}": page(item), f"/v1/blocks/{item}/children": blocks(item)}
    return routes


def webflow(world: World) -> dict[str, Any]:
    """Webflow, as developers.webflow.com/data/reference/cms shows it."""

    def collections(request: web.Request) -> Any:
        if not bearer(request):
            return web.json_response({"code": "not_authorized"}, status=401)
        names = sorted({one.kind for one in world.entries.values()})
        return {
            "collections": [
                {"id": f"id-{name}", "displayName": name, "singularName": name, "slug": name}
                for name in names
            ]
        }

    def row(item: str, one: Entry) -> dict[str, Any]:
        times = {
            "lastPublished": one.updated,
            "lastUpdated": one.updated,
            "createdOn": "2026-01-01T00:00:00.000Z",
        }
        fields = {"name": one.title, "slug": f"slug-{item}", "post-body": one.body}
        return {
            "id": item,
            "cmsLocaleId": "x",
            **times,
            "isArchived": False,
            "isDraft": one.draft,
            "fieldData": fields,
        }

    def items(kind: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            rows = [row(item, one) for item, one in world.sorted(kind)]
            start = int(request.query["offset"])
            found = rows[start : start + world.page_size]
            return {
                "items": found,
                "pagination": {"limit": world.page_size, "offset": start, "total": len(rows)},
            }

        return answer

    def one(item: str) -> Callable[[web.Request], Any]:
        def answer(_: web.Request) -> Any:
            if item not in world.entries:
                return web.json_response({"code": "resource_not_found"}, status=404)
            return row(item, world.entries[item])

        return answer

    routes: dict[str, Any] = {"/v2/sites/site1/collections": collections}
    for item, entry in world.entries.items():
        routes[f"/v2/collections/id-{entry.kind}/items"] = items(entry.kind)
        routes[f"/v2/collections/id-{entry.kind}/items/{item}"] = one(item)
    return routes


SETTINGS: dict[str, tuple[str, str | None, Any]] = {
    "wordpress": ("CMS.WORDPRESS.URL={url}", None, wordpress),
    "ghost": ("CMS.GHOST.URL={url}", "GHOST_KEY", ghost),
    "strapi": ("CMS.STRAPI.URL={url}\nCMS.STRAPI.TYPES=articles", "STRAPI_TOKEN", strapi),
    "sanity": (
        "CMS.SANITY.PROJECT_ID=p1\nCMS.SANITY.BASE_URL={url}\nCMS.SANITY.SITE=https://s.example.com",
        None,
        sanity,
    ),
    "contentful": (
        "CMS.CONTENTFUL.SPACE_ID=space1\nCMS.CONTENTFUL.BASE_URL={url}",
        "CONTENTFUL_TOKEN",
        contentful,
    ),
    "notion": ("CMS.NOTION.BASE_URL={url}", "NOTION_TOKEN", notion),
    "webflow": ("CMS.WEBFLOW.SITE_ID=site1\nCMS.WEBFLOW.BASE_URL={url}", "WEBFLOW_TOKEN", webflow),
}
"""Settings, key and routes of each platform."""


def world_of(platform: str, kinds: tuple[str, str]) -> World:
    """A world with five items, of two kinds where the platform has kinds."""
    settings, secret, routes = SETTINGS[platform]
    world = World(platform, settings, secret, routes)
    for number in range(1, 6):
        kind = kinds[0] if number < 4 else kinds[1]
        world.put(str(number), Entry(kind, f"Title & {number}", f"2026-03-0{number}T10:00:00.000Z"))
    return world
