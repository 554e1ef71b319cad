"""What calls of models cost and what came of them, one row of `llm_traces` for each attempt."""

from __future__ import annotations

from kurt.core.trace_rows import TraceRow, row_of
from kurt.core.trace_writer import ANY, Spent, TraceWriter, close_writers, trace_writer

__all__ = [
    "ANY",
    "Spent",
    "TraceRow",
    "TraceWriter",
    "close_writers",
    "row_of",
    "trace_writer",
]
