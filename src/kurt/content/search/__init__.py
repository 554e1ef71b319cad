"""Finding documents: by their words, by the nearness of vectors, and by both."""

from __future__ import annotations

from kurt.content.search.finding import MODES, Hit, search
from kurt.content.search.indexing import Text, index, outdated
from kurt.content.search.vectors import Vector, current_model, missing_vectors, store_vectors, vector_of

__all__ = [
    "MODES",
    "Hit",
    "Text",
    "Vector",
    "current_model",
    "index",
    "missing_vectors",
    "outdated",
    "search",
    "store_vectors",
    "vector_of",
]
