"""Schedules with their ticks, and the places of workflows that bound how many of their runs are at work at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "20261121_008"
down_revision = "20261121_007"
branch_labels = None
depends_on = None

Json = sa.JSON().with_variant(JSONB(), "postgresql")
Milliseconds = sa.BigInteger  # since the epoch, as DBOS counts


def upgrade() -> None:
    op.create_table(
        "kurt_schedules",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("declared", sa.Boolean, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("catch_up", sa.Boolean, nullable=False),
        sa.Column("overlap", sa.Text, nullable=False),
        sa.Column("inputs", Json, nullable=False),
        sa.Column("queue", sa.Text, nullable=True),
        sa.Column("priority", sa.Integer, nullable=True),
        sa.Column("due_at", Milliseconds, nullable=False),
        sa.Column("paused_at", Milliseconds, nullable=True),
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("workspace_id", sa.Text, nullable=True),
        sa.Column("created_at", Milliseconds, nullable=False),
        sa.Column("updated_at", Milliseconds, nullable=False),
    )
    op.create_table(
        "kurt_schedule_ticks",
        sa.Column("schedule_id", sa.Text, primary_key=True),
        sa.Column("at", Milliseconds, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False, server_default="1"),
        sa.Column("run_id", sa.Text, nullable=True),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("error", Json, nullable=True),
        sa.Column("changed_at", Milliseconds, nullable=False),
    )
    op.create_index("ix_kurt_schedule_ticks_is_open", "kurt_schedule_ticks", ["is_open", "schedule_id", "at"])
    op.create_table(
        "kurt_run_slots",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("asked_at", Milliseconds, nullable=False),
        sa.Column("seen_at", Milliseconds, nullable=False),
        sa.Column("admitted_at", Milliseconds, nullable=True),
    )


def downgrade() -> None:
    for table in ("kurt_run_slots", "kurt_schedule_ticks", "kurt_schedules"):
        op.drop_table(table)
