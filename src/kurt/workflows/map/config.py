"""What a run of `map` is given: the keys of `kurt workflows run map --input KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kurt.content.identity import canonical_url
from kurt.content.patterns import Patterns, split_patterns

if TYPE_CHECKING:
    from kurt.config import Settings

Method = Literal["auto", "sitemap", "crawl", "feed", "llms_txt", "folder", "cms"]
"""How documents are looked for."""

WEB_METHODS = ("auto", "sitemap", "crawl", "feed", "llms_txt")
"""Those that start from a URL."""

CRAWL_PAGES = 1_000
"""Pages of a crawl where nobody says how many."""

CRAWL_DEPTH = 5
"""Links between the start and the farthest page of a crawl where nobody says how many."""


def _listed(value: Any) -> Any:
    """A text with commas as the list that it means."""
    return list(split_patterns(value)) if value is None or isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_listed)]


class MapConfig(BaseModel):
    """Inputs of the workflow; they are checked before anything is done."""

    model_config = ConfigDict(extra="forbid")  # a misspelt input is refused, not ignored

    source_url: str | None = Field(
        default=None, description="Address of the site, or of a page, sitemap or feed of it"
    )
    source_folder: str | None = Field(
        default=None, description="Folder with documents, from the working directory"
    )
    cms_platform: str | None = Field(
        default=None, description="Kind of CMS: sanity, contentful, wordpress..."
    )
    cms_instance: str | None = Field(
        default=None, description="Which of them: the name that the settings give it"
    )
    discovery_method: Method = Field(default="auto", description="How documents are looked for")
    sitemap_path: str | None = Field(
        default=None, description="Path or address of the sitemap, where it is not usual"
    )
    max_depth: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description=f"Links between the start and the farthest page; {CRAWL_DEPTH}",
    )
    max_pages: int | None = Field(
        default=None,
        ge=1,
        le=500_000,
        description=f"Find no more documents than this; a crawl stops at {CRAWL_PAGES} where nothing is given",
    )
    include_patterns: Words = Field(
        default_factory=list, description="Only addresses that one of these fits: globs, or re:EXPRESSION"
    )
    exclude_patterns: Words = Field(default_factory=list, description="No addresses that one of these fits")
    allow_subdomains: bool = Field(default=False, description="Take pages of the site's other hosts too")
    allow_external: bool = Field(default=False, description="Take pages of all hosts")
    allow_private: bool = Field(default=False, description="Let the site have an address that is not public")
    respect_robots: bool = Field(default=True, description="Leave out what the site's robots.txt disallows")
    full_sync: bool = Field(default=False, description="List a CMS from the beginning, not what has changed")
    dry_run: bool = Field(default=False, description="Do everything but write to the database")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [self.source_url, self.source_folder, self.cms_platform]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give one source: source_url, source_folder or cms_platform")
        if self.cms_instance is not None and self.cms_platform is None:
            raise ValueError("cms_instance needs cms_platform")
        Patterns(self.include_patterns, self.exclude_patterns)  # refuses what it cannot read
        if self.source_url is not None:
            canonical_url(self.source_url)  # likewise
        allowed = self._methods()
        if self.discovery_method not in allowed:
            raise ValueError(
                f"discovery_method {self.discovery_method!r} does not go with {self.source_kind}: {', '.join(allowed)}"
            )
        return self

    def _methods(self) -> tuple[str, ...]:
        return WEB_METHODS if self.source_url is not None else ("auto", self.source_kind)

    @property
    def source_kind(self) -> str:
        """Where documents come from: `url`, `folder` or `cms`."""
        if self.source_url is not None:
            return "url"
        return "folder" if self.source_folder is not None else "cms"


FROM_SETTINGS = ("max_pages", "max_depth", "include_patterns", "exclude_patterns")
"""Fields that the project's settings give where nothing else does, as `MAP.MAX_PAGES`."""


_NOTHING: tuple[Any, ...] = (None, "", [])


def with_settings(given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Fields of a config, with what the project's settings say of those that are not given.

    Args:
        given: fields by name.
        settings: the project's settings.
    """
    found = {name: settings.get(name, module="map") for name in FROM_SETTINGS if given.get(name) in _NOTHING}
    return {**given, **{name: value for name, value in found.items() if value not in _NOTHING}}
