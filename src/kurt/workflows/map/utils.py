"""Pure helpers: no files, no network, no DBOS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .models import MapStatus

if TYPE_CHECKING:
    from kurt.types import JsonObject

ERRORS_SHOWN = 100
"""Errors that a result lists; all of them are in the table."""

_NEW = (MapStatus.DISCOVERED, MapStatus.RENAMED)
_OLD = (MapStatus.EXISTING, MapStatus.CHANGED)


def listed_rows(found: JsonObject) -> list[JsonObject]:
    """What `discover_from_url` gave, as rows: pages, then what went wrong."""
    pages = [
        {"uri": page["url"], "title": page.get("title"), "modified": page.get("lastmod")}
        for page in found["discovered"]
    ]
    return pages + [{"uri": fault["url"], "error": fault["error"]} for fault in found.get("errors") or ()]


def once(rows: Sequence[JsonObject]) -> list[JsonObject]:
    """Rows with each address once, the first of them."""
    kept: dict[str, JsonObject] = {}
    for row in rows:
        kept.setdefault(row["uri"], row)
    return list(kept.values())


def batches(rows: Sequence[JsonObject], size: int) -> Iterator[list[JsonObject]]:
    """The rows in groups."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def result_rows(
    rows: Sequence[JsonObject], marks: Sequence[Sequence[str]], source_type: str
) -> list[JsonObject]:
    """What a result says of each document; rows with errors are no documents."""
    return [
        {
            "id": identity,
            "uri": row["uri"],
            "title": row.get("title"),
            "source_type": source_type,
            "status": status,
        }
        for row, (identity, status) in zip(rows, marks, strict=True)
        if not row.get("error")
    ]


def counts(marks: Sequence[Sequence[str]], *, gone: int, dry_run: bool) -> JsonObject:
    """How many documents there are of each status."""
    by_status = Counter(MapStatus(status) for _, status in marks)
    new, old = (sum(by_status[status] for status in group) for group in (_NEW, _OLD))
    return {
        "total": new + old,
        "documents_discovered": new,
        "documents_existing": old,
        "documents_changed": by_status[MapStatus.CHANGED],
        "documents_renamed": by_status[MapStatus.RENAMED],
        "documents_gone": gone,
        "documents_errors": by_status[MapStatus.ERROR],
        "rows_written": 0 if dry_run else new,
        "rows_updated": 0 if dry_run else old,
    }


def errors_of(rows: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
    """The first errors of a run: `{uri, error}`."""
    found = [{"uri": row["uri"], "error": row["error"]} for row in rows if row.get("error")]
    return found[:ERRORS_SHOWN]
