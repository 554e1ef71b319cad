"""Documents: what all content workflows share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261121_003"
down_revision = "20261121_002"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("source_type", sa.Text, nullable=False, server_default="url"),
        sa.Column("title", sa.Text, nullable=True),
        sa.Column("language", sa.Text, nullable=True),
        sa.Column("author", sa.Text, nullable=True),
        sa.Column("published", sa.Text, nullable=True),
        sa.Column("state", sa.Text, nullable=False, server_default="discovered"),
        sa.Column("content_path", sa.Text, nullable=True),
        sa.Column("content_hash", sa.Text, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=True),
        sa.Column("fetched_at", Moment, nullable=True),
        sa.Column("etag", sa.Text, nullable=True),
        sa.Column("last_modified", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("workspace_id", sa.Text, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    )
    for column in ("uri", "state", "content_hash", "user_id", "workspace_id"):
        op.create_index(f"ix_documents_{column}", "documents", [column])


def downgrade() -> None:
    op.drop_table("documents")
