"""How far the fan-outs of a run are that goes on elsewhere: what its stream `progress` tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.runtime.names import PROGRESS_STREAM

if TYPE_CHECKING:
    from kurt.runtime.runs import RunReader

_PAGE = 200
_PATIENCE = 4
"""Readings after which the last count of a fan-out is not waited for any more: a killed executor writes none."""


class StoredItems:
    """Reads the stream as it grows.

    Args:
        reader: of the project's database.
    """

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._offset = 0
        self._counts: dict[str, dict[str, int]] = {}
        self._news: set[str] = set()
        self._waited: dict[str, int] = {}

    def read(self, run_id: str) -> None:
        """Read what was written since the last call."""
        more = True
        while more:
            page = self._reader.stream(run_id, PROGRESS_STREAM, self._offset, _PAGE)
            self._offset, more = page.next_offset, page.has_more
            for item in page.items:
                self._take(item)

    def _take(self, item: Any) -> None:
        found = item.get("items") if isinstance(item, dict) else None
        for one in found if isinstance(found, list) else ():
            counts = {name: int(one.get(name) or 0) for name in ("done", "failed", "total")}
            self._counts[one["step"]] = counts
            self._news.add(one["step"])

    def news(self, path: str) -> dict[str, int] | None:
        """`done`, `failed` and `total` of a step, None if they are as they were at the last call."""
        if path not in self._news:
            return None
        self._news.discard(path)
        return self._counts[path]

    def is_behind(self, path: str) -> bool:
        """Whether the counts of a step that has ended are likely to be old; for a second or so only."""
        counts = self._counts.get(path)
        if counts is None or counts["done"] >= counts["total"]:
            return False
        self._waited[path] = self._waited.get(path, 0) + 1
        return self._waited[path] < _PATIENCE
