"""Databases for tests of whole runs."""

from __future__ import annotations

import pytest

from tests.support.cli import Kurt
from tests.support.database import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def url(request: pytest.FixtureRequest, kurt: Kurt) -> str | None:
    """The address of the Postgres database of all commands for the parameter `postgres`, else None: the project's file."""
    if getattr(request, "param", "sqlite") != "postgres":
        return None
    address: str = request.getfixturevalue("postgres_url")
    kurt.environ["DATABASE_URL"] = address
    kurt("db", "upgrade")
    return address
