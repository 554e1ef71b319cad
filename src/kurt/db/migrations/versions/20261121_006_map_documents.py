"""Where documents were found, and how far the sync of each source has come: tables of the workflow `map`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261121_006"
down_revision = "20261121_005"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
STATUS = ("DISCOVERED", "EXISTING", "CHANGED", "RENAMED", "GONE", "ERROR")


def upgrade() -> None:
    op.create_table(
        "map_documents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("document_id", sa.Text, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=True),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("discovery_method", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=True),
        sa.Column("status", sa.Enum(*STATUS, name="mapstatus"), nullable=False),
        sa.Column("depth", sa.Integer, nullable=True),
        sa.Column("content_hash", sa.Text, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=True),
        sa.Column("modified", sa.Text, nullable=True),
        sa.Column("moved_from", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        *_ownership(),
    )
    for column in ("document_id", "workflow_id", "source", "user_id", "workspace_id"):
        op.create_index(f"ix_map_documents_{column}", "map_documents", [column])
    op.create_table(
        "map_sources",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=True),
        *_ownership(),
    )
    for column in ("source", "workflow_id", "user_id", "workspace_id"):
        op.create_index(f"ix_map_sources_{column}", "map_sources", [column])


def _ownership() -> list[sa.Column[object]]:
    return [
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("workspace_id", sa.Text, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    ]


def downgrade() -> None:
    op.drop_table("map_sources")
    op.drop_table("map_documents")
    sa.Enum(name="mapstatus").drop(op.get_bind(), checkfirst=True)
