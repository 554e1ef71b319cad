"""The tables of `fetch`. Their names begin with the workflow's; `kurt.db.migrations` makes them."""

from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from kurt.db.models import TenantMixin, TimestampMixin


class FetchStatus(StrEnum):
    """How the last fetch of a document came out."""

    FETCHED = "fetched"
    UNCHANGED = "unchanged"
    GONE = "gone"
    ERROR = "error"


class FetchDocument(TimestampMixin, TenantMixin, SQLModel, table=True):
    """The last fetch of a document.

    Attributes:
        id: the document's.
        document_id: likewise.
        workflow_id: the run that fetched it.
        engine: what got it.
        status: how it came out.
        url: where it came from in the end.
        http_status: what the server answered with.
        bytes: that were sent, decompressed.
        description: what the document says of itself in a sentence.
        extractions: how often its text was taken out of what was sent.
        error: why there is no text.
        error_code: the same for programs.
    """

    __tablename__: ClassVar[Any] = "fetch_documents"

    id: str = Field(primary_key=True)
    document_id: str = Field(foreign_key="documents.id", index=True)
    workflow_id: str = Field(index=True)
    engine: str
    status: FetchStatus = Field(index=True)
    url: str | None = None
    http_status: int | None = None
    bytes: int | None = Field(default=None, sa_type=sa.BigInteger)
    description: str | None = None
    extractions: int = 0
    error: str | None = None
    error_code: str | None = None
