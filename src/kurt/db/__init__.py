"""The project's database: engine, schema, sessions and plain connections.

The public names are loaded when they are first used: `import kurt.db` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.tables import register_all_models
    from kurt.db.models import ConfidenceMixin, EmbeddingMixin, TenantMixin, TimestampMixin
    from kurt.db.sessions import ensure_tables, get_engine, get_session, init_database, managed_session

__all__ = [
    "ConfidenceMixin",
    "EmbeddingMixin",
    "TenantMixin",
    "TimestampMixin",
    "ensure_tables",
    "get_engine",
    "get_session",
    "init_database",
    "managed_session",
    "register_all_models",
]

_HOMES = {
    "ConfidenceMixin": "kurt.db.models",
    "EmbeddingMixin": "kurt.db.models",
    "TenantMixin": "kurt.db.models",
    "TimestampMixin": "kurt.db.models",
    "ensure_tables": "kurt.db.sessions",
    "get_engine": "kurt.db.sessions",
    "get_session": "kurt.db.sessions",
    "init_database": "kurt.db.sessions",
    "managed_session": "kurt.db.sessions",
    "register_all_models": "kurt.app.tables",  # a use case of a layer above, offered here because people look here
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
