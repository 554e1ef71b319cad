"""How the last fetch of each document came out: the table of the workflow `fetch`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261121_007"
down_revision = "20261121_006"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
STATUS = ("FETCHED", "UNCHANGED", "GONE", "ERROR")


def upgrade() -> None:
    op.create_table(
        "fetch_documents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("document_id", sa.Text, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("status", sa.Enum(*STATUS, name="fetchstatus"), nullable=False),
        sa.Column("url", sa.Text, nullable=True),
        sa.Column("http_status", sa.Integer, nullable=True),
        sa.Column("bytes", sa.BigInteger, nullable=True),
        sa.Column("description", sa.Text, nullable=True),
        sa.Column("extractions", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("error_code", sa.Text, nullable=True),
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("workspace_id", sa.Text, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    )
    for column in ("document_id", "workflow_id", "status", "user_id", "workspace_id"):
        op.create_index(f"ix_fetch_documents_{column}", "fetch_documents", [column])


def downgrade() -> None:
    op.drop_table("fetch_documents")
    sa.Enum(name="fetchstatus").drop(op.get_bind(), checkfirst=True)
