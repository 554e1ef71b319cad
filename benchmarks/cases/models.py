"""What calls of models cost."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Sample
from benchmarks.registry import Figure, benchmark
from benchmarks.server import model_server
from benchmarks.workspace import REPOSITORY, Bench

FEW, MANY = 200, 2_200


@benchmark("model-call")
def model_call(bench: Bench) -> list[Figure]:
    """A call of a model with a schema, limits, a budget, prices and traces, against bare aiohttp, 50 in flight."""
    with model_server(bench) as server:

        def measure(kind: str, count: int, *more: str) -> Callable[[], Sample]:
            return bench.measure_python(
                str(REPOSITORY / "benchmarks" / "calls.py"), kind, server.url, str(count), *more
            )

        kinds = {
            "aiohttp": ("aiohttp",),
            "kurt": ("kurt",),
            "cached": ("kurt", str(bench.root)),
        }
        found = bench.in_turn(
            {
                f"{name}-{count}": measure(kind[0], count, *kind[1:])
                for count in (FEW, MANY)
                for name, kind in kinds.items()
            }
        )
    each = {name: (found[f"{name}-{MANY}"] - found[f"{name}-{FEW}"]) / (MANY - FEW) for name in kinds}
    detail = {f"{name}_ms": sample.cpu * 1000 for name, sample in each.items()}
    return [
        _ratio("a call of a model, CPU", each["kurt"].cpu / each["aiohttp"].cpu, 4, detail),
        _ratio(
            "a call of a model, its answer stored, CPU", each["cached"].cpu / each["aiohttp"].cpu, 6, detail
        ),
        Figure(what="a call of a model, CPU", value=detail["kurt_ms"], unit="ms", budget=0.5, detail=detail),
    ]


def _ratio(what: str, value: float, budget: float, detail: dict[str, float]) -> Figure:
    return Figure(
        what=what, value=value, unit="x", budget=budget, against="a bare aiohttp call", detail=detail
    )
