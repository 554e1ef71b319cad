"""What stands for Reddit in tests: listings and a search over posts that a test gives, in the shape of its interface.

with stand_in([post("Why?", votes=10)]) as site:
    kurt.environ["KURT_REDDIT__BASE_URL"] = site.url
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.support.site import Site

KEYS = ("the-id", "the-secret")
"""Keys of the only application that is known."""

TOKEN = "the-token"


def post(
    title: str, *, votes: int = 1, comments: int = 0, group: str = "python", **more: Any
) -> dict[str, Any]:
    """The data of a post, as Reddit gives it."""
    name = hashlib.sha256(f"{group} {title}".encode()).hexdigest()[:7]
    return {
        "name": f"t3_{name}",
        "id": name,
        "title": title,
        "selftext": "",
        "author": "somebody",
        "subreddit": group,
        "score": votes,
        "num_comments": comments,
        "created_utc": 1_790_000_000.0,
        "permalink": f"/r/{group}/comments/{name}/",
        "url": f"https://www.reddit.com/r/{group}/comments/{name}/",
        "is_self": True,
        "over_18": False,
        "stickied": False,
        "link_flair_text": None,
        **more,
    }


def listing(posts: Sequence[dict[str, Any]], after: str | None = None, kind: str = "t3") -> dict[str, Any]:
    """An answer with posts."""
    return {
        "kind": "Listing",
        "data": {
            "after": after,
            "dist": len(posts),
            "children": [{"kind": kind, "data": one} for one in posts],
        },
    }


@contextmanager
def stand_in(posts: Sequence[dict[str, Any]], *, keys: bool = False) -> Generator[Site]:
    """Serve posts while the block runs.

    Args:
        posts: what there is; a subreddit is known if one of them is in it.
        keys: refuse requests without the token that the application's keys give.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v1/access_token":
            return await _token(request)
        if keys and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=403, text="<title>Blocked</title>", content_type="text/html")
        found = _chosen(posts, request)
        if found is None:
            return web.json_response({"message": "Not Found", "error": 404}, status=404)
        start = next((at + 1 for at, one in enumerate(found) if one["name"] == request.query.get("after")), 0)
        size = int(request.query.get("limit", "25"))
        page = found[start : start + size]
        after = page[-1]["name"] if start + size < len(found) else None
        return web.json_response(listing(page, after))

    site = Site()
    site.pages = _Everything(answer)
    with site:
        yield site


class _Everything(dict[str, Any]):
    """One handler for all paths, unless a test gives a path another."""

    def __init__(self, handler: Any) -> None:
        super().__init__()
        self._handler = handler

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, default or self._handler)


async def _token(request: web.Request) -> web.StreamResponse:
    _, _, given = request.headers.get("Authorization", "").partition(" ")
    form = await request.post()
    if base64.b64decode(given).decode() != ":".join(KEYS) or form.get("grant_type") != "client_credentials":
        return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
    return web.Response(
        text=json.dumps({"access_token": TOKEN, "token_type": "bearer", "expires_in": 86400}),
        content_type="application/json",
    )


def _chosen(posts: Sequence[dict[str, Any]], request: web.Request) -> list[dict[str, Any]] | None:
    """The posts that a path asks for, the ones with most votes first; None where there is no such subreddit."""
    words = unquote(request.path).strip("/").split("/")
    names = set(words[1].lower().split("+")) if words[0] == "r" else {"all"}
    known = {one["subreddit"].lower() for one in posts}
    if names != {"all"} and not names & known:
        return None
    found = [one for one in posts if names == {"all"} or one["subreddit"].lower() in names]
    if words[-1] == "search.json":
        wanted = [word for word in request.query["q"].lower().split() if len(word) > 2]
        found = [
            one
            for one in found
            if any(word in f"{one['title']} {one['selftext']}".lower() for word in wanted)
        ]
    return sorted(found, key=lambda one: -one["score"])
