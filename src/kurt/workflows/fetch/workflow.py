"""The workflow `fetch`: the order of its steps and nothing else, since it runs again when a run is resumed."""

from __future__ import annotations

from typing import Any

from dbos import DBOS

from kurt.config.current import current_settings
from kurt.core import run_workflow, track_step
from kurt.core.configs import read_config

from .config import FetchConfig, with_settings
from .steps import choose_documents, fetch_documents, plan_step, rows_step
from .utils import SKIPPED, in_order, summary, unfetched_rows, unknown_rows


@DBOS.workflow()
def fetch_workflow(config_dict: dict[str, Any]) -> dict[str, Any]:
    """Get the texts of documents and store them."""
    config = read_config(FetchConfig, config_dict, "fetch")
    workflow_id = str(DBOS.workflow_id)
    if config.dry_run:
        return summary(plan_step(config.model_dump()), workflow_id=workflow_id, dry_run=True)
    with track_step("choose"):
        chosen = choose_documents(config.model_dump())
    found = fetch_documents(config, chosen["ids"], workflow_id) if chosen["ids"] else {}
    statuses = in_order(found, chosen["ids"])
    rows = rows_step(statuses | unfetched_rows(chosen["skipped"], SKIPPED))
    return summary([*rows, *unknown_rows(chosen["unknown"])], workflow_id=workflow_id, dry_run=False)


def run_fetch(
    docs: Any = None,
    config: FetchConfig | dict[str, Any] | None = None,
    background: bool = False,
    priority: int | None = None,
) -> dict[str, Any]:
    """Fetch documents: the result, or for a background run `{"workflow_id": ..., "status": "queued"}`.

    Args:
        docs: ids, addresses, or rows such as those of `run_map`; without them what the config chooses.
        config: how, and which ones of all documents. What it leaves out, the project's settings may give:
            `FETCH.CONCURRENCY` and others.
        background: put it on a queue and return at once.
        priority: place in the queue, 1 comes first.
    """
    given = config.model_dump(exclude_unset=True) if isinstance(config, FetchConfig) else dict(config or {})
    if docs is not None:
        given["documents"] = docs
    payload = read_config(FetchConfig, with_settings(given, current_settings()), "fetch").model_dump()
    return run_workflow(fetch_workflow, payload, background=background, priority=priority)
