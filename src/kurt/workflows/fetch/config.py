"""What a run of `fetch` is given: the keys of `kurt workflows run fetch --input KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kurt.content.patterns import Patterns, split_patterns

if TYPE_CHECKING:
    from kurt.config import Settings

Engine = Literal["auto", "http", "playwright", "firecrawl", "tavily", "jina", "file", "cms"]
"""What gets the documents; `auto` goes by where each comes from."""

ENGINES = ("auto", "http", "playwright", "firecrawl", "tavily", "jina", "file", "cms")

State = Literal["discovered", "fetched", "error", "gone"]


def _listed(value: Any) -> Any:
    """A text with commas as the list that it means."""
    return list(split_patterns(value)) if value is None or isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_listed)]


def _named(value: Any) -> Any:
    """A list of names; None, which is no choice, stays: an empty list chooses nothing."""
    return None if value is None else _listed(value)


Names = Annotated[list[str] | None, BeforeValidator(_named)]


def name_of(document: Any) -> str:
    """The id or the address of what stands for a document: one of them, or a row that has one.

    Raises:
        ValueError: it stands for none.
    """
    if isinstance(document, str):
        return document
    for name in ("id", "document_id", "uri", "url"):
        value = document.get(name) if isinstance(document, Mapping) else getattr(document, name, None)
        if value:
            return str(value)
    raise ValueError(f"{document!r} is no document: give ids, addresses, or rows with `id` or `uri`")


def _documents(value: Any) -> Any:
    """Names of documents, however they are given."""
    if value is None:
        return None
    single = isinstance(value, (str, Mapping)) or hasattr(value, "uri")
    return [name_of(one) for one in ([value] if single else value)]


def _field_for(name: str) -> str:
    if name.startswith(("http://", "https://")):
        return "urls"
    return "files" if name.startswith("file:") else "ids"


class FetchConfig(BaseModel):
    """Inputs of the workflow; they are checked before anything is done.

    Without any choice all documents are meant that have no text yet, and those whose last fetch failed.
    """

    model_config = ConfigDict(extra="forbid")  # a misspelt input is refused, not ignored

    documents: Annotated[list[str] | None, BeforeValidator(_documents)] = Field(
        default=None, description="Documents: ids, addresses, or rows such as those of `map`"
    )
    ids: Names = Field(default=None, description="Documents, by their ids")
    url: str | None = Field(default=None, description="A web page, known or not")
    urls: Names = Field(default=None, description="Several of them")
    file: str | None = Field(default=None, description="A file, from the project's folder")
    files: Names = Field(default=None, description="Several of them")
    include_patterns: Words = Field(
        default_factory=list, description="Only documents whose address fits one: globs, or re:EXPRESSION"
    )
    exclude_patterns: Words = Field(default_factory=list, description="No documents whose address fits one")
    with_status: list[State] = Field(
        default_factory=list, description="Only documents in one of these states"
    )
    url_contains: str | None = Field(default=None, description="Only documents with this in their address")
    file_ext: str | None = Field(default=None, description="Only documents whose address ends so")
    source_type: Literal["url", "file", "cms"] | None = Field(
        default=None, description="Only documents from such a source"
    )
    limit: int | None = Field(default=None, ge=1, description="Fetch no more documents than this")
    refetch: bool = Field(
        default=False,
        description="Ask again for documents whose text is here; what is unchanged is not sent again",
    )
    full: bool = Field(default=False, description="Have unchanged documents sent and read again too")
    engine: Engine = Field(default="auto", description="What gets them")
    respect_robots: bool = Field(
        default=True, description="Leave out what the robots.txt of a site disallows"
    )
    allow_private: bool = Field(default=False, description="Let servers have addresses that are not public")
    concurrency: int = Field(default=20, ge=1, le=200, description="Documents at work at once")
    per_host: int = Field(default=8, ge=1, le=100, description="Requests at once to one server")
    delay: float = Field(default=0.0, ge=0, le=3600, description="Seconds between two requests to one server")
    batch_size: int = Field(default=25, ge=1, le=200, description="Documents that are stored together")
    max_bytes: int = Field(default=20_000_000, ge=1000, description="Largest body, also after decompression")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Seconds for one request")
    page_seconds: float = Field(
        default=20.0, gt=0, le=600, description="Seconds of processor time for one page"
    )
    embed: bool = Field(default=True, description="Make vectors of the texts")
    embedding_max_chars: int = Field(
        default=1000, ge=1, description="Characters of a text that its vector is of"
    )
    embedding_batch_size: int = Field(default=100, ge=1, description="Texts in one call for vectors")
    dry_run: bool = Field(default=False, description="Only tell which documents would be fetched")

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        Patterns(self.include_patterns, self.exclude_patterns)  # refuses what it cannot read
        return self

    @model_validator(mode="after")
    def _gather(self) -> Self:
        """All names in the three lists."""
        for name in self.documents or ():
            self._add(_field_for(name), name)
        if self.documents is not None and not self.named:
            self.ids = []
        self.documents = None
        for one, several in (("url", "urls"), ("file", "files")):
            if (value := getattr(self, one)) is not None:
                self._add(several, value)
                setattr(self, one, None)
        return self

    def _add(self, field: str, name: str) -> None:
        setattr(self, field, list(dict.fromkeys([*(getattr(self, field) or ()), name])))

    @property
    def named(self) -> bool:
        """Whether documents are named one by one."""
        return any(names is not None for names in (self.ids, self.urls, self.files))


FROM_SETTINGS = (
    *("engine", "concurrency", "per_host", "delay", "batch_size", "max_bytes", "timeout", "page_seconds"),
    *("embedding_max_chars", "embedding_batch_size"),
)
"""Fields that the project's settings give where nothing else does, as `FETCH.CONCURRENCY`."""


def with_settings(given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Fields of a config, with what the project's settings say of those that are not given.

    Args:
        given: fields by name; None is not given.
        settings: the project's settings.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name in FROM_SETTINGS:
        if name not in found and (value := settings.get(name, module="fetch")) not in {None, ""}:
            found[name] = value
    return found
