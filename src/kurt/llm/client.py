"""Kurt's own client for models: OpenAI-compatible endpoints and Anthropic Messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import from_json

from kurt.errors import ConfigError
from kurt.llm import transport
from kurt.llm.errors import RefusedError, ServerError
from kurt.llm.failures import hidden, refusal, refusal_in_body
from kurt.llm.providers import Endpoint, resolve
from kurt.llm.transport import ANSWER_LIMIT, Received
from kurt.llm.types import EmbedResponse
from kurt.llm.wire import Form, Wire, read_embedding, write_embedding

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.llm.types import EmbedRequest, Request, Response
    from kurt.types import JsonObject

Resolve = Callable[[str], Endpoint]
"""Finds the endpoint of a `provider/model`."""

_OK = 200
_FORMS: dict[Form, Form | None] = {"schema": "tool", "tool": "object", "object": None}
_OPENAI_FORMS: dict[Form, Form | None] = {"schema": "object", "object": None, "tool": None}
_ABOUT_FORM = (
    "response_format",
    "json_schema",
    "json schema",
    "output_config",
    "output_format",
    "structured output",
    "tool_choice",
    "input_schema",
    "'schema'",
    "strict",
)


class ModelClient:
    """Calls models; cheap to make, since all clients of an event loop share its connections.

    A model that cannot be told the form of its answer by a schema is told by a tool, then in words: the refused call
    fails as one to be repeated at once, and later calls use what worked.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        module: str | None = None,
        step: str | None = None,
        base_url: str | None = None,
        key: str | None = None,
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        """Prepare to call.

        Args:
            settings: the project's settings; keys come from its environment.
            module: the workflow module for which addresses are looked up.
            step: the step of it.
            base_url: the address of all models, where the code gives it.
            key: the key for it, where the code gives it.
            answer_limit: bytes of an answer that are accepted.
        """
        self._settings = settings
        self._module = module
        self._step = step
        self._base_url = base_url
        self._key = key
        self._limit = answer_limit
        self._wires: dict[str, Wire] = {}
        self._headers: dict[str, dict[str, str]] = {}

    async def complete(self, request: Request) -> Response:
        """Have a model answer.

        Raises:
            ModelError: it did not; see `kurt.llm.errors`.
            ConfigError: nobody knows the provider.
            CredentialsError: its key is missing.
        """
        wire = self._wire(request.model)
        sent = wire.write(request)
        received = await transport.post(
            wire.endpoint,
            sent.path,
            sent.body,
            self._headers[request.model],
            seconds=request.timeout,
            limit=self._limit,
        )
        try:
            return wire.read(_answer(received, wire.endpoint), request)
        except RefusedError as error:
            if request.schema is not None and self._other_form(request.model, wire, error):
                raise _again(error) from None
            raise

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Turn texts into vectors.

        Raises:
            ModelError: it failed; see `kurt.llm.errors`.
            ConfigError: nobody knows the provider, or it has no such models.
            CredentialsError: its key is missing.
        """
        endpoint = self.endpoint(request.model, kind="EMBEDDING")
        if endpoint.style != "openai":
            raise ConfigError(
                f"{endpoint.provider} has no models that make vectors",
                hint="set EMBEDDING.MODEL to one of another provider, for example openai/text-embedding-3-small",
            )
        sent = write_embedding(endpoint, request)
        received = await transport.post(
            endpoint,
            sent.path,
            sent.body,
            Wire(endpoint, "schema").headers(),
            seconds=request.timeout,
            limit=self._limit,
        )
        body = _answer(received, endpoint)
        vectors, usage, _ = read_embedding(body, endpoint, len(request.texts))
        return EmbedResponse(vectors, usage, str(body.get("model") or endpoint.model), endpoint.provider)

    def endpoint(self, model: str, *, kind: Literal["LLM", "EMBEDDING"] = "LLM") -> Endpoint:
        """Where a model is.

        Raises:
            ConfigError: nobody knows the provider.
            CredentialsError: its key is missing.
        """
        return resolve(
            self._settings,
            model,
            module=self._module,
            step=self._step,
            kind=kind,
            base_url=self._base_url,
            key=self._key,
        )

    def identity(self, model: str) -> str:
        """What tells one endpoint from another: address and model."""
        endpoint = self._wire(model).endpoint
        return f"{endpoint.shown} {endpoint.model}"

    async def aclose(self) -> None:
        """Close the connections of this event loop; its next call opens new ones."""
        await transport.close_session()

    def _wire(self, model: str) -> Wire:
        found = self._wires.get(model)
        if found is None:
            found = self._wires[model] = Wire(self.endpoint(model), "schema")
            self._headers[model] = found.headers()
        return found

    def _other_form(self, model: str, used: Wire, error: RefusedError) -> bool:
        """Whether the call should be repeated with another way to tell the form."""
        if error.status not in {400, 422} or not _is_about_form(error.message):
            return False
        if self._wires[model] is not used:
            return True  # another call has found it out meanwhile
        forms = _FORMS if used.endpoint.style == "anthropic" else _OPENAI_FORMS
        other = forms[used.form]
        if other is None:
            return False
        self._wires[model] = Wire(used.endpoint, other)
        return True


def client_for_loop(settings: Settings, *, module: str | None = None, step: str | None = None) -> ModelClient:
    """A client on the connections of the running event loop, which are closed with it.

    Args:
        settings: the project's settings.
        module: the workflow module for which addresses are looked up.
        step: the step of it.
    """
    return ModelClient(settings, module=module, step=step)


def _is_about_form(message: str) -> bool:
    lowered = message.lower()
    return any(words in lowered for words in _ABOUT_FORM)


def _again(error: RefusedError) -> RefusedError:
    """The same refusal, to be repeated at once."""
    return RefusedError(
        error.message,
        hint=error.hint,
        type="FormRefused",
        status=error.status,
        retryable=True,
        retry_after=0.0,
    )


def _answer(received: Received, endpoint: Endpoint) -> JsonObject:
    """The JSON object of an answer.

    Raises:
        ModelError: the status says that it is none, or it is not JSON.
    """
    if received.status != _OK:
        raise refusal(received.status, received.headers, received.body, endpoint, time.time())
    try:
        body: Any = from_json(received.body)
    except ValueError as error:
        shown = hidden(received.body[:200].decode("utf-8", "replace"), endpoint)
        raise ServerError(
            f"what {endpoint.provider} ({endpoint.shown}) sent is not JSON: {error}",
            type="NoAnswer",
            hint=f"it begins {shown!r}",
        ) from None
    if not isinstance(body, dict):
        raise ServerError(
            f"what {endpoint.provider} ({endpoint.shown}) sent is no answer of a model", type="NoAnswer"
        )
    if body.get("error"):
        raise refusal_in_body(body["error"], endpoint, time.time())
    return body
