"""Answers in place of models: no key, no network, no database."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.core.embedding_steps import EmbeddingStep
    from kurt.core.llm_steps import LLMStep

Model = TypeVar("Model", bound="BaseModel")
Factory = Callable[[str], Any]
"""Takes a prompt, gives an answer or `(answer, metrics)`."""

_FLOAT, _INT = 0.85, 42


@contextmanager
def mock_llm(steps: Iterable[LLMStep] | LLMStep, factory: Factory | None = None) -> Generator[list[str]]:
    """Let a factory answer in place of the models of some steps while the block runs.

    Args:
        steps: those steps.
        factory: gives the answers; by default each field has a value made up for its type.

    Yields:
        the prompts that were answered, in the order in which they came.
    """
    prompts: list[str] = []
    with ExitStack() as stack:
        for step in [steps] if not isinstance(steps, Iterable) else list(steps):
            answer = factory or create_response_factory(step.output_schema)
            stack.enter_context(_substituted(step, _noting(answer, prompts)))
        yield prompts


def _noting(answer: Factory, prompts: list[str]) -> Factory:
    def noted(prompt: str) -> Any:
        prompts.append(prompt)
        return answer(prompt)

    async def noted_async(prompt: str) -> Any:
        prompts.append(prompt)
        return await answer(prompt)

    return noted_async if inspect.iscoroutinefunction(answer) else noted


@contextmanager
def _substituted(step: Any, substitute: Callable[..., Any]) -> Generator[None]:
    before = step.substitute
    step.substitute = substitute
    try:
        yield
    finally:
        step.substitute = before


def create_response_factory(
    schema: type[Model], values: Mapping[str, Any] | None = None
) -> Callable[[str], Model]:
    """A factory that always gives the same answer.

    Args:
        schema: the answer's model.
        values: some of its fields; the others are made up by type: `mock_<field>`, 0.85, 42, an empty list or mapping,
            false, None, the first choice of an enumeration, and so on for nested models.
    """
    answer = schema.model_validate({**made_up(schema), **dict(values or {})})
    return lambda _prompt: answer.model_copy(deep=True)


def create_content_aware_factory(
    schema: type[Model],
    keywords: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any] | None = None,
) -> Callable[[str], Model]:
    """A factory whose answer depends on words in the prompt.

    Args:
        schema: the answer's model.
        keywords: fields by keyword; the first keyword that is in the prompt counts, upper or lower case.
        defaults: fields for all answers, unless the keyword gives them.
    """
    base = {**made_up(schema), **dict(defaults or {})}

    def answer(prompt: str) -> Model:
        lowered = prompt.lower()
        found = next((fields for word, fields in keywords.items() if word.lower() in lowered), {})
        return schema.model_validate({**base, **found})

    return answer


def made_up(schema: type[BaseModel]) -> dict[str, Any]:
    """A value for each field of a model, by its type."""
    return {name: _made_up(name, field.annotation) for name, field in schema.model_fields.items()}


def _made_up(name: str, kind: Any) -> Any:  # noqa: PLR0911 - a table of types reads best as one list
    from enum import Enum  # noqa: PLC0415 - a test kit may be slow to load, but not to import

    from pydantic import BaseModel  # noqa: PLC0415 - as above

    origin = get_origin(kind)
    if origin is Literal:
        return get_args(kind)[0]
    if origin is Union or type(kind).__name__ == "UnionType":
        return None if type(None) in get_args(kind) else _made_up(name, get_args(kind)[0])
    plain = origin or kind
    if not isinstance(plain, type):
        return None
    if issubclass(plain, BaseModel):
        return made_up(plain)
    if issubclass(plain, Enum):
        return next(iter(plain))
    for wanted, value in ((bool, False), (int, _INT), (float, _FLOAT), (str, f"mock_{name}")):
        if issubclass(plain, wanted):
            return value
    if issubclass(plain, Mapping):
        return {}
    return [] if issubclass(plain, (list, tuple, set, frozenset)) else None


def create_mock_embedding(text: str = "", dimensions: int = 1536) -> list[float]:
    """A vector of length 1 that depends on the text alone."""
    numbers: list[float] = []
    block = 0
    while len(numbers) < dimensions:
        digest = hashlib.sha256(f"{block}:{text}".encode()).digest()
        numbers += [int.from_bytes(digest[at : at + 2]) / 32767.5 - 1 for at in range(0, 32, 2)]
        block += 1
    numbers = numbers[:dimensions]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def create_embedding_response(texts: Sequence[str], dimensions: int = 1536) -> list[list[float]]:
    """A vector for each text; see `create_mock_embedding`."""
    return [create_mock_embedding(text, dimensions) for text in texts]


@contextmanager
def mock_embeddings(dimensions: int = 1536) -> Generator[list[str]]:
    """Let `generate_embeddings` and all embedding steps make vectors from the texts alone while the block runs.

    Yields:
        the texts that were turned into vectors.
    """
    from kurt.core import embeddings  # noqa: PLC0415 - as above

    texts: list[str] = []

    def vectors(given: Sequence[str]) -> list[list[float]]:
        texts.extend(given)
        return create_embedding_response(given, dimensions)

    with embeddings.replaced_by(vectors):
        yield texts


@contextmanager
def mock_embedding_step(
    steps: Iterable[EmbeddingStep] | EmbeddingStep, dimensions: int = 1536
) -> Generator[list[str]]:
    """Let some embedding steps make vectors from the texts alone while the block runs.

    Yields:
        the texts that were turned into vectors.
    """
    texts: list[str] = []

    def vectors(given: Sequence[str]) -> list[list[float]]:
        texts.extend(given)
        return create_embedding_response(given, dimensions)

    with ExitStack() as stack:
        for step in [steps] if not isinstance(steps, Iterable) else list(steps):
            stack.enter_context(_substituted(step, vectors))
        yield texts
