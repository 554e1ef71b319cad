"""Checkpoints of the rows of a batch step, as those who read a run's records find them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.runtime.history import Checkpoint

KIND = "row"
"""What a row's checkpoint says that it is."""

LEFT_OUT = "LeftOut"
"""Type of the error of a row that was not asked because its step was stopped."""

_ROW = re.compile(r"(.+)\[(\d+)\]")


def is_row(record: Checkpoint) -> bool:
    """Whether a record is that of a row."""
    return isinstance(record.value, dict) and record.value.get("kind") == KIND


def to_repeat(record: Checkpoint) -> bool:
    """Whether a retry does this row again: it failed, or it was not asked."""
    return is_row(record) and (not record.value.get("ok") or _error_type(record.value) == LEFT_OUT)


def _error_type(value: dict[str, Any]) -> Any:
    return (value.get("error") or {}).get("type")


def batch_of(record: Checkpoint, records: Sequence[Checkpoint]) -> list[Checkpoint]:
    """All records of the call to which a row belongs: their numbers are as far from each other as their rows."""
    place = _place(record)
    return [other for other in records if is_row(other) and _place(other) == place]


def _place(record: Checkpoint) -> tuple[str, int]:
    found = _ROW.fullmatch(record.name)
    return (found[1], record.number - int(found[2])) if found else (record.name, record.number)
