"""`kurt integrations`: what Kurt gets from services outside."""

from __future__ import annotations

from kurt.cli.command import group
from kurt.cli.lazy import Lazy

COMMANDS: dict[str, Lazy] = {
    "research": Lazy("kurt.cli.integrations:research_group", "Find what people ask and talk about."),
}
"""The commands; each help line is the command's own."""

RESEARCH: dict[str, Lazy] = {
    "reddit": Lazy(
        "kurt.cli.research_reddit:reddit_cmd", "Find posts of Reddit, the most moving ones first."
    ),
}
"""Places to look at; each help line is the command's own."""


@group(
    "integrations", lazy=COMMANDS, epilog="kurt integrations research reddit --subreddit python --questions"
)
def integrations_group() -> None:
    """Get what services outside know."""


@group(
    "research", lazy=RESEARCH, epilog="kurt integrations research reddit --query 'sqlite wal' --period year"
)
def research_group() -> None:
    """Find what people ask and talk about."""
