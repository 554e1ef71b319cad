"""Vectors of texts without any model: hashed words and parts of words.

These vectors are *lexical*: texts that share words, or words that share letters, are near each other. They know nothing of
meaning: "car" and "automobile" are strangers. They need no key, no network and no download, and the same text has the same
vector on every machine and in every release.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import unicodedata
import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kurt.errors import ConfigError
from kurt.llm.providers import chosen_model
from kurt.llm.types import EmbedResponse, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

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
    words = [_word(word) for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())]
    pairs = (zlib.crc32(second.after, first.code) for first, second in itertools.pairwise(words))
    _add(vector, (word.code for word in words), 1.0)
    _add(vector, pairs, 1.0)
    _add(vector, itertools.chain.from_iterable(word.parts for word in words), _PART_WEIGHT)
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def _add(vector: list[float], codes: Iterable[int], weight: float) -> None:
    """Let each feature move the place that its checksum names, up or down; often seen, it weighs a little more."""
    dimensions = len(vector)
    for code, count in Counter(codes).items():
        amount = weight if count == 1 else weight * (1 + math.log(count))
        vector[(code >> 1) % dimensions] += amount if code & 1 else -amount


class _Word(NamedTuple):
    """A word as checksums: its own, and those of its parts of four letters.

    Attributes:
        code: of the word.
        after: what the word is as the second of a pair.
        parts: of `#` and the four letters of each part of the word in its frame.
    """

    code: int
    after: bytes
    parts: tuple[int, ...]


@functools.lru_cache(maxsize=20_000)
def _word(word: str) -> _Word:
    """A word of a text; most words have come before."""
    framed, data = f"<{word}>", word.encode("utf-8", "replace")
    parts = (framed[start : start + _GRAM] for start in range(len(framed) - _GRAM + 1))
    codes = tuple(zlib.crc32(part.encode("utf-8", "replace"), _PART) for part in parts)
    return _Word(zlib.crc32(data), b" " + data, codes)


_PART = zlib.crc32(b"#")
