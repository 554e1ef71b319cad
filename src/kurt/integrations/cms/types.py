"""What every CMS gives, whatever its interface looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kurt.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CmsItem:
    """An item of a CMS, without its text.

    Attributes:
        id: its id there.
        kind: its type there, such as `posts`.
        title: its title.
        url: where people read it, if the CMS knows.
        updated: when it was last changed, ISO 8601.
        published: when it was published, ISO 8601.
        language: as the CMS says it.
    """

    id: str
    kind: str
    title: str | None = None
    url: str | None = None
    updated: str | None = None
    published: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CmsPage:
    """A part of a listing.

    Attributes:
        items: what is there.
        deleted: type and id of what is not there any more, as far as the CMS tells.
        next_page: what to ask for next; None when the listing is over.
        position: from where the next listing finds what has changed; counts when the listing is over.
        complete: the listing as a whole names everything that there is.
    """

    items: list[CmsItem]
    deleted: list[tuple[str, str]]
    next_page: str | None
    position: str | None
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CmsDocument:
    """An item with its text: HTML, or Markdown.

    Attributes:
        item: what it is.
        html: its text where the CMS keeps HTML.
        markdown: its text where it keeps something else.
        author: who wrote it.
    """

    item: CmsItem
    html: str | None = None
    markdown: str | None = None
    author: str | None = None


class CmsAdapter(Protocol):
    """One CMS; used with an open `WebClient`."""

    async def changes(self, since: str | None, page: str | None) -> CmsPage:
        """A part of what there is, or of what has changed.

        Args:
            since: the position of an earlier listing; None for everything.
            page: `next_page` of the part before; None for the first.

        Raises:
            CredentialsError: the key is not accepted.
            WebError: the CMS cannot be reached.
            DataError: its answer is not what it should be.
        """
        ...

    async def fetch(self, kind: str, item_id: str) -> CmsDocument:
        """An item with its text.

        Raises:
            NotFoundError: there is none.
            CredentialsError: the key is not accepted.
            WebError: the CMS cannot be reached.
            DataError: its answer is not what it should be.
        """
        ...


def text(value: object) -> str | None:
    """A value of an answer as text: one line, None where it is none or empty."""
    return " ".join(value.split()) or None if isinstance(value, str) else None


def newest(items: list[CmsItem], before: str | None) -> str | None:
    """The latest change among items, or what was known before."""
    return max((item.updated for item in items if item.updated), default=None) or before


def objects(value: object) -> list[JsonObject]:
    """The objects in a list of an answer; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
