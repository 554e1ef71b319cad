"""A model that only pretends: answers that have the form that was asked for, without a key, a network or a cost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.llm.errors import ModelError
from kurt.llm.types import EmbedResponse, Response, Usage

if TYPE_CHECKING:
    from kurt.llm.types import EmbedRequest, Request
    from kurt.types import Json, JsonObject

PROVIDER = "mock"
"""The provider's name of pretended answers: in traces, in statistics, before the names of models."""

ITEMS = 2
"""Items of a list that the schema does not limit: enough for a loop to be one."""

_SHOWN = 80
_KEY = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class MockCompleter:
    """Answers requests in place of a model: as a rule says, else by the form that is asked for.

    Attributes:
        rules: each a mapping with `answer` or `error`, and what it is for: `step`, `prompt` (a part of it), `model`;
            the first that fits counts. An answer that is a mapping is filled up with fields by the schema.
        step: name or path of the step that asks.
    """

    rules: Sequence[JsonObject] = ()
    step: str = ""

    def model(self, model: str | None) -> str:
        """How requests name the model that would have been asked, so that nobody takes it for that one."""
        name = model or "model"
        return name if name.startswith(f"{PROVIDER}/") else f"{PROVIDER}/{name}"

    async def complete(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            ModelError: a rule says so.
        """
        rule = next((rule for rule in self.rules if self._fits(rule, request)), None)
        if rule is not None and "error" in rule:
            raise _error(rule["error"])
        answer = _made_up(request) if rule is None else _filled_up(rule["answer"], request)
        text = answer if isinstance(answer, str) and request.schema is None else json.dumps(answer)
        name = self.model(request.model).removeprefix(f"{PROVIDER}/")
        return Response(text, Usage(0, 0), name, PROVIDER, finish_reason="stop", raw_cost=0.0)

    def embedder(self) -> MockEmbedder:
        """What makes vectors in place of a model."""
        return MockEmbedder()

    def _fits(self, rule: Mapping[str, Any], request: Request) -> bool:
        step, part, model = rule.get("step"), rule.get("prompt"), rule.get("model")
        if step is not None and not is_step(step, self.step):
            return False
        if model is not None and self.model(request.model) != self.model(model):
            return False
        prompt = "\n".join(message.content for message in request.messages)
        return part is None or part.lower() in prompt.lower()


class MockEmbedder:
    """Gives vectors that depend on the words of a text alone."""

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Turn texts into vectors."""
        from kurt.llm.embeddings import DIMENSIONS, lexical_vectors  # noqa: PLC0415 - few runs make vectors

        vectors = lexical_vectors(request.texts, request.dimensions or DIMENSIONS)
        name = request.model.removeprefix(f"{PROVIDER}/")
        return EmbedResponse(vectors, Usage(0, 0), name, PROVIDER, raw_cost=0.0)


def is_step(wanted: str, path: str) -> bool:
    """Whether a path is that of the wanted step: with its keys, or without them for all items; or its last name alone."""
    bare = _KEY.sub("", path)
    return wanted in {path, bare, bare.rpartition(".")[2]}


def _made_up(request: Request) -> Json:
    from kurt.llm.shapes import shaped  # noqa: PLC0415 - an answer that is given needs none

    if request.schema is not None:
        return shaped(request.schema, items=ITEMS)
    asked = " ".join(request.messages[-1].content.split()) if request.messages else ""
    return f"mock answer to: {asked[:_SHOWN]}{'...' if len(asked) > _SHOWN else ''}"


def _filled_up(answer: Json, request: Request) -> Json:
    """A given answer; fields of a mapping that are not given are made up."""
    if not isinstance(answer, dict) or request.schema is None:
        return answer
    made = _made_up(request)
    return {**made, **answer} if isinstance(made, dict) else answer


def _error(said: Json) -> ModelError:
    """The failure that a rule gives: a text, or `message`, `type`, `status`, `retryable`."""
    if not isinstance(said, Mapping):
        return ModelError(str(said))
    known = {name: said[name] for name in ("type", "status", "retry_after", "retryable") if name in said}
    return ModelError(str(said.get("message") or "the mocked model fails"), **known)
