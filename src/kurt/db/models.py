"""The tables that all workflows share, and what the tables of workflow modules are built from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kurt.db.tenant import current_tenant

__all__ = [
    "ConfidenceMixin",
    "ContentPassage",
    "ContentVector",
    "Document",
    "EmbeddingMixin",
    "LLMCache",
    "LLMLimit",
    "LLMTrace",
    "StepValue",
    "TenantMixin",
    "TimestampMixin",
    "UtcDateTime",
    "utc_now",
]


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A time that is stored in UTC and comes back with its zone, whatever the back end; one without zone is UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """What is stored."""
        del dialect
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        """What comes back."""
        del dialect
        return None if value is None else _in_utc(value)


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """The present time, in UTC and with its zone."""
    return datetime.now(UTC)


_MOMENT: Any = UtcDateTime
_JSON: Any = sa.JSON().with_variant(JSONB(), "postgresql")
# SQLite numbers the rows of an INTEGER key only.
_NUMBER: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class TimestampMixin(SQLModel):
    """Adds when a row was made and when it was last changed, in UTC.

    Attributes:
        created_at: when it was made.
        updated_at: when it was last changed by way of the model.
    """

    created_at: datetime = Field(default_factory=utc_now, sa_type=_MOMENT, nullable=False)
    updated_at: datetime = Field(
        default_factory=utc_now,
        sa_type=_MOMENT,
        nullable=False,
        sa_column_kwargs={"onupdate": utc_now},
    )


class TenantMixin(SQLModel):
    """Adds whose row it is; filled from the run in which it is made, or from `with tenant(...)`.

    Attributes:
        user_id: the user.
        workspace_id: the workspace.
    """

    user_id: str | None = Field(default_factory=lambda: current_tenant().user_id, index=True)
    workspace_id: str | None = Field(default_factory=lambda: current_tenant().workspace_id, index=True)


class ConfidenceMixin(SQLModel):
    """Adds how sure one is of what a row says.

    Attributes:
        confidence: from 0, not at all, to 1, certain.
    """

    confidence: float = Field(default=0.0, ge=0.0, le=1.0)


class EmbeddingMixin(SQLModel):
    """Adds a vector.

    Attributes:
        embedding: 32-bit floats, as `kurt.core.embedding_to_bytes` makes them.
    """

    embedding: bytes | None = Field(default=None)


class Document(TimestampMixin, TenantMixin, table=True):
    """A document that content workflows found, fetched and read.

    Attributes:
        id: made from its address, the same for all workflows.
        uri: its address: a URL, `file:` relative to the project, or `cms://platform/instance/type/id`.
        source_type: where it comes from: `url`, `file`, `cms`.
        title: its title.
        language: ISO 639-1.
        author: who wrote it.
        published: when it was published, ISO 8601, as exact as is known.
        state: how far it has come.
        content_path: its text, from the project's folder of sources.
        content_hash: SHA-256 of its text.
        size: bytes of its text.
        fetched_at: when its text was last fetched.
        etag: what the server said of that version.
        last_modified: likewise.
        error: why it could not be fetched.
    """

    __tablename__: ClassVar[Any] = "documents"

    id: str = Field(primary_key=True)
    uri: str = Field(index=True)
    source_type: str = Field(default="url")
    title: str | None = None
    language: str | None = None
    author: str | None = None
    published: str | None = None
    state: str = Field(default="discovered", index=True)
    content_path: str | None = None
    content_hash: str | None = Field(default=None, index=True)
    size: int | None = Field(default=None, sa_type=sa.BigInteger)
    fetched_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    etag: str | None = None
    last_modified: str | None = None
    error: str | None = None


class ContentPassage(SQLModel, table=True):
    """A part of a document's text, as searches find and show it; the index of its words is the database's own.

    Attributes:
        id: its number.
        document_id: the document.
        position: its place in the document, from 0.
        title: the document's title.
        heading: the heading that it stands under.
        text: its Markdown.
    """

    __tablename__: ClassVar[Any] = "content_passages"

    id: int | None = Field(default=None, primary_key=True, sa_type=_NUMBER)
    document_id: str = Field(foreign_key="documents.id", ondelete="CASCADE", index=True)
    position: int
    title: str | None = None
    heading: str | None = None
    text: str


class ContentVector(SQLModel, table=True):
    """The vector of a text, made by one model; documents with the same text share it.

    Attributes:
        content_hash: SHA-256 of the text.
        model: what made it.
        vector: 32-bit floats, of length 1.
        created_at: when it was made.
    """

    __tablename__: ClassVar[Any] = "content_vectors"

    content_hash: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    vector: bytes
    created_at: datetime = Field(default_factory=utc_now, sa_type=_MOMENT)


class LLMTrace(SQLModel, table=True):
    """One attempt to call a model; the columns are explained at `kurt.core.trace_rows.TraceRow`."""

    __tablename__: ClassVar[Any] = "llm_traces"
    __table_args__ = (
        sa.Index("uq_llm_traces_attempt", "run_id", "scope", "step", "row", "attempt", unique=True),
        sa.Index("ix_llm_traces_workspace", "workspace_id", "started_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_NUMBER)
    run_id: str | None = None
    scope: str = ""
    step: str
    row: int = 0
    attempt: int = 1
    kind: str = "call"
    operation: str = "chat"
    state: str
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    tokens_in: int | None = Field(default=None, sa_type=sa.BigInteger)
    tokens_out: int | None = Field(default=None, sa_type=sa.BigInteger)
    tokens_cached: int | None = Field(default=None, sa_type=sa.BigInteger)
    tokens_reasoning: int | None = Field(default=None, sa_type=sa.BigInteger)
    cost: float | None = None
    currency: str | None = None
    cost_source: str | None = None
    latency_ms: float | None = None
    finish_reason: str | None = None
    cache_hit: bool = False
    error_type: str | None = None
    error: str | None = None
    prompt: str | None = None
    response: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    attributes: dict[str, Any] | None = Field(default=None, sa_type=_JSON)
    started_at: datetime = Field(sa_type=_MOMENT, index=True)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class LLMCache(SQLModel, table=True):
    """An answer of a model that was kept.

    Attributes:
        key: a digest of all that decides about the answer.
        tenant: to whom it was given; nobody else gets it.
        value: the answer.
        usage: what it consumed.
        created_at: when it was given.
        expires_at: after which it is not used any more.
    """

    __tablename__: ClassVar[Any] = "llm_cache"

    key: str = Field(primary_key=True)
    tenant: str = ""
    value: Any = Field(sa_type=_JSON)
    usage: dict[str, Any] | None = Field(default=None, sa_type=_JSON)
    created_at: datetime = Field(sa_type=_MOMENT)
    expires_at: datetime | None = Field(default=None, sa_type=_MOMENT, index=True)


class StepValue(SQLModel, table=True):
    """The value of a step that was kept for later runs.

    Attributes:
        key: a digest of all that decides about the value.
        tenant: whose it is; nobody else gets it.
        workflow: the workflow's name.
        step: the step's path without the keys of items.
        run_id: the run that made it.
        value: its JSON.
        created_at: when it was made.
        expires_at: after which it is not used any more.
    """

    __tablename__: ClassVar[Any] = "step_cache"

    key: str = Field(primary_key=True)
    tenant: str = ""
    workflow: str
    step: str
    run_id: str
    value: str
    created_at: datetime = Field(sa_type=_MOMENT, index=True)
    expires_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class LLMLimit(SQLModel, table=True):
    """What was used of a rate limit lately, shared by all processes.

    Attributes:
        name: the model and its endpoint.
        window: the recent requests.
        updated_at: when it was last written.
    """

    __tablename__: ClassVar[Any] = "llm_limits"

    name: str = Field(primary_key=True)
    window: Any = Field(sa_type=_JSON)
    updated_at: datetime = Field(sa_type=_MOMENT)
