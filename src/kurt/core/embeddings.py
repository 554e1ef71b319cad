"""Vectors of texts, made directly: for use inside a step, or where no checkpoint is wanted."""

from __future__ import annotations

import array
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kurt.core.loops import wait_for
from kurt.core.mocking import mock_here
from kurt.runtime import place

if TYPE_CHECKING:
    from kurt.llm.embeddings import Embedder

Vectors = Callable[[Sequence[str]], list[list[float]]]

_replacements: list[Vectors] = []


@contextmanager
def replaced_by(vectors: Vectors) -> Generator[None]:
    """Let a function make all vectors of this process while the block runs; for tests."""
    _replacements.append(vectors)
    try:
        yield
    finally:
        _replacements.remove(vectors)


def replacement() -> Vectors | None:
    """The function that stands in for all models, None where there is none."""
    return _replacements[-1] if _replacements else None


def generate_embeddings(  # noqa: PLR0913 - all but the texts by name
    texts: Sequence[str],
    model: str | None = None,
    api_base: str | None = None,
    api_key: str | None = None,
    module_name: str | None = None,
    step_name: str | None = None,
    record_trace: bool = True,
) -> list[list[float]]:
    """Turn texts into vectors, in one call; lexical ones where no model is set. Blocks.

    Args:
        texts: the texts.
        model: `provider/model`; by default what the settings say for the step, the module, the project.
        api_base: address of the model's interface.
        api_key: the key for it.
        module_name: the workflow module whose settings count.
        step_name: the step whose settings count, and under which the call is traced.
        record_trace: note tokens and cost, where the caller is in a run.

    Raises:
        ModelError: it failed.
        ConfigError: there is an address but no model.
    """
    if not texts:
        return []
    if (stand_in := replacement()) is not None:
        return stand_in(list(texts))
    return wait_for(
        _embed(
            list(texts),
            {"model": model, "base_url": api_base, "key": api_key, "module": module_name, "step": step_name},
            record_trace=record_trace,
        )
    )


async def _embed(texts: list[str], how: dict[str, Any], *, record_trace: bool) -> list[list[float]]:
    from kurt.llm.types import EmbedRequest  # noqa: PLC0415 - stand-ins need none

    embedder, model = maker_of(how["step"], **{name: how[name] for name in how if name != "step"})
    started_at = time.time()
    response = await embedder.embed(EmbedRequest(model, tuple(texts)))
    if record_trace and place.run_id() is not None:
        await _trace(response, model, how["step"] or "embeddings", started_at)
    return response.vectors


def maker_of(step: str | None, *, model: str | None, module: str | None, **how: Any) -> tuple[Embedder, str]:
    """What makes the vectors of a step, and the model to name in its requests; in a run that pretends it does too.

    Args:
        step: the step's name.
        model: the model that the code names.
        module: the workflow module whose settings count.
        how: more for `kurt.llm.embeddings.embedder_for`.

    Raises:
        ConfigError: there is an address but no model.
    """
    from kurt.config.current import current_settings  # noqa: PLC0415 - stand-ins need no settings
    from kurt.llm.embeddings import embedder_for  # noqa: PLC0415 - as above

    pretender = mock_here(step or "")
    if pretender is None:
        return embedder_for(current_settings(), model, module=module, step=step, **how)
    from kurt.llm.providers import chosen_model  # noqa: PLC0415 - as above

    found = chosen_model(current_settings(), model, module=module, step=step, kind="EMBEDDING")
    return pretender.embedder(), pretender.model(found)


async def _trace(response: Any, model: str, step: str, started_at: float) -> None:
    """Note one call; a call inside a step has the step's number in its scope, so that a replay never counts twice."""
    from kurt.core.row_traces import write_call  # noqa: PLC0415 - only calls in runs are traced

    await write_call(step, response, model, started_at)


def generate_document_embedding(content: str, max_chars: int = 1000, **how: Any) -> bytes:
    """The vector of a document's beginning, as bytes.

    Args:
        content: the document.
        max_chars: characters of it that count.
        how: as for `generate_embeddings`.
    """
    return embedding_to_bytes(generate_embeddings([content[:max_chars]], **how)[0])


def embedding_to_bytes(embedding: Sequence[float]) -> bytes:
    """A vector as float32 numbers, little-endian, four bytes each."""
    numbers = array.array("f", embedding)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def bytes_to_embedding(data: bytes) -> list[float]:
    """Undo `embedding_to_bytes`.

    Raises:
        ValueError: the length is no multiple of four.
    """
    numbers = array.array("f")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
