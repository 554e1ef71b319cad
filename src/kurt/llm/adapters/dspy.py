"""Kurt's way to models under DSPy: `pip install 'kurt[dspy]'`, then `dspy.context(**settings_for(dspy, engine))`.

DSPy writes prompts and reads answers; each call goes through a `Completer`, so that limits, repetitions, budget, prices and
traces stay Kurt's. DSPy's own cache, client, repetitions, history and prices are never used: its cache tells neither tenants
nor endpoints apart, and its prices are looked up on the network where litellm is installed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kurt.errors import ConfigError, StepError
from kurt.llm.errors import ModelError, RefusedError
from kurt.llm.types import Message, Request

if TYPE_CHECKING:
    from kurt.llm.types import Completer, Response, Role
    from kurt.types import JsonObject

INSTALL = "pip install 'kurt[dspy]'"
"""The command that installs DSPy in the versions that Kurt works with."""

VERSIONS = ((3, 4), (3, 5))
"""The first version that is accepted, and the first that is not."""

_ENDS = {"stop": "stop", "length": "length", "content_filter": "content_filter", "refusal": "content_filter"}
_ABOUT_LENGTH = (
    "context length",
    "context_length",
    "context window",
    "prompt is too long",
    "too many tokens",
)
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "developer": "system"}
_loading = threading.Lock()


def is_installed() -> bool:
    """Whether DSPy can be imported; it is not loaded to find out."""
    return find_spec("dspy") is not None


def load_dspy() -> Any:
    """DSPy, loaded once; takes about half a second the first time.

    Raises:
        StepError: it is not installed (`MissingExtra`), or in a version that Kurt does not work with.
    """
    with _loading:
        os.environ.setdefault(
            "LITELLM_LOCAL_MODEL_COST_MAP", "True"
        )  # or litellm fetches prices from the network
        try:
            library: Any = import_module("dspy")
            lm15: Any = import_module("dspy.lm15")
        except ImportError as error:
            if not is_installed():
                raise StepError("DSPy is not installed", type="MissingExtra", hint=INSTALL) from None
            raise StepError(
                f"DSPy cannot be loaded: {error}", type="MissingExtra", hint=f"install it anew: {INSTALL}"
            ) from error
        version = str(library.__version__)
        if not VERSIONS[0] <= tuple(int(part) for part in version.split(".")[:2]) < VERSIONS[1]:
            raise StepError(
                f"Kurt works with DSPy 3.4, and {version} is installed", type="MissingExtra", hint=INSTALL
            )
        _let_records_pass(library)
        del lm15
        return library


def _let_records_pass(library: Any) -> None:
    """DSPy's log records go where all records go, not past the run's log to the terminal."""
    logger = logging.getLogger(library.__name__)
    for handler in logger.handlers[:]:
        if handler.name == "dspy_handler":
            logger.removeHandler(handler)
    logger.propagate = True


class DspyEngine:
    """Answers DSPy's requests through a completer; one object for each call of a module.

    A failed call is the failure of the whole: DSPy's modules would take some errors for observations or for answers that
    break their format, so the first one is kept, and no further call is made.

    Attributes:
        supports_response_schema: DSPy may give the form of an answer by a JSON Schema.
        supported_params: parameters of a call that are passed on.
        failure: why a call failed; None as long as none has.
        calls: calls that were made.
    """

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = True
    supported_params = frozenset({"response_format", "temperature", "max_tokens", "top_p", "stop", "seed"})

    def __init__(self, completer: Completer, *, model: str = "", params: JsonObject | None = None) -> None:
        """Prepare to answer.

        Args:
            completer: who calls.
            model: `provider/model`; empty where the completer chooses.
            params: `temperature`, `max_tokens`, `timeout`, and what the provider itself knows; they win over DSPy's.
        """
        self._completer = completer
        self._model = model
        self._params = dict(params or {})
        self.failure: Exception | None = None
        self.calls = 0

    async def complete(self, request: Any) -> Any:
        """Answer a `dspy.lm15.Request`.

        Raises:
            Exception: whatever the completer raises, now and at each further call.
        """
        if self.failure is not None:
            raise self.failure
        lm15: Any = import_module("dspy.lm15")
        try:
            asked = request_of(request, self._model, self._params)
            self.calls += 1
            return _answer(lm15, await self._completer.complete(asked), asked.model)
        except RefusedError as error:
            if _is_too_long(error):  # DSPy's agents shorten what they say, and ask again
                raise lm15.ContextLengthError(error.message) from error
            self.failure = error
            raise
        except Exception as error:
            self.failure = error
            raise


class BlockingEngine:
    """The same for DSPy's calls that are not asynchronous, from any thread but that of the event loop.

    Args:
        engine: answers.
        loop: the event loop on which it works.
    """

    supports_function_calling = DspyEngine.supports_function_calling
    supports_reasoning = DspyEngine.supports_reasoning
    supports_response_schema = DspyEngine.supports_response_schema
    supported_params = DspyEngine.supported_params

    def __init__(self, engine: DspyEngine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop

    def complete(self, request: Any) -> Any:
        """Answer a `dspy.lm15.Request`; waits until the answer is there."""
        return asyncio.run_coroutine_threadsafe(self._engine.complete(request), self._loop).result()


def settings_for(library: Any, engine: DspyEngine, *, adapter: str = "chat") -> dict[str, Any]:
    """What `dspy.context` needs so that modules inside it call models through an engine; to be asked on the event loop.

    Args:
        library: DSPy.
        engine: answers.
        adapter: how prompts are written and answers read: `chat`, `json` or `xml`.
    """
    lm = library.LM(
        "kurt/model",  # a name of no provider: DSPy decides nothing by it
        engine=BlockingEngine(engine, asyncio.get_running_loop()),
        async_engine=engine,
        cache=False,
        num_retries=0,
    )
    adapters = {"chat": library.ChatAdapter, "json": library.JSONAdapter, "xml": library.XMLAdapter}
    return {
        "lm": lm,
        "adapter": adapters[adapter](),
        "disable_history": True,  # it would be kept for the whole process
        "trace": None,  # likewise
        "track_usage": False,
        "usage_tracker": None,
        "callbacks": [],
        "send_stream": None,
    }


def request_of(request: Any, model: str, params: JsonObject) -> Request:
    """DSPy's request as Kurt's.

    Args:
        request: a `dspy.lm15.Request`.
        model: `provider/model`.
        params: what wins over DSPy's own parameters.

    Raises:
        ConfigError: it holds what no completer can send, such as pictures.
    """
    config = request.config
    told: JsonObject = {
        name: value
        for name in ("temperature", "max_tokens", "top_p", "seed")
        if (value := getattr(config, name)) is not None
    }
    if config.stop:
        told["stop"] = list(config.stop)
    told |= params
    own = {
        name: told.pop(name)
        for name in ("temperature", "max_tokens", "timeout")
        if told.get(name) is not None
    }
    schema, name = _form(config.response_format)
    return Request(model, tuple(_messages(request)), schema=schema, schema_name=name, params=told, **own)


def _messages(request: Any) -> list[Message]:
    found: list[Message] = []
    if request.system is not None:
        text = request.system if isinstance(request.system, str) else _text(request.system)
        found.append(Message("system", text))
    for message in request.messages:
        role = _ROLES.get(message.role)
        if role is None:
            raise ConfigError(f"DSPy sent a message of {message.role!r}, which Kurt does not pass on")
        found.append(Message(role, _text(message.parts)))
    return found


def _text(parts: Any) -> str:
    texts: list[str] = []
    for part in parts:
        if part.type != "text":
            raise ConfigError(
                f"DSPy sent a part of the type {part.type!r}; only text reaches a model here",
                hint="give the model text, not pictures, sound or files",
            )
        texts.append(part.text)
    return "".join(texts)


def _form(response_format: Any) -> tuple[JsonObject | None, str | None]:
    """The JSON Schema of an answer, and its name; none where only JSON as such is wanted, which the prompt says too."""
    if not response_format or response_format.get("type") != "json_schema":
        return None, None
    inner = response_format.get("json_schema") or response_format
    schema = inner.get("schema")
    return (_plain(schema) if schema else None), inner.get("name")


def _plain(value: Any) -> Any:
    """A copy without DSPy's read-only containers."""
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _answer(lm15: Any, response: Response, model: str) -> Any:
    usage = response.usage
    return lm15.Response(
        id=response.response_id or None,
        model=response.model or model or "model",
        message=lm15.Message.assistant(response.text),
        finish_reason=_ENDS.get(response.finish_reason or "stop", "stop"),
        usage=lm15.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
    )


def _is_too_long(error: ModelError) -> bool:
    lowered = error.message.lower()
    return error.status in {400, 413, 422} and any(words in lowered for words in _ABOUT_LENGTH)
