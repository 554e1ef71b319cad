"""The benchmarks, one file a subject; importing this package registers them all."""

from benchmarks.cases import commands, history, maps, models, peers, rows, runs, traces, workers

__all__ = ["commands", "history", "maps", "models", "peers", "rows", "runs", "traces", "workers"]
