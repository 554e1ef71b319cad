"""The kind `http`: one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from kurt.engine.durations import parse_size
from kurt.engine.expressions.references import as_text
from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.errors import StepError
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.web import Request

_CLASSES = {f"{hundred}xx": range(hundred * 100, hundred * 100 + 100) for hundred in range(1, 6)}


class HttpFields(Fields):
    """Fields of an `http` step."""

    url: str = Field(description="Address, http or https.", examples=["https://api.example.com/pages/${id}"])
    method: str = Field(default="GET", pattern=r"^[A-Za-z]+$", description="Method.", examples=["POST"])
    headers: dict[str, Any] = Field(
        default_factory=dict,
        description="Headers to send.",
        examples=[{"Authorization": "Bearer ${env.API_TOKEN}"}],
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the query, added to those of `url`; a list repeats one, null leaves it out.",
        examples=[{"q": "${query}", "page": 2}],
    )
    json_body: Json = Field(
        default=None,
        alias="json",
        description="A value to send as JSON.",
        examples=[{"title": "${page.title}"}],
    )
    body: str | None = Field(
        default=None,
        description="Text to send as it is, in place of `json`; `headers` may give its `Content-Type`.",
        examples=["a=1&b=2"],
    )
    expect: int | str | list[int | str] = Field(
        default="2xx",
        description="Status or list of them that is no failure; `2xx` stands for 200 to 299.",
        examples=[201, ["2xx", 404]],
    )
    redirects: int = Field(
        default=5, ge=0, le=20, description="How many redirects are followed.", examples=[0]
    )
    max_size: int | str = Field(
        default="10MB", description="The largest body that is accepted.", examples=["50MB"]
    )
    allow_private: bool = Field(
        default=False,
        description="True lets the request reach addresses that are not public, such as localhost or 10.0.0.1.",
        examples=[True],
    )

    @field_validator("expect")
    @classmethod
    def _statuses(cls, expect: int | str | list[int | str]) -> int | str | list[int | str]:
        accepted(expect)
        return expect

    @field_validator("max_size")
    @classmethod
    def _size(cls, size: int | str) -> int:
        return parse_size(size)


def accepted(expect: int | str | list[int | str]) -> frozenset[int]:
    """The status codes that `expect` means.

    Raises:
        ValueError: it is neither a status nor a class of them.
    """
    codes: set[int] = set()
    for item in expect if isinstance(expect, list) else [expect]:
        if isinstance(item, int) or item.isdecimal():
            if not 100 <= int(item) <= 599:
                raise ValueError(f"{item!r} is not a status code")
            codes.add(int(item))
        elif item.lower() in _CLASSES:
            codes.update(_CLASSES[item.lower()])
        else:
            raise ValueError(f"{item!r} is neither a status code nor one of {', '.join(_CLASSES)}")
    return frozenset(codes)


class HttpKind(StepKind):
    """Sends one request; its value is `{status, headers, body}`."""

    type = "http"
    Model = HttpFields

    async def execute(self, fields: HttpFields, context: StepContext) -> Json:
        """Send the request and read the answer.

        Raises:
            StepError: the status is not expected (type `HttpStatus`), the server cannot be reached
                (`ConnectionError`), its address is not public (`AddressRefused`), or the answer cannot be used.
        """
        from kurt.engine import web  # noqa: PLC0415 - a run without `http` steps does not pay for aiohttp

        request = _request(fields, context)
        context.log("INFO", f"{request.method} {web.shown(request.url)}")
        response = await web.send(request, accepts=accepted(fields.expect))
        context.log("INFO", f"answered with {response.status}")
        return response.to_json()


def _request(fields: HttpFields, context: StepContext) -> Request:
    from yarl import URL  # noqa: PLC0415 - comes with aiohttp

    from kurt.engine import web  # noqa: PLC0415 - as above

    if fields.body is not None and "json_body" in fields.model_fields_set:
        raise StepError("a request has either `json` or `body`", type="FieldError", hint="remove one of them")
    headers = {name: as_text(value) for name, value in fields.headers.items()}
    body, content_type = None, None
    if "json_body" in fields.model_fields_set:
        body, content_type = json.dumps(fields.json_body, allow_nan=False), "application/json"
    elif fields.body is not None:
        body, content_type = fields.body, "text/plain; charset=utf-8"
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    try:
        url = URL(fields.url).update_query(_query(fields.params))
    except ValueError as error:
        raise StepError(f"{fields.url!r} is not an address: {error}", type="InvalidUrl") from error
    return web.Request(
        method=fields.method.upper(),
        url=url,
        headers=headers,
        body=None if body is None else body.encode("utf-8", "surrogateescape"),
        allow_private=fields.allow_private,
        redirects=fields.redirects,
        max_size=parse_size(fields.max_size),
        timeout=context.limits.timeout,
    )


def _query(params: dict[str, Any]) -> list[tuple[str, str]]:
    words: list[tuple[str, str]] = []
    for name, value in params.items():
        items = value if isinstance(value, list) else [value]
        words += [(name, as_text(item)) for item in items if item is not None]
    return words
