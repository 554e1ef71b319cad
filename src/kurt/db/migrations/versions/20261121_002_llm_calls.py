"""Calls of models: one row for each attempt, stored answers, and the windows of rate limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "20261121_002"
down_revision = "20261121_001"
branch_labels = None
depends_on = None

Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows of an INTEGER key only


def upgrade() -> None:
    _traces()
    op.create_table(
        "llm_cache",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False, server_default=""),
        sa.Column("value", Json, nullable=False),
        sa.Column("usage", Json, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=True),
    )
    op.create_index("ix_llm_cache_expires_at", "llm_cache", ["expires_at"])
    op.create_table(
        "llm_limits",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("window", Json, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    )


def _traces() -> None:
    op.create_table(
        "llm_traces",
        sa.Column("id", Number, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=True),
        sa.Column("scope", sa.Text, nullable=False, server_default=""),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("row", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("kind", sa.Text, nullable=False, server_default="call"),
        sa.Column("operation", sa.Text, nullable=False, server_default="chat"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=True),
        sa.Column("request_model", sa.Text, nullable=True),
        sa.Column("response_model", sa.Text, nullable=True),
        sa.Column("response_id", sa.Text, nullable=True),
        sa.Column("tokens_in", sa.BigInteger, nullable=True),
        sa.Column("tokens_out", sa.BigInteger, nullable=True),
        sa.Column("tokens_cached", sa.BigInteger, nullable=True),
        sa.Column("tokens_reasoning", sa.BigInteger, nullable=True),
        sa.Column("cost", sa.Double, nullable=True),
        sa.Column("currency", sa.Text, nullable=True),
        sa.Column("cost_source", sa.Text, nullable=True),
        sa.Column("latency_ms", sa.Double, nullable=True),
        sa.Column("finish_reason", sa.Text, nullable=True),
        sa.Column("cache_hit", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("error_type", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("prompt", sa.Text, nullable=True),
        sa.Column("response", sa.Text, nullable=True),
        sa.Column("user_id", sa.Text, nullable=True),
        sa.Column("workspace_id", sa.Text, nullable=True),
        sa.Column("attributes", Json, nullable=True),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("ended_at", Moment, nullable=True),
    )
    attempt = ["run_id", "scope", "step", "row", "attempt"]
    op.create_index("uq_llm_traces_attempt", "llm_traces", attempt, unique=True)
    op.create_index("ix_llm_traces_workspace", "llm_traces", ["workspace_id", "started_at"])
    op.create_index("ix_llm_traces_started_at", "llm_traces", ["started_at"])


def downgrade() -> None:
    for table in ("llm_limits", "llm_cache", "llm_traces"):
        op.drop_table(table)
