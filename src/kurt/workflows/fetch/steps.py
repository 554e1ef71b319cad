"""The steps of `fetch`: each is stored when it ends, and is never done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbos import DBOS

from kurt.config.current import current_settings
from kurt.core import transaction
from kurt.db import managed_session

from . import store
from .config import FetchConfig
from .fetching import fetch_documents
from .utils import PLANNED, SKIPPED, planned_row, unfetched_rows, unknown_rows

__all__ = ["choose_documents", "fetch_documents", "plan_step", "rows_step"]


@transaction(name="fetch_choose")
def choose_documents(config_dict: dict[str, Any]) -> dict[str, Any]:
    """Find the documents that are meant: `{ids, skipped, unknown}`; addresses that are unknown become documents."""
    config = FetchConfig.model_validate(config_dict)
    with managed_session() as session:
        return store.choose(session.connection(), config, str(current_settings().root)).to_json()


@DBOS.step(name="fetch_plan")
def plan_step(config_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the documents that would be fetched; nothing is written."""
    config = FetchConfig.model_validate(config_dict)
    with managed_session() as session:
        connection = session.connection()
        chosen = store.choose(connection, config, str(current_settings().root), note=False)
        statuses = unfetched_rows(chosen.ids, PLANNED) | unfetched_rows(chosen.skipped, SKIPPED)
        rows = store.result_rows(connection, statuses)
    rows += [planned_row(identity, uri) for identity, uri in chosen.fresh.items() if identity in statuses]
    return [*sorted(rows, key=lambda row: row["uri"]), *unknown_rows(chosen.unknown)]


@DBOS.step(name="fetch_rows")
def rows_step(statuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is known of documents now, with how their fetches came out; a run that is resumed says the same again."""
    with managed_session() as session:
        return store.result_rows(session.connection(), statuses)
