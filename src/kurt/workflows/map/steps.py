"""The steps of `map`: each is stored when it ends, and is never done again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbos import DBOS

from kurt.config.current import current_settings
from kurt.content.identity import file_uri
from kurt.content.patterns import Patterns
from kurt.core import transaction
from kurt.db import managed_session

from . import store
from .config import MapConfig
from .frontier import starts_of
from .map_folder import Folder, discover_files, open_folder

if TYPE_CHECKING:
    from kurt.types import JsonObject

    from .crawl import Crawler


def discover_from_url(config: MapConfig | JsonObject | str, *, crawl: bool = True) -> JsonObject:
    """Find the pages of a site: by its sitemaps, feeds or llms.txt, else by following links.

    Args:
        config: a config, its fields, or an address alone.
        crawl: follow links where nothing lists the pages; a workflow does it by steps of its own.

    Returns:
        `{discovered: [{url, title, ...}], method, total, errors: [{url, error}], truncated}`; with the method `crawl`
        and without `crawl`, `discovered` is where the links are to be followed from.

    Raises:
        KurtError: nothing was found, and why.
    """
    from .map_url import discover  # noqa: PLC0415 - loads the web client, which folders do without

    given = {"source_url": config} if isinstance(config, str) else config
    return discover(MapConfig.model_validate(given), crawl=crawl)


@DBOS.step(name="map_url")
def map_url_step(config_dict: dict[str, Any]) -> dict[str, Any]:
    """Find the pages that a site lists."""
    return discover_from_url(config_dict, crawl=False)


def open_crawler(config: MapConfig, found: JsonObject) -> Crawler:
    """What fetches pages for `crawl_step`; to be entered with `with`. It opens nothing by itself."""
    from .crawl import Crawler  # noqa: PLC0415 - as above

    return Crawler(config, starts_of(config, found), delay=found.get("delay") or 0.0)


@DBOS.step(name="map_crawl")
def crawl_step(
    crawler: Crawler, batch: list[list[str | int]], seen: set[str], *, follow: bool
) -> list[dict[str, Any]]:
    """Fetch a batch of pages; what they are, and which addresses they lead to that are not seen yet."""
    return crawler.visit(batch, seen, follow=follow)


@DBOS.step(name="map_folder")
def map_folder_step(config_dict: dict[str, Any]) -> dict[str, Any]:
    """Find the files of a folder, and what has become of those that earlier runs found."""
    config = MapConfig.model_validate(config_dict)
    settings = current_settings()
    root = settings.root.resolve()
    path = open_folder(str(root / Path(str(config.source_folder)).expanduser()))
    folder = Folder(
        path=path,
        root=root,
        patterns=Patterns(config.include_patterns, config.exclude_patterns),
        limit=config.max_pages,
        skipped=settings.sources_dir.resolve(),
    )
    source = file_uri(path, root)
    prefix = "file:" if path == root else f"{source.rstrip('/')}/"
    with managed_session() as session:
        known = store.known_files(session.connection(), prefix)
    return {"source": source, "method": "folder", **discover_files(folder, known)}


@DBOS.step(name="map_cms_start")
def map_cms_start_step(config_dict: dict[str, Any]) -> dict[str, Any]:
    """The address of a CMS, and from where changes are asked for: None for everything."""
    from .map_cms import key_of, source_of  # noqa: PLC0415 - only a CMS needs it

    config = MapConfig.model_validate(config_dict)
    with managed_session() as session:
        since = None if config.full_sync else store.position(session.connection(), key_of(config))
    return {"source": source_of(config), "since": since}


@DBOS.step(name="map_cms")
def map_cms_step(config_dict: dict[str, Any], since: str | None, page: str | None) -> dict[str, Any]:
    """A part of what a CMS holds."""
    from .map_cms import list_part  # noqa: PLC0415 - only a CMS needs it

    return list_part(MapConfig.model_validate(config_dict), current_settings(), since, page)


@DBOS.step(name="map_cms_gone")
def map_cms_gone_step(config_dict: dict[str, Any], listing: dict[str, Any]) -> list[str]:
    """Addresses of documents that a CMS does not hold any more."""
    from .map_cms import gone, source_of  # noqa: PLC0415 - only a CMS needs it

    config = MapConfig.model_validate(config_dict)
    with managed_session() as session:
        known = store.uris_of(session.connection(), source_of(config))
    return gone(config, known, listing)


@transaction(name="map_position")
def save_position(config_dict: dict[str, Any], position: str, workflow_id: str) -> None:
    """Note from where the next run asks a CMS for changes."""
    from .map_cms import key_of  # noqa: PLC0415 - only a CMS needs it

    with managed_session() as session:
        key = key_of(MapConfig.model_validate(config_dict))
        store.set_position(session.connection(), key, position, workflow_id)


@transaction(name="map_save")
def save_documents(rows: list[dict[str, Any]], finding: dict[str, str]) -> list[list[str]]:
    """Store what was found, with the checkpoint of this step; id and status of each row."""
    with managed_session() as session:
        return store.save(session.connection(), rows, store.Finding(**finding))


@DBOS.step(name="map_compare")
def compare_step(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Id and status of each row as they would be stored; for a dry run."""
    with managed_session() as session:
        return store.compare(session.connection(), rows)


@transaction(name="map_gone")
def mark_gone(uris: list[str], workflow_id: str) -> int:
    """Note that documents are not there any more; how many."""
    with managed_session() as session:
        return store.mark_gone(session.connection(), uris, workflow_id)
