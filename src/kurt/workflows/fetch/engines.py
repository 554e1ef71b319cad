"""What all engines have in common: what they are given and what they bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """A document that is to be had.

    Attributes:
        id: its id.
        uri: its address.
        etag: version whose text is here; None if all of it is to be sent in any case.
        last_modified: likewise.
        content_hash: hash of the text that is here, None where there is none.
    """

    id: str
    uri: str
    etag: str | None = None
    last_modified: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What an engine brings; either a body, or a text that is Markdown already, or neither.

    Attributes:
        body: the document as it is stored at its source, to be turned into Markdown.
        kind: what it is: `html`, `pdf`, `text`, `markdown`, `notebook`, `docx`.
        charset: the character set that the server names.
        markdown: the text.
        facts: what the engine knows of it: `title`, `author`, `published`, `language`, `description`.
        url: where it came from in the end.
        http_status: what a server answered with.
        etag: names this version.
        last_modified: likewise.
        unchanged: the version whose text is here is still the newest.
        gone: why there is no such document any more; None if there is.
    """

    body: bytes | None = None
    kind: str = "html"
    charset: str | None = None
    markdown: str | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    url: str | None = None
    http_status: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    unchanged: bool = False
    gone: str | None = None


class Engine(Protocol):
    """Gets documents. Belongs to one event loop.

    Attributes:
        name: as the option `--engine` has it.
    """

    name: str

    async def bring(self, target: Target) -> Brought:
        """Get a document.

        Raises:
            KurtError: it cannot be had.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
