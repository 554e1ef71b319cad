"""The notifier `webhook`: one request to a server."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kurt.engine.expressions.references import as_text
from kurt.engine.kinds import Fields, StepContext
from kurt.engine.notifiers.base import Notice, Notifier
from kurt.engine.notifiers.posting import Target, post
from kurt.types import Json


class WebhookFields(Fields):
    """Fields of a `webhook` notification."""

    url: str = Field(
        description="Address, http or https; its path counts as a secret and is never shown.",
        examples=["${env.HOOK_URL}"],
    )
    method: str = Field(default="POST", pattern=r"^[A-Za-z]+$", description="Method.", examples=["PUT"])
    headers: dict[str, Any] = Field(
        default_factory=dict,
        description="Headers to send.",
        examples=[{"Authorization": "Bearer ${env.HOOK_TOKEN}"}],
    )
    json_body: Json = Field(
        default=None,
        alias="json",
        description="The value to send; without it the whole notice.",
        examples=[{"summary": "${notice.title}", "outputs": "${outputs}"}],
    )
    allow_private: bool = Field(
        default=False,
        description="True lets it reach addresses that are not public, such as localhost or 10.0.0.1.",
        examples=[True],
    )


class WebhookNotifier(Notifier):
    """Sends the notice as JSON."""

    type = "webhook"
    Model = WebhookFields
    short = "url"

    async def send(self, fields: WebhookFields, notice: Notice, context: StepContext) -> str:
        """Send it; the host."""
        is_given = "json_body" in fields.model_fields_set
        target = Target(
            url=fields.url,
            method=fields.method.upper(),
            headers={name: as_text(value) for name, value in fields.headers.items()},
            allow_private=fields.allow_private,
        )
        return await post(target, fields.json_body if is_given else notice.to_json(), notice, context)
