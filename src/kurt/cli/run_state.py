"""The state of a run in words."""

from __future__ import annotations

from typing import Any


def state_text(run: dict[str, Any]) -> str:
    """The state with the failures that the run lived with: `succeeded (3 of 200 items failed)`."""
    summary = run.get("summary") or {}
    parts: list[str] = []
    if failed := summary.get("items_failed"):
        parts.append(f"{failed} of {summary.get('items', failed)} items failed")
    if skipped := summary.get("skipped_failures"):
        parts.append(f"{skipped} failed step{'s' if skipped > 1 else ''} skipped")
    return f"{run['status']} ({', '.join(parts)})" if parts else str(run["status"])
