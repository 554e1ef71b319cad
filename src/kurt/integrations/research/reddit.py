"""Posts of Reddit, from its listings and its search.

With the keys of an application (`REDDIT_CLIENT_ID`, `REDDIT_CLIENT_SECRET`) its API is asked, without them the public
JSON of its pages, which it refuses to many. At most one request is under way, and a second lies between two.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from kurt.errors import CredentialsError, DataError, NotFoundError, UsageError
from kurt.integrations.research.posts import Post, asks, scored
from kurt.integrations.web.client import Limits, Reply, WebClient, agent
from kurt.integrations.web.errors import StatusError, WebTimeoutError
from kurt.integrations.web.politeness import Politeness

if TYPE_CHECKING:
    from kurt.config import Settings

Sort = Literal["top", "hot", "new", "rising", "controversial", "relevance", "comments"]
Period = Literal["hour", "day", "week", "month", "year", "all"]

LISTING_SORTS = ("top", "hot", "new", "rising", "controversial")
"""Orders of a subreddit."""

SEARCH_SORTS = ("relevance", "top", "hot", "new", "comments")
"""Orders of what a search finds."""

PERIODS = ("hour", "day", "week", "month", "year", "all")
"""How far back `top`, `controversial` and a search look."""

MOST = 1000
"""Reddit gives no more posts of one listing."""

PUBLIC = "https://www.reddit.com"
API = "https://oauth.reddit.com"
ID_KEY = "REDDIT_CLIENT_ID"
SECRET_KEY = "REDDIT_CLIENT_SECRET"  # noqa: S105 - the name of a variable

_APPS = "https://www.reddit.com/prefs/apps"
_PAGE = 100  # the most that one answer has
_APART = 1.0
_SECONDS = 180.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{1,20}")
_PREFIX = re.compile(r"^/?r/", re.IGNORECASE)
_LIMITS = Limits(body=10_000_000, seconds=30.0, attempts=3, throttled=4, retry_after=60.0)
_SAID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which posts are wanted.

    Attributes:
        subreddits: their names, with or without `r/`; none for all of Reddit.
        query: words to search for, as Reddit understands them; None lists a subreddit.
        sort: the order in which Reddit gives them, which decides which are given; by default `top`.
        period: how far back.
        limit: posts at most, 1 to 1000.
        min_votes: posts with fewer are left out.
        questions_only: leave out posts whose title asks nothing.
        adult: whether posts that are marked as not safe for work are taken.
    """

    subreddits: tuple[str, ...] = ()
    query: str | None = None
    sort: Sort = "top"
    period: Period = "week"
    limit: int = 50
    min_votes: int | None = None
    questions_only: bool = False
    adult: bool = False

    def path(self) -> str:
        """The address below the server's, without a page.

        Raises:
            UsageError: the parts do not fit together.
        """
        names = "+".join(subreddit_name(word) for word in self.subreddits)
        if self.query is not None and not self.query.strip():
            raise UsageError("the words to search for are empty", hint="leave --query out, or say what for")
        if self.query is None:
            _check_sort(self.sort, LISTING_SORTS, "a listing", "--query")
            dated = {"t": self.period} if self.sort in {"top", "controversial"} else {}
            return _address(f"/r/{names or 'all'}/{self.sort}.json", dated)
        _check_sort(self.sort, SEARCH_SORTS, "a search", "no --query")
        given = {"q": self.query, "sort": self.sort, "t": self.period, "type": "link"}
        if names:
            return _address(f"/r/{names}/search.json", {**given, "restrict_sr": "1"})
        return _address("/search.json", given)

    def wants(self, post: Post, *, adult: bool) -> bool:
        """Whether a post is one of those that are wanted."""
        if adult and not self.adult:
            return False
        if self.questions_only and not post.is_question:
            return False
        return self.min_votes is None or post.votes >= self.min_votes


