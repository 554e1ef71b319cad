"""Vectors of texts, one for each text and model, and the search for the nearest."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any, Final, cast

import sqlalchemy as sa

from kurt.config.current import current_settings
from kurt.content.tables import DOCUMENTS, groups, insert_into, ours
from kurt.core.embeddings import bytes_to_embedding, embedding_to_bytes, generate_embeddings
from kurt.db.models import ContentVector, utc_now
from kurt.llm.embeddings import LEXICAL, embedder_for

VECTORS: Final = cast("sa.Table", ContentVector.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel adds it

MODULE: Final = "fetch"
"""The workflow module whose setting `EMBEDDING_MODEL` decides what vectors are made by."""

_AT_ONCE: Final = 1000
_product: Callable[[Any, Any], float] = getattr(math, "sumprod", lambda one, other: sum(map(mul, one, other)))


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector of a question.

    Attributes:
        model: what made it; only documents with vectors of this model can be compared with it.
        numbers: the vector.
    """

    model: str
    numbers: Sequence[float]

    @property
    def is_lexical(self) -> bool:
        """Whether it knows words only and nothing of what they mean."""
        return self.model.startswith(f"{LEXICAL}/")


def vector_of(question: str) -> Vector:
    """The vector of a question, by the model that makes those of documents. Blocks.

    Raises:
        ModelError: the model failed.
        ConfigError: there is an address but no model.
    """
    model = current_model()
    return Vector(model, generate_embeddings([question], module_name=MODULE, record_trace=False)[0])


def current_model() -> str:
    """What makes vectors of documents and questions, as the settings say: `provider/model`, or the lexical calculation.

    Raises:
        ConfigError: there is an address but no model.
    """
    return embedder_for(current_settings(), module=MODULE)[1]


def missing_vectors(connection: sa.Connection, model: str, hashes: Collection[str]) -> set[str]:
    """Which of these texts, by their hashes, have no vector of this model yet."""
    missing = set(hashes)
    for some in groups(sorted(missing)):
        known = sa.select(VECTORS.c.content_hash).where(
            VECTORS.c.model == model, VECTORS.c.content_hash.in_(some)
        )
        missing -= set(connection.execute(known).scalars())
    return missing


def vectors_of(connection: sa.Connection, model: str, hashes: Collection[str]) -> dict[str, list[float]]:
    """The vectors of texts that one model has made, of length 1, by hash."""
    found: dict[str, list[float]] = {}
    for some in groups(sorted(set(hashes))):
        query = sa.select(VECTORS.c.content_hash, VECTORS.c.vector)
        rows = connection.execute(query.where(VECTORS.c.model == model, VECTORS.c.content_hash.in_(some)))
        found |= {row.content_hash: bytes_to_embedding(row.vector) for row in rows}
    return found


def store_vectors(connection: sa.Connection, model: str, vectors: Mapping[str, bytes]) -> None:
    """Keep vectors of texts; those that are there already stay.

    Args:
        connection: in a transaction.
        model: what made them.
        vectors: by hash of the text; 32-bit floats, as `embedding_to_bytes` makes them.
    """
    now = utc_now()
    rows = [
        {"content_hash": hashed, "model": model, "vector": _unit(vector), "created_at": now}
        for hashed, vector in vectors.items()
    ]
    if rows:
        connection.execute(insert_into(connection, VECTORS).on_conflict_do_nothing(), rows)


def nearest(
    connection: sa.Connection,
    vector: Vector,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> list[tuple[float, str]]:
    """The documents whose vectors are nearest, the nearest first: cosine and id.

    Documents that have nothing in common with the question, or vectors of another length, are left out.
    """
    wanted = array("f", bytes_to_embedding(_unit(embedding_to_bytes(vector.numbers))))
    vectors = VECTORS.c
    joined = DOCUMENTS.join(
        VECTORS, sa.and_(vectors.content_hash == DOCUMENTS.c.content_hash, vectors.model == vector.model)
    )
    query = sa.select(DOCUMENTS.c.id, vectors.vector).select_from(joined)
    query = query.where(ours(), *conditions)
    rows = connection.execute(query, execution_options={"yield_per": _AT_ONCE})
    scored = ((_cosine(wanted, row.vector), row.id) for row in rows)
    return heapq.nlargest(limit, (pair for pair in scored if pair[0] > 0))


def counts_of_vectors(connection: sa.Connection) -> dict[str, int]:
    """How many documents have a vector, by model."""
    joined = DOCUMENTS.join(VECTORS, VECTORS.c.content_hash == DOCUMENTS.c.content_hash)
    model = VECTORS.c.model
    query = (
        sa.select(model, sa.func.count()).select_from(joined).where(ours()).group_by(model).order_by(model)
    )
    return {str(name): count for name, count in connection.execute(query)}


def drop_unused(connection: sa.Connection, hashes: Collection[str]) -> None:
    """Remove vectors of texts that no document has any more."""
    for some in groups(sorted(hashes)):
        used = sa.select(DOCUMENTS.c.id).where(DOCUMENTS.c.content_hash == VECTORS.c.content_hash)
        connection.execute(sa.delete(VECTORS).where(VECTORS.c.content_hash.in_(some), ~used.exists()))


def _cosine(wanted: array[float], stored: bytes) -> float:
    numbers = bytes_to_embedding(stored)
    return _product(wanted, numbers) if len(numbers) == len(wanted) else 0.0


def _unit(vector: bytes) -> bytes:
    """The vector with length 1; one of zeros stays."""
    numbers = bytes_to_embedding(vector)
    length = math.sqrt(sum(map(mul, numbers, numbers)))
    return embedding_to_bytes([number / length for number in numbers]) if length else vector
