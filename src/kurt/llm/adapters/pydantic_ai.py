"""Models through pydantic-ai: `pip install 'kurt[pydantic-ai]'`, then `LLMStep(..., completer=PydanticAICompleter())`."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kurt.errors import ConfigError
from kurt.llm.errors import ConnectionCutError, ModelError, ModelTimeoutError
from kurt.llm.failures import refusal
from kurt.llm.providers import Endpoint
from kurt.llm.types import Response, Usage

if TYPE_CHECKING:
    from kurt.llm.types import Message, Request

_ENDS = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


class PydanticAICompleter:
    """Calls models by pydantic-ai, once for each attempt: limits, repetitions, budget and traces stay Kurt's."""

    def __init__(self, model: Any = None) -> None:
        """Prepare to call.

        Args:
            model: a model of pydantic-ai that answers all requests; by default each request's `provider/model` is
                looked up there, with keys from the environment.

        Raises:
            ConfigError: pydantic-ai is not installed.
        """
        try:
            parts = ("messages", "models", "output", "exceptions")
            messages, models, output, exceptions = (import_module(f"pydantic_ai.{part}") for part in parts)
        except ImportError:
            raise ConfigError(
                "pydantic-ai is not installed", hint="pip install 'kurt[pydantic-ai]'"
            ) from None
        self._messages: Any = messages
        self._library: Any = models
        self._output: Any = output
        self._refusal: Any = exceptions.ModelHTTPError
        self._misuse: Any = exceptions.UserError
        self._model = model
        self._found: dict[str, Any] = {}

    def identity(self, model: str) -> str:
        """What tells one endpoint from another."""
        found = self._of(model)
        return f"pydantic-ai {found.base_url or ''} {found.model_name}"

    async def complete(self, request: Request) -> Response:
        """Have a model answer.

        Raises:
            ModelError: it did not.
            ConfigError: pydantic-ai does not know the model, or has no key for it.
        """
        model = self._of(request.model)
        messages = [self._message(message) for message in request.messages]
        settings = {"temperature": request.temperature, "max_tokens": request.max_tokens, **request.params}
        given = {name: value for name, value in settings.items() if value is not None}
        try:
            async with asyncio.timeout(request.timeout):
                answer = await model.request(messages, given or None, self._form(request))
        except self._refusal as error:
            raise _refused(request, model, error) from None
        except TimeoutError:
            raise ModelTimeoutError(f"{request.model} did not answer within {request.timeout:g} s") from None
        except Exception as error:
            raise ConnectionCutError(f"the call of {request.model} failed: {error}") from error
        return _response(answer, request)

    def _of(self, name: str) -> Any:
        """The model of pydantic-ai for a name; its client does not repeat calls behind our back."""
        if self._model is not None:
            return self._model
        if name not in self._found:
            try:
                found = self._library.infer_model(name.replace("/", ":", 1))
            except (self._misuse, ValueError, ImportError) as error:
                raise ConfigError(f"pydantic-ai cannot call {name!r}: {error}") from error
            if hasattr(getattr(found, "client", None), "max_retries"):
                found.client.max_retries = 0
            self._found[name] = found
        return self._found[name]

    def _message(self, message: Message) -> Any:
        parts = self._messages
        if message.role == "assistant":
            return parts.ModelResponse(parts=[parts.TextPart(message.content)])
        kind = parts.SystemPromptPart if message.role == "system" else parts.UserPromptPart
        return parts.ModelRequest(parts=[kind(message.content)])

    def _form(self, request: Request) -> Any:
        if request.schema is None:
            return self._library.ModelRequestParameters()
        form = self._output.OutputObjectDefinition(json_schema=request.schema, name=request.schema_name)
        return self._library.ModelRequestParameters(output_mode="native", output_object=form)


def _refused(request: Request, model: Any, error: Any) -> ModelError:
    provider, _, name = request.model.partition("/")
    endpoint = Endpoint(
        provider, name, "openai", str(model.base_url or "pydantic-ai"), None, f"{provider.upper()}_API_KEY"
    )
    body = error.body if isinstance(error.body, dict) else {"message": str(error.body)}
    told = json.dumps({"error": body}, default=str).encode()
    return refusal(error.status_code, getattr(error, "headers", None) or {}, told, endpoint, time.time())


def _response(answer: Any, request: Request) -> Response:
    usage = answer.usage
    return Response(
        text="".join(part.content for part in answer.parts if part.part_kind == "text"),
        usage=Usage(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens or None,
            (usage.details or {}).get("reasoning_tokens"),
            usage.cache_write_tokens or None,
        ),
        model=str(answer.model_name or request.model),
        provider=request.model.partition("/")[0],
        response_id=getattr(answer, "provider_response_id", None),
        finish_reason=_ENDS.get(str(getattr(answer, "finish_reason", None))),
    )
