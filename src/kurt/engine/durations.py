"""Durations and sizes as people write them in workflow files; the same as in settings."""

from __future__ import annotations

from kurt.config.durations import (
    DURATION_FORMS,
    SIZE_FORMS,
    format_duration,
    parse_duration,
    parse_size,
)

__all__ = ["DURATION_FORMS", "SIZE_FORMS", "format_duration", "parse_duration", "parse_size"]
