"""The state of a run in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def title_of(name: str, mocked: Sequence[str]) -> str:
    """The name of a run's workflow over its live view: `pages`, or `pages (mocked models)`."""
    return f"{name} (mocked {' and '.join(mocked)})" if mocked else name


def state_text(run: dict[str, Any]) -> str:
    """The state with the failures that the run lived with: `succeeded (3 of 200 items failed)`."""
    summary = run.get("summary") or {}
    parts = [
        f"{failed} of {summary.get(what, failed)} {what} failed"
        for what in ("items", "rows")
        if (failed := summary.get(f"{what}_failed"))
    ]
    if skipped := summary.get("skipped_failures"):
        parts.append(f"{skipped} failed step{'s' if skipped > 1 else ''} skipped")
    if cached := summary.get("cached"):
        calls = summary.get("model_calls", 0)
        parts.append(f"{cached} cached, {calls} model call{'' if calls == 1 else 's'}")
    if mocked := run.get("mocked"):
        parts.append(f"mocked {' and '.join(mocked)}")
    return f"{run['status']} ({', '.join(parts)})" if parts else str(run["status"])
