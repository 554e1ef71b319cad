"""Benchmarks and their results. A benchmark is a function that takes a `Bench` and returns figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from benchmarks.workspace import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure with its budget.

    Attributes:
        what: what was measured, for people.
        value: the figure.
        unit: `x` for a ratio, `s`, `ms`, `MB`, `%`; empty for a score.
        budget: the largest allowed value, or the smallest where more is better.
        more: whether more is better.
        against: the yardstick of a ratio.
        detail: the parts it was made of, by name.
    """

    what: str
    value: float
    unit: str
    budget: float
    more: bool = False
    against: str = ""
    detail: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether the budget is kept."""
        return self.value >= self.budget if self.more else self.value <= self.budget

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON, with `ok`."""
        return {**asdict(self), "ok": self.ok}


Function: TypeAlias = Callable[[Bench], list[Figure]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A registered benchmark.

    Attributes:
        name: what is given on the command line.
        summary: first line of its docstring.
        function: does the measuring.
    """

    name: str
    summary: str
    function: Function


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(name: str) -> Callable[[Function], Function]:
    """Register a benchmark under a name."""

    def register(function: Function) -> Function:
        summary = (function.__doc__ or "").strip().splitlines()[0]
        BENCHMARKS[name] = Benchmark(name, summary, function)
        return function

    return register
