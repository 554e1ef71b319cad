"""Models through litellm: `pip install 'kurt[litellm]'`, then `LLMStep(..., completer=LiteLLMCompleter())`."""

from __future__ import annotations

import json
import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kurt.errors import ConfigError
from kurt.llm.errors import ConnectionCutError, ModelError, ModelTimeoutError
from kurt.llm.failures import hidden, refusal
from kurt.llm.providers import Endpoint
from kurt.llm.types import Response, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kurt.llm.types import Request
    from kurt.types import JsonObject

_TIMEOUT_STATUS = 408


class LiteLLMCompleter:
    """Calls models by litellm, once for each attempt: limits, repetitions, budget and traces stay Kurt's.

    The model's name is handed over as it is, so it follows litellm's naming; keys are read from the environment by
    litellm itself.
    """

    def __init__(self, **options: Any) -> None:
        """Prepare to call.

        Args:
            options: given to each `litellm.acompletion`, such as `api_base` and `api_key`.

        Raises:
            ConfigError: litellm is not installed.
        """
        os.environ.setdefault(
            "LITELLM_LOCAL_MODEL_COST_MAP", "True"
        )  # else it fetches prices when it is loaded
        try:
            library: Any = import_module("litellm")
        except ImportError:
            raise ConfigError("litellm is not installed", hint="pip install 'kurt[litellm]'") from None
        library.suppress_debug_info = True  # it would print to where results go
        self._library = library
        self._options = options

    def identity(self, model: str) -> str:
        """What tells one endpoint from another."""
        return f"litellm {self._options.get('api_base') or ''} {model}"

    async def complete(self, request: Request) -> Response:
        """Have a model answer.

        Raises:
            ModelError: it did not.
        """
        try:
            answer = await self._library.acompletion(**_arguments(request), **self._options)
        except Exception as error:  # noqa: BLE001 - its errors have no common class of their own
            raise self._failure(request, error) from None
        return _response(answer, request)

    def _failure(self, request: Request, error: Exception) -> ModelError:
        provider, _, model = request.model.partition("/")
        base = str(self._options.get("api_base") or "litellm")
        key: Any = self._options.get("api_key")
        endpoint = Endpoint(
            provider, model or request.model, "openai", base, key, f"{provider.upper()}_API_KEY"
        )
        status = getattr(error, "status_code", None)
        said = hidden(str(error), endpoint)
        if isinstance(error, self._library.Timeout):
            return ModelTimeoutError(f"{provider} did not answer within {request.timeout:g} s")
        if isinstance(error, self._library.APIConnectionError) or not isinstance(status, int):
            return ConnectionCutError(f"the call of {request.model} failed: {said}")
        headers = _headers(error)
        body = json.dumps({"error": {"message": said, "code": getattr(error, "code", None)}})
        return refusal(status, headers, body.encode(), endpoint, time.time())


def _headers(error: Exception) -> Mapping[str, str]:
    """The headers of the answer that an error stands for; the error's own response is often one of its making."""
    told = getattr(error, "litellm_response_headers", None)
    return told or getattr(getattr(error, "response", None), "headers", None) or {}


def _arguments(request: Request) -> JsonObject:
    given: JsonObject = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "timeout": request.timeout,
        "num_retries": 0,
        "max_retries": 0,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        **request.params,
    }
    if request.schema is not None:
        form = {"name": request.schema_name or "answer", "schema": request.schema, "strict": False}
        given["response_format"] = {"type": "json_schema", "json_schema": form}
    return {name: value for name, value in given.items() if value is not None}


def _response(answer: Any, request: Request) -> Response:
    choice, usage = answer.choices[0], getattr(answer, "usage", None)
    prompt = getattr(usage, "prompt_tokens_details", None)
    made = getattr(usage, "completion_tokens_details", None)
    charged = (getattr(answer, "_hidden_params", None) or {}).get("response_cost")
    return Response(
        text=choice.message.content or "",
        usage=Usage(
            getattr(usage, "prompt_tokens", None),
            getattr(usage, "completion_tokens", None),
            getattr(prompt, "cached_tokens", None),
            getattr(made, "reasoning_tokens", None),
        ),
        model=str(answer.model or request.model),
        provider=request.model.partition("/")[0],
        response_id=answer.id,
        finish_reason=choice.finish_reason,
        raw_cost=float(charged) if charged else None,
    )
