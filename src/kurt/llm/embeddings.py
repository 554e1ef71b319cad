"""Vectors of texts without any model: hashed words and parts of words.

These vectors are *lexical*: texts that share words, or words that share letters, are near each other. They know nothing of
meaning: "car" and "automobile" are strangers. They need no key, no network and no download, and the same text has the same
vector on every machine and in every release.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from kurt.errors import ConfigError
from kurt.llm.providers import chosen_model
from kurt.llm.types import EmbedResponse, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from kurt.config import Settings
    from kurt.llm.types import EmbedRequest

LEXICAL = "lexical"
"""The provider's name of these vectors, so that nobody takes them for those of a model."""

LEXICAL_MODEL = "lexical/hashing-v1"
"""The model's name; a change of the calculation gets another."""

DIMENSIONS = 512
"""Length of a vector."""

_WORD = re.compile(r"\w+")
_GRAM = 4
_PART_WEIGHT = 0.4


def lexical_vectors(texts: Sequence[str], dimensions: int = DIMENSIONS) -> list[list[float]]:
    """A vector of length 1 for each text; of zeros for a text without a word.

    Args:
        texts: any texts.
        dimensions: length of the vectors.
    """
    return [_vector(text, dimensions) for text in texts]


class LexicalEmbedder:
    """Gives lexical vectors where a model's would be asked for."""

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """Turn texts into lexical vectors; it costs nothing and no tokens."""
        vectors = lexical_vectors(request.texts, request.dimensions or DIMENSIONS)
        return EmbedResponse(vectors, Usage(0, 0), LEXICAL_MODEL.partition("/")[2], LEXICAL, raw_cost=0.0)


class Embedder(Protocol):
    """Whatever can turn texts into vectors: Kurt's own client, or the lexical calculation."""

    def embed(self, request: EmbedRequest) -> Awaitable[EmbedResponse]:
        """Turn texts into vectors.

        Raises:
            ModelError: it failed.
        """
        ...


def embedder_for(
    settings: Settings,
    model: str | None = None,
    *,
    module: str | None = None,
    step: str | None = None,
    base_url: str | None = None,
    key: str | None = None,
) -> tuple[Embedder, str]:
    """What makes the vectors of a step, and the model to name in its requests; lexical where nothing is set.

    Args:
        settings: the project's settings.
        model: the model that the code names, as `provider/model`.
        module: the workflow module, such as `extract`.
        step: a step of it.
        base_url: address of the model's interface, where the code gives it.
        key: the key for it, where the code gives it.

    Raises:
        ConfigError: there is an address but no model.
    """
    chosen = chosen_model(settings, model, module=module, step=step, kind="EMBEDDING")
    if chosen is None and (base_url or settings.get("EMBEDDING.BASE_URL")):
        raise ConfigError(
            "there is an address for vectors, but no model", hint="set EMBEDDING.MODEL to one that is there"
        )
    if chosen is None or chosen.startswith(f"{LEXICAL}/"):
        return LexicalEmbedder(), LEXICAL_MODEL
    from kurt.llm.client import ModelClient  # noqa: PLC0415 - aiohttp, which lexical vectors do without

    return ModelClient(settings, module=module, step=step, base_url=base_url, key=key), chosen


def _vector(text: str, dimensions: int) -> list[float]:
    vector = [0.0] * dimensions
    for feature, count in Counter(_features(text)).items():
        code = zlib.crc32(feature.encode("utf-8", "replace"))
        weight = (1 + math.log(count)) * (_PART_WEIGHT if feature[0] == "#" else 1.0)
        vector[(code >> 1) % dimensions] += weight if code & 1 else -weight
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def _features(text: str) -> Iterator[str]:
    """Words, pairs of neighbours, and parts of four letters, all without case."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    yield from words
    for first, second in itertools.pairwise(words):
        yield f"{first} {second}"
    for word in words:
        framed = f"<{word}>"
        for start in range(len(framed) - _GRAM + 1):
            yield "#" + framed[start : start + _GRAM]
