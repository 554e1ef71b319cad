"""Pure helpers: no files, no network, no DBOS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SKIPPED, PLANNED, ERROR = "skipped", "planned", "error"
"""States of rows that were not fetched: their text is here, it is a dry run, it is no document."""

_GOOD = ("fetched", "unchanged")
_SAID = ("uri", "error", "code")
_AT_TOP = ("id", "uri", "title", "path", "error")


def unfetched_rows(ids: Iterable[str], status: str) -> dict[str, str]:
    """Documents that were not asked for, by id."""
    return dict.fromkeys(ids, status)


def planned_row(identity: str, uri: str) -> dict[str, Any]:
    """The row of an address that is no document yet."""
    return {
        "id": identity,
        "uri": uri,
        "status": PLANNED,
        **dict.fromkeys(("title", "path", "error", "code")),
    }


def unknown_rows(unknown: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Rows for what was named and is no document."""
    return [
        {"id": None, "title": None, "status": ERROR, "path": None, **{name: one[name] for name in _SAID}}
        for one in unknown
    ]


def summary(rows: Sequence[Mapping[str, Any]], *, workflow_id: str | None, dry_run: bool) -> dict[str, Any]:
    """The result of a run.

    Args:
        rows: one for each document.
        workflow_id: the run.
        dry_run: whether nothing was fetched.
    """
    counts = Counter(row["status"] for row in rows)
    result: dict[str, Any] = {
        "workflow_id": workflow_id,
        "total": len(rows),
        "success_count": sum(counts[status] for status in _GOOD),
        "unchanged_count": counts["unchanged"],
        "error_count": counts["error"],
        "gone_count": counts["gone"],
        "skipped_count": counts[SKIPPED],
        "dry_run": dry_run,
        "rows": [dict(row) for row in rows],
    }
    if len(rows) == 1:
        result |= {name: rows[0][name] for name in _AT_TOP}
        result["document_status"] = rows[0]["status"]
    return result


def in_order(statuses: Mapping[str, str], ids: Iterable[str]) -> dict[str, str]:
    """How each document came out, in the order in which they were chosen and not in that in which they were stored."""
    return {identity: statuses[identity] for identity in ids if identity in statuses}
