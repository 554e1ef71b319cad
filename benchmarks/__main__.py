"""Runs benchmarks: `python -m benchmarks [NAME...]`. Figures go to stdout, progress to stderr.

Exit status 1 when a budget is broken, so that it can stand in a pipeline.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sqlite3
import sys
from pathlib import Path
from typing import Any

from benchmarks.registry import BENCHMARKS, Figure
from benchmarks.workspace import workspace

ROUNDS = 7


importlib.import_module("benchmarks.cases")  # registers them


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Kurt beside its yardsticks."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all by default")
    parser.add_argument("--list", action="store_true", help="show the benchmarks and stop")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="measured rounds of each candidate (%(default)s)"
    )
    parser.add_argument(
        "--database-url", metavar="URL", help="measure on this empty Postgres database instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {sorted(unknown)}; there are {', '.join(BENCHMARKS)}")
    return given


def measure(names: list[str], rounds: int, database_url: str | None) -> list[Figure]:
    """Run benchmarks one after another, each in a project of its own."""
    figures: list[Figure] = []
    for name in names:
        print(f"{name}: {BENCHMARKS[name].summary}", file=sys.stderr, flush=True)
        with workspace(rounds, database_url) as bench:
            figures += BENCHMARKS[name].function(bench)
    return figures


def row(figure: Figure) -> list[str]:
    """A figure as the cells of a table."""
    return [
        figure.what,
        amount(figure.value, figure.unit),
        f"{'at least ' if figure.more else ''}{amount(figure.budget, figure.unit)}",
        figure.against,
    ]


def amount(value: float, unit: str) -> str:
    """A value with its unit."""
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text}x" if unit == "x" else f"{text} {unit}".rstrip()


def report(figures: list[Figure], *, markdown: bool) -> str:
    """All figures as a table."""
    if markdown:
        head = ["what", "measured", "budget", "against"]
        rows = [head, ["---"] * 4, *(row(figure) for figure in figures)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join(
        f"{'ok  ' if figure.ok else 'OVER'} {cells[0]:<58} {cells[1]:>9} (budget {cells[2]}) {cells[3]}".rstrip()
        for figure, cells in ((figure, row(figure)) for figure in figures)
    )


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
    }


def main() -> int:
    given = arguments()
    if given.list:
        print("\n".join(f"{name:<12} {item.summary}" for name, item in BENCHMARKS.items()))
        return 0
    figures = measure(given.names or list(BENCHMARKS), given.rounds, given.database_url)
    print(report(figures, markdown=given.markdown))
    if given.json:
        result = {"machine": machine(), "figures": [figure.to_json() for figure in figures]}
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
