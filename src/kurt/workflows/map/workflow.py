"""The workflow `map`: the order of its steps and nothing else, since it runs again when a run is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbos import DBOS

from kurt.config.current import current_settings
from kurt.core import WorkflowTracker, run_workflow, track_step, update_step_progress
from kurt.core.configs import read_config

from .config import CRAWL_PAGES, MapConfig, with_settings
from .frontier import follow, frontier_of
from .steps import (
    compare_step,
    crawl_step,
    map_cms_gone_step,
    map_cms_start_step,
    map_cms_step,
    map_folder_step,
    map_url_step,
    mark_gone,
    open_crawler,
    save_documents,
    save_position,
)
from .utils import batches, counts, errors_of, listed_rows, once, result_rows

if TYPE_CHECKING:
    from kurt.types import JsonObject

SAVED_AT_ONCE = 2_000
"""Rows of one transaction: other writers of a SQLite file wait for it."""

MOST_ITEMS = 500_000
"""Items of a CMS that one run lists."""

_SOURCE_TYPES = {"url": "url", "folder": "file", "cms": "cms"}


@DBOS.workflow()
def map_workflow(config_dict: dict[str, Any]) -> dict[str, Any]:
    """Find documents and store which there are."""
    config = read_config(MapConfig, config_dict, "map")
    workflow_id = str(DBOS.workflow_id)
    with track_step("discover"):
        found = _discover(config)
        WorkflowTracker().update_progress(len(found["rows"]), total=len(found["rows"]))
    rows = once(found["rows"])
    finding = {
        "workflow_id": workflow_id,
        "source": found["source"],
        "source_type": _SOURCE_TYPES[config.source_kind],
        "method": found["method"],
    }
    gone = found.get("gone") or []
    with track_step("save", step_type="transaction", total=len(rows)):
        marks = _save(rows, finding, dry_run=config.dry_run)
        if gone and not config.dry_run:
            mark_gone(gone, workflow_id)
        if found.get("position") and not found["truncated"] and not config.dry_run:
            save_position(config.model_dump(), found["position"], workflow_id)
    return {
        "workflow_id": workflow_id,
        "status": "success",
        "discovery_method": found["method"],
        "discovery_url": found["source"],
        **counts(marks, gone=len(gone), dry_run=config.dry_run),
        "rows": result_rows(rows, marks, finding["source_type"]),
        "errors": errors_of(rows),
        "truncated": bool(found.get("truncated")),
        "dry_run": config.dry_run,
    }


def _discover(config: MapConfig) -> JsonObject:
    """`{rows, source, method, gone, truncated}`."""
    if config.source_kind == "folder":
        return map_folder_step(config.model_dump())
    return _discover_cms(config) if config.source_kind == "cms" else _discover_url(config)


def _discover_cms(config: MapConfig) -> JsonObject:
    payload = config.model_dump()
    start = map_cms_start_step(payload)
    listing: JsonObject = {"rows": [], "deleted": [], "complete": False}
    page: str | None = None
    while True:
        part = map_cms_step(payload, start["since"], page)
        listing["rows"] += part["rows"]
        listing["deleted"] += part["deleted"]
        WorkflowTracker().update_progress(len(listing["rows"]), total=len(listing["rows"]))
        page = part["next_page"]
        if page is None or len(listing["rows"]) >= (config.max_pages or MOST_ITEMS):
            break
    listing["complete"] = page is None and part["complete"]
    return {
        "rows": listing["rows"][: config.max_pages],
        "source": start["source"],
        "method": "cms",
        "gone": map_cms_gone_step(payload, listing),
        "position": part["position"] if page is None else None,
        "truncated": page is not None or len(listing["rows"]) > (config.max_pages or MOST_ITEMS),
    }


def _discover_url(config: MapConfig) -> JsonObject:
    found = map_url_step(config.model_dump())
    source = {"source": config.source_url, "method": found["method"]}
    if found["method"] != "crawl":
        return {**source, "rows": listed_rows(found), "truncated": found.get("truncated")}
    frontier = frontier_of(config, found)
    with open_crawler(config, found) as crawler:

        def visit(batch: list[list[str | int]], deeper: bool) -> list[JsonObject]:
            expected = min(len(frontier.seen), config.max_pages or CRAWL_PAGES)
            WorkflowTracker().update_progress(len(frontier.rows), total=expected)
            return crawl_step(crawler, batch, frontier.seen, follow=deeper)

        follow(frontier, visit)
    errors = listed_rows({**found, "discovered": []})
    return {**source, "rows": [*frontier.rows, *errors], "truncated": frontier.truncated}


def _save(rows: list[JsonObject], finding: dict[str, str], *, dry_run: bool) -> list[list[str]]:
    marks: list[list[str]] = []
    for some in batches(rows, SAVED_AT_ONCE):
        marks += compare_step(some) if dry_run else save_documents(some, finding)
        update_step_progress(len(marks))
    return marks


def run_map(
    config: MapConfig | dict[str, Any], background: bool = False, priority: int | None = None
) -> dict[str, Any]:
    """Find documents: the result, or for a background run `{"workflow_id": ..., "status": "queued"}`.

    Args:
        config: what to search and how; a relative folder is one of the working directory. What it leaves out, the project's
            settings may give: `MAP.MAX_PAGES` and others.
        background: put it on a queue and return at once.
        priority: place in the queue, 1 comes first.
    """
    given = config.model_dump(exclude_unset=True) if isinstance(config, MapConfig) else config
    checked = read_config(MapConfig, with_settings(given, current_settings()), "map")
    if checked.source_folder is not None:
        # The run may be executed by another process, which works elsewhere.
        checked = checked.model_copy(
            update={"source_folder": str(Path(checked.source_folder).expanduser().absolute())}
        )
    return run_workflow(map_workflow, checked.model_dump(), background=background, priority=priority)
