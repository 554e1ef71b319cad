"""The tables of `map`. Their names begin with the workflow's; `kurt.db.migrations` makes them."""

from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from kurt.db.models import TenantMixin, TimestampMixin


class MapStatus(StrEnum):
    """What a run of `map` found about a document."""

    DISCOVERED = "discovered"
    EXISTING = "existing"
    CHANGED = "changed"
    RENAMED = "renamed"
    GONE = "gone"
    ERROR = "error"


class MapDocument(TimestampMixin, TenantMixin, SQLModel, table=True):
    """Where and how a document was found, or an address that gave none.

    Attributes:
        id: the document's, also where there is none.
        document_id: the document; None for an address that gave none.
        workflow_id: the run that found it last.
        uri: its address.
        source: what was searched: a URL, a folder, a CMS.
        discovery_method: how.
        title: its title where it was found.
        status: what the last run found about it.
        depth: links between the start of a crawl and it.
        content_hash: SHA-256 of a file's bytes.
        size: bytes of a file.
        modified: when it was last changed, as its source says it.
        moved_from: the address that a renamed document had before.
        error: why there is no document.
    """

    __tablename__: ClassVar[Any] = "map_documents"

    id: str = Field(primary_key=True)
    document_id: str | None = Field(default=None, foreign_key="documents.id", index=True)
    workflow_id: str = Field(index=True)
    uri: str
    source: str = Field(index=True)
    discovery_method: str
    title: str | None = None
    status: MapStatus
    depth: int | None = None
    content_hash: str | None = None
    size: int | None = Field(default=None, sa_type=sa.BigInteger)
    modified: str | None = None
    moved_from: str | None = None
    error: str | None = None


class MapSource(TimestampMixin, TenantMixin, SQLModel, table=True):
    """How far the sync of a CMS has come.

    Attributes:
        id: tenant and source.
        source: `cms://platform/instance`.
        workflow_id: the run that came so far.
        position: where the next run begins; what it means is known to the CMS's adapter.
    """

    __tablename__: ClassVar[Any] = "map_sources"

    id: str = Field(primary_key=True)
    source: str = Field(index=True)
    workflow_id: str = Field(index=True)
    position: str | None = None
