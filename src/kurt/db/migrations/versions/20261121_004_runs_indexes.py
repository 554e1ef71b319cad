"""Indexes that find runs by their name, user and workspace.

They are on a table of DBOS, which may rebuild it, so they are made after every upgrade: see `kurt.db.system.attach`.
This revision sees to it that databases of earlier releases are upgraded.
"""

from __future__ import annotations

from alembic import op

revision = "20261121_004"
down_revision = "20261121_003"
branch_labels = None
depends_on = None

INDEXES = ("kurt_runs_shown_name", "kurt_runs_name", "kurt_runs_user", "kurt_runs_workspace")


def upgrade() -> None:
    pass


def downgrade() -> None:
    schema = "" if op.get_bind().dialect.name == "sqlite" else "dbos."
    for index in INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {schema}{index}")