def subreddit_name(word: str) -> str:
    """The name in `name`, `r/name` or `/r/name/`.

    Raises:
        UsageError: it is none.
    """
    name = _PREFIX.sub("", word.strip()).rstrip("/")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{word!r} is no name of a subreddit: it has 2 to 21 letters, digits and underscores",
            hint="give one name an option, such as --subreddit python --subreddit learnpython",
        )
    return name


class Reddit:
    """Asks Reddit, or a stand-in that the setting `REDDIT.BASE_URL` names; to be entered with `async with`."""

    def __init__(self, settings: Settings) -> None:
        own = str(settings.get("REDDIT.BASE_URL") or "").rstrip("/")
        self._id, self._secret = settings.secret(ID_KEY), settings.secret(SECRET_KEY)
        if bool(self._id) != bool(self._secret):
            missing = SECRET_KEY if self._id else ID_KEY
            raise CredentialsError(
                f"an application of Reddit has two keys, and {missing} is not set",
                hint=f"set {missing} in the environment or in .env; {_APPS} shows it",
            )
        self.base = own or (API if self._id else PUBLIC)
        self._tokens = f"{own or PUBLIC}/api/v1/access_token"
        self._headers = {"User-Agent": f"python:{agent().replace('/', ':')} (content research)"}
        self._client = WebClient(
            allow_private=bool(own),  # who names a server of one's own means it
            limits=_LIMITS,
            politeness=Politeness(per_host=1, delay=_APART),
        )

    async def __aenter__(self) -> Reddit:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def posts(self, question: Question) -> list[Post]:
        """The posts that are wanted, scored, the highest first.

        Raises:
            UsageError: the question's parts do not fit together.
            CredentialsError: Reddit wants keys, or refuses those that there are.
            NotFoundError: there is no such subreddit.
            DataError: the answer is not what Reddit answers, or the subreddit is closed.
            WebError: Reddit cannot be reached, or refuses.
        """
        path = question.path()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._log_in()
                return scored(await self._all(question, path))
        except TimeoutError as error:
            raise WebTimeoutError(
                f"Reddit did not give all posts within {_SECONDS:g} s",
                url=self.base,
                hint="ask for fewer, with --limit",
            ) from error

    async def _all(self, question: Question, path: str) -> list[Post]:
        found: dict[str, Post] = {}
        after: str | None = None
        # Asked for at most so often, however few of the posts are wanted.
        for _ in range(-(-MOST // _PAGE)):
            size = _PAGE if question.questions_only or question.min_votes else min(_PAGE, question.limit)
            extra = {"limit": str(size), "raw_json": "1", **({"after": after} if after else {})}
            url = f"{self.base}{path}{'&' if '?' in path else '?'}{urlencode(extra)}"
            rows, after = self._listing(
                await self._client.get(url, accept="application/json", headers=self._headers), question
            )
            for row in rows:
                post = _post(row)
                if question.wants(post, adult=bool(row.get("over_18"))):
                    found.setdefault(post.id, post)
                if len(found) >= question.limit:
                    return list(found.values())
            if not after:
                break
        return list(found.values())

    async def _log_in(self) -> None:
        if not self._id or "Authorization" in self._headers:
            return
        pair = base64.b64encode(f"{self._id}:{self._secret}".encode()).decode()
        reply = await self._client.post(
            self._tokens,
            form={"grant_type": "client_credentials"},
            headers={**self._headers, "Authorization": f"Basic {pair}"},
        )
        if reply.status in {400, 401, 403}:
            raise CredentialsError(
                f"Reddit refuses the keys of the application ({reply.status})",
                hint=f"compare {ID_KEY} and {SECRET_KEY} with what {_APPS} shows",
            )
        token = _object(_answer(reply)).get("access_token")
        if not isinstance(token, str) or not token:
            raise CredentialsError(
                "Reddit gave no token for the keys of the application",
                hint=f"make an application of the type `script` at {_APPS}",
            )
        self._headers = {**self._headers, "Authorization": f"Bearer {token}"}

    def _listing(self, reply: Reply, question: Question) -> tuple[list[Mapping[str, Any]], str | None]:
        """The posts of one answer, and the name of the page after it."""
        names = ", ".join(f"r/{subreddit_name(word)}" for word in question.subreddits) or "all of Reddit"
        self._check(reply, names)
        if "/subreddits/search" in reply.url:  # where Reddit sends who asks for what there is not
            raise _unknown(names)
        data = _object(_object(_answer(reply)).get("data"))
        children = data.get("children")
        if not isinstance(children, list):
            raise DataError(
                f"{self.base} answered with something that is no listing of Reddit",
                hint="check the setting REDDIT.BASE_URL",
            )
        posts = [_object(child.get("data")) for child in map(_object, children) if child.get("kind") == "t3"]
        posts = [row for row in posts if not row.get("stickied")]  # what moderators put on top is theirs
        after = data.get("after")
        return posts, after if isinstance(after, str) and after else None

    def _check(self, reply: Reply, names: str) -> None:
        """Nothing for a good answer.

        Raises:
            KurtError: what the answer says.
        """
        if reply.ok:
            return
        reason = _reason(reply)
        if reply.status == 404:
            raise _unknown(names, reason)
        if reason in {"private", "quarantined", "gold_only"}:
            raise DataError(f"{names} is {reason.replace('_', ' ')}", hint="leave that subreddit out")
        if reply.status in {401, 403}:
            raise self._refused(reply.status)
        hint = "ask again in some minutes" if reply.status == 429 else None
        raise StatusError(
            f"Reddit answered with {reply.status}{f' ({reason})' if reason else ''}",
            status=reply.status,
            url=reply.url.partition("?")[0],
            hint=hint,
        )

    def _refused(self, status: int) -> CredentialsError:
        if self._id:
            return CredentialsError(
                f"Reddit refuses the application ({status})", hint=f"look at its state at {_APPS}"
            )
        return CredentialsError(
            f"Reddit refuses requests without keys from here ({status})",
            hint=f"make an application of the type `script` at {_APPS}, and put {ID_KEY} and {SECRET_KEY} into .env",
        )


def _check_sort(sort: str, known: tuple[str, ...], what: str, other: str) -> None:
    if sort not in known:
        raise UsageError(
            f"{what} has no order {sort!r}; it has {', '.join(known)}", hint=f"use one of them, or {other}"
        )


def _address(path: str, params: Mapping[str, str]) -> str:
    return path + (f"?{urlencode(params, quote_via=quote)}" if params else "")


def _unknown(names: str, reason: str = "") -> NotFoundError:
    return NotFoundError(
        f"Reddit has nothing at {names}" + (f": {reason}" if reason else ""),
        hint="look at the name of the subreddit",
    )


def _answer(reply: Reply) -> Any:
    try:
        return json.loads(reply.check().body)
    except (ValueError, RecursionError):
        raise DataError(
            f"{reply.url.partition('?')[0]} answered with something that is no JSON",
            hint="check the setting REDDIT.BASE_URL",
        ) from None


def _reason(reply: Reply) -> str:
    """What an error of Reddit's gives as its reason; empty for a page for people."""
    try:
        said = _object(json.loads(reply.body))
    except (ValueError, RecursionError):
        return ""
    found = said.get("reason") or said.get("message") or ""
    return str(found)[:_SAID]


def _post(row: Mapping[str, Any]) -> Post:
    title = " ".join(_text(row, "title").split())
    author = _text(row, "author")
    return Post(
        id=_text(row, "name") or f"t3_{_text(row, 'id')}",
        title=title,
        text=_text(row, "selftext").strip(),
        url=f"{PUBLIC}{_text(row, 'permalink')}",
        author=author if author and author != "[deleted]" else None,
        group=_text(row, "subreddit"),
        votes=_number(row, "score"),
        comments=_number(row, "num_comments"),
        created_at=datetime.fromtimestamp(_number(row, "created_utc"), UTC)
        .isoformat()
        .replace("+00:00", "Z"),
        link=None if row.get("is_self") else _text(row, "url") or None,
        label=_text(row, "link_flair_text") or None,
        is_question=asks(title),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _number(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return int(value) if isinstance(value, (int, float)) and abs(value) < 1e11 else 0


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
