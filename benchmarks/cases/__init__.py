"""The benchmarks, one file a subject; importing this package registers them all."""

from benchmarks.cases import (
    commands,
    content,
    history,
    maps,
    models,
    pages,
    peers,
    rows,
    runs,
    traces,
    workers,
)

__all__ = [
    "commands",
    "content",
    "history",
    "maps",
    "models",
    "pages",
    "peers",
    "rows",
    "runs",
    "traces",
    "workers",
]
