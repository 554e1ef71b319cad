"""Alembic's environment: works on the connection that `kurt.db.upgrades` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table=context.config.attributes["version_table"],
    render_as_batch=connection.dialect.name == "sqlite",
    **context.config.attributes.get("drafting", {}),
)
with context.begin_transaction():
    context.run_migrations()
