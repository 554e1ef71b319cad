"""Values of steps that are kept for later runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261121_009"
down_revision = "20261121_008"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "step_cache",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False, server_default=""),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=True),
    )
    op.create_index("ix_step_cache_created_at", "step_cache", ["created_at"])


def downgrade() -> None:
    op.drop_table("step_cache")
