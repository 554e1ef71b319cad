"""Databases for tests of migrations."""

from tests.support.database import (
    _postgres_template,
    _sqlite_template,
    backend,
    database,
    postgres_server,
    postgres_url,
)

__all__ = ["_postgres_template", "_sqlite_template", "backend", "database", "postgres_server", "postgres_url"]
