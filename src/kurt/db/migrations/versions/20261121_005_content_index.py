"""Finding documents: their passages with an index of the words, and vectors of their texts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261121_005"
down_revision = "20261121_004"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)

# FTS5 keeps the index only; the words themselves stay in `content_passages`, and triggers keep both in step.
FTS5 = (
    (
        "CREATE VIRTUAL TABLE kurt_content_fts USING fts5(title, heading, text, content='content_passages',"
        " content_rowid='id', tokenize='porter unicode61 remove_diacritics 2')"
    ),
    (
        "CREATE TRIGGER kurt_content_fts_insert AFTER INSERT ON content_passages BEGIN"
        " INSERT INTO kurt_content_fts (rowid, title, heading, text)"
        " VALUES (new.id, new.title, new.heading, new.text); END"
    ),
    (
        "CREATE TRIGGER kurt_content_fts_delete AFTER DELETE ON content_passages BEGIN"
        " INSERT INTO kurt_content_fts (kurt_content_fts, rowid, title, heading, text)"
        " VALUES ('delete', old.id, old.title, old.heading, old.text); END"
    ),
    (
        "CREATE TRIGGER kurt_content_fts_update AFTER UPDATE ON content_passages BEGIN"
        " INSERT INTO kurt_content_fts (kurt_content_fts, rowid, title, heading, text)"
        " VALUES ('delete', old.id, old.title, old.heading, old.text);"
        " INSERT INTO kurt_content_fts (rowid, title, heading, text)"
        " VALUES (new.id, new.title, new.heading, new.text); END"
    ),
)
TSVECTOR = (
    (
        "ALTER TABLE content_passages ADD COLUMN words tsvector GENERATED ALWAYS AS ("
        " setweight(to_tsvector('english', coalesce(title, '')), 'A')"
        " || setweight(to_tsvector('english', coalesce(heading, '')), 'B')"
        " || to_tsvector('english', text)) STORED"
    ),
    "CREATE INDEX ix_content_passages_words ON content_passages USING gin (words)",
)


def upgrade() -> None:
    op.create_table(
        "content_passages",
        sa.Column("id", Number, primary_key=True),
        sa.Column("document_id", sa.Text, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("title", sa.Text, nullable=True),
        sa.Column("heading", sa.Text, nullable=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("ix_content_passages_document_id", "content_passages", ["document_id"])
    for statement in FTS5 if op.get_bind().dialect.name == "sqlite" else TSVECTOR:
        op.execute(statement)
    op.create_table(
        "content_vectors",
        sa.Column("content_hash", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("content_vectors")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE kurt_content_fts")
    op.drop_table("content_passages")
