"""The notifier `slack`: a message to Slack, or to what takes the same requests."""

from __future__ import annotations

from pydantic import Field

from kurt.engine.kinds import Fields, StepContext
from kurt.engine.notifiers.base import Notice, Notifier
from kurt.engine.notifiers.posting import Target, post

LONGEST = 3000
"""Characters of a message that chat systems show without folding or refusing it."""


class SlackFields(Fields):
    """Fields of a `slack` notification."""

    url: str = Field(
        description="Address of an incoming webhook of Slack, Mattermost, Rocket.Chat or Discord (with `/slack` at its "
        "end); it is a secret.",
        examples=["${env.SLACK_URL}"],
    )
    text: str | None = Field(
        default=None,
        description="The message; without it title and text of the notice.",
        examples=["${notice.title}: ${outputs.report}"],
    )
    allow_private: bool = Field(
        default=False,
        description="True lets it reach addresses that are not public, such as a chat server of your own.",
        examples=[True],
    )


class SlackNotifier(Notifier):
    """Sends the notice as a message."""

    type = "slack"
    Model = SlackFields
    short = "url"

    async def send(self, fields: SlackFields, notice: Notice, context: StepContext) -> str:
        """Send it; the host."""
        text = _escaped(fields.text or f"{notice.title}\n{notice.text}")
        cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        target = Target(url=fields.url, allow_private=fields.allow_private)
        return await post(target, {"text": cut}, notice, context)


def _escaped(text: str) -> str:
    """Text in which nothing is taken for a link or a call to everybody in the channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
