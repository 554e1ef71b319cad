"""What is kept for later runs: values of steps, and answers of models."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from kurt.db.models import UtcDateTime

_TABLES = {name: sa.table(name, sa.column("expires_at", UtcDateTime)) for name in ("step_cache", "llm_cache")}


def remove_kept(engine: sa.Engine, *, everything: bool, dry_run: bool) -> int:
    """Remove what was kept and counts no more.

    Args:
        engine: the project's database.
        everything: all values of steps, however long they would count.
        dry_run: only count.

    Returns:
        how much that is.
    """
    now = datetime.now(UTC)
    removed = 0
    with engine.begin() as connection:
        for name, table in _TABLES.items():
            over = sa.true() if everything and name == "step_cache" else table.c.expires_at <= now
            removed += connection.execute(
                sa.select(sa.func.count()).select_from(table).where(over)
            ).scalar_one()
            if not dry_run:
                connection.execute(sa.delete(table).where(over))
    return removed
