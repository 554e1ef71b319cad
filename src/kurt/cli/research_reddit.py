"""`kurt integrations research reddit`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import command
from kurt.cli.output import hint
from kurt.cli.session import current
from kurt.cli.table import Column, Table

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.integrations.research.posts import Post
    from kurt.integrations.research.reddit import Question

_SORTS = ("top", "hot", "new", "rising", "controversial", "relevance", "comments")
_PERIODS = ("hour", "day", "week", "month", "year", "all")
_LIMIT = 50
_MOST = 1000


def _view(result: Any) -> Any:
    """Posts as a table, the address of a dry run as a line."""
    if isinstance(result, dict):
        return f"{result['url']} would be asked (--dry-run)"
    columns = [
        Column("score", kind="number"),
        Column("votes", kind="number"),
        Column("comments", kind="number"),
        Column("subreddit"),
        Column("title", shrink=True),
        Column("url"),
    ]
    rows = [
        [f"{row['score']:.2f}", row["votes"], row["comments"], row["group"], row["title"], row["url"]]
        for row in result
    ]
    return Table(columns, rows, empty="no posts")


@command(
    "reddit",
    view=_view,
    epilog="kurt integrations research reddit --subreddit python --questions\n"
    "kurt integrations research reddit --query 'sqlite wal' --period year --limit 200\n"
    "kurt integrations research reddit --subreddit python --format json | kurt workflows write --output posts.json",
)
@click.option(
    "--subreddit",
    "-r",
    multiple=True,
    metavar="NAME",
    help="Where to look; may be repeated.  [default: REDDIT.SUBREDDITS, else all of Reddit]",
)
@click.option("--query", metavar="WORDS", help="Search for these; without, what is there is listed.")
@click.option(
    "--sort", type=click.Choice(_SORTS), default="top", help="By what Reddit chooses.  [default: top]"
)
@click.option("--period", type=click.Choice(_PERIODS), default="week", help="How far back.  [default: week]")
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST),
    default=_LIMIT,
    metavar="N",
    help=f"Posts at most, up to {_MOST}.  [default: {_LIMIT}]",
)
@click.option("--min-votes", type=int, metavar="N", help="No posts with fewer votes.")
@click.option("--questions", is_flag=True, help="Only posts whose title is a question.")
@click.option("--adult", is_flag=True, help="Posts that are not safe for work, too.")
@click.option("--dry-run", is_flag=True, help="Only tell which address would be asked.")
def reddit_cmd(**given: Any) -> list[dict[str, Any]] | dict[str, Any]:
    """Find posts of Reddit, the most moving ones first.

    The score of a post is 0.7 times its votes and 0.3 times its comments, each as a part of the most that a post of
    the list has. Reddit refuses many requests without keys: with REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, those of
    an application of yours, its API is asked.
    """
    settings = current().settings()
    question = _question(settings, given)
    if given["dry_run"]:
        from kurt.integrations.research.reddit import Reddit

        return {"url": f"{Reddit(settings).base}{question.path()}", "dry_run": True}
    posts = asyncio.run(_ask(settings, question))
    if not posts:
        hint("look further back with --period, or drop --questions and --min-votes")
    return [post.to_json() for post in posts]


def _question(settings: Settings, given: dict[str, Any]) -> Question:
    from kurt.integrations.research.reddit import Question

    usual = str(settings.get("REDDIT.SUBREDDITS") or "")
    return Question(
        subreddits=given["subreddit"] or tuple(name.strip() for name in usual.split(",") if name.strip()),
        query=given["query"],
        sort=given["sort"],
        period=given["period"],
        limit=given["limit"],
        min_votes=given["min_votes"],
        questions_only=given["questions"],
        adult=given["adult"],
    )


async def _ask(settings: Settings, question: Question) -> list[Post]:
    from kurt.integrations.research.reddit import Reddit

    async with Reddit(settings) as reddit:
        return await reddit.posts(question)
