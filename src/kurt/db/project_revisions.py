"""Which revisions of a project's own tables the database lacks; the files' text is read, Alembic is not loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kurt.db.state import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings


_ID = re.compile(r"""^revision\b[^=\n]*=\s*["']([^"']+)["']""", re.MULTILINE)
_BEFORE = re.compile(r"""^down_revision\b[^=\n]*=\s*["']([^"']+)["']""", re.MULTILINE)


def pending(settings: Settings) -> list[str]:
    """Ids of revisions that `kurt db upgrade` would apply to the tables of the project's modules, the newest first.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    before = dict(filter(None, map(_read, settings.workflows_dir.glob("*/migrations/versions/*.py"))))
    if not before:
        return []
    at = read_state(settings).project
    heads = set(before) - set(before.values())
    found: list[str] = []
    for head in sorted(heads, reverse=True):
        step: str | None = head
        while step is not None and step != at and step in before and step not in found:
            found.append(step)
            step = before[step]
    return found


def _read(path: Path) -> tuple[str, str | None] | None:
    """The id in a revision's file, and that of the one before it; None for another file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    own, before = _ID.search(text), _BEFORE.search(text)
    return (own[1], before[1] if before else None) if own else None
