"""Rows that ask a model: each kind of failure, what it costs, and what a retry pays for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kurt.testing import faults
from kurt.testing.faults import Fault
from kurt.testing.model_server import Arrival, ModelServer
from tests.support import models, rows
from tests.support.cli import Kurt

COUNT = 30
PRICE_IN, PRICE_OUT = 1000, 2000
"""Dollars per million tokens of prompt and answer."""


class Case(NamedTuple):
    """What happens to a row.

    Attributes:
        faults: what the server does wrong, one a call.
        always: what it does wrong in each later call.
        state: what becomes of the row.
        attempts: the error of each attempt; empty for the one that succeeds.
        kinds: whether each of them was a call, or a re-ask.
        paid: answers that cost something.
    """

    faults: tuple[Fault, ...] = ()
    always: Fault | None = None
    state: str = "success"
    attempts: tuple[str, ...] = ("",)
    kinds: tuple[str, ...] = ("call",)
    paid: int = 1


TWICE = ("call", "call")
CASES = {
    "always fails": Case((), faults.server_error(), "error", ("ServerError",) * 3, ("call",) * 3, 0),
    "fails twice": Case(
        (faults.server_error(),) * 2, attempts=("ServerError", "ServerError", ""), kinds=("call",) * 3
    ),
    "429 with Retry-After": Case((faults.rate_limited(0.7),), attempts=("RateLimited", ""), kinds=TWICE),
    "500": Case((faults.server_error(),), attempts=("ServerError", ""), kinds=TWICE),
    "time-out": Case((faults.hang(),), attempts=("Timeout", ""), kinds=TWICE),
    "not JSON": Case((faults.not_json(),), attempts=("NotJson", ""), kinds=("call", "reask"), paid=2),
    "breaks the schema": Case(
        (faults.wrong_schema(),), attempts=("BreaksSchema", ""), kinds=("call", "reask"), paid=2
    ),
    "always breaks the schema": Case(
        (), faults.wrong_schema(), "error", ("BreaksSchema",) * 2, ("call", "reask"), 2
    ),
    "cut in mid-answer": Case((faults.cut(),), attempts=("ConnectionCut", ""), kinds=TWICE),
    "refused": Case((), faults.refused(), "error", ("Refused",), ("call",), 0),
    "an ordinary row": Case(),
}
PROMPTS = {name: f"<{number}>" for number, name in enumerate(CASES)}
FAILED = {PROMPTS[name] for name, case in CASES.items() if case.state == "error"}


@dataclass(frozen=True, slots=True)
class Told:
    """What is known after a run with all cases, and after a retry without faults.

    Attributes:
        outputs: what the run returned.
        traces: its attempts, by their beginning.
        arrivals: the calls that the server saw.
        stats: what `kurt workflows stats` said.
        retried: what the run returned when its failed rows were done again.
        retried_traces: all attempts then.
        retried_arrivals: the calls of the retry.
    """

    outputs: dict[str, Any]
    traces: list[dict[str, Any]]
    arrivals: list[Arrival]
    stats: dict[str, Any]
    retried: dict[str, Any]
    retried_traces: list[dict[str, Any]]
    retried_arrivals: list[Arrival]

    def of_row(self, name: str) -> list[dict[str, Any]]:
        """The attempts at the row of a case."""
        return [one for one in self.traces if f"<{one['row']}>" == PROMPTS[name]]

    def asked(self, name: str) -> list[Arrival]:
        """The calls for the row of a case."""
        return [one for one in self.arrivals if PROMPTS[name] in one.prompt]


@pytest.fixture(scope="module")
def told(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One run over all cases, and its retry."""
    folder = tmp_path_factory.mktemp("cases")
    kurt = Kurt(rows.copied(_template, folder / "project"), home, folder)
    with ModelServer(latency=0.02, keep_bodies=False) as server:
        models.furnish(kurt, server.url, timeout=0.5, prices=f"{PRICE_IN}/{PRICE_OUT}")
        for name, case in CASES.items():
            server.script(PROMPTS[name], *case.faults, always=case.always)
        found = kurt.json("workflows", "run", "asking", "--input", f"count={COUNT}", "--run-id", "faults")
        assert found["status"] == "succeeded"
        arrivals, traces = list(server.arrivals), rows.traces(kurt.project)
        stats = kurt.json("workflows", "stats", "faults")["total"]
        server.reset()
        again = kurt.json("workflows", "retry", "faults", "--failed-rows")
        yield Told(
            outputs=found["outputs"],
            traces=traces,
            arrivals=arrivals,
            stats=stats,
            retried=again["outputs"],
            retried_traces=rows.traces(kurt.project),
            retried_arrivals=list(server.arrivals),
        )
    kurt.end()


@pytest.mark.parametrize("name", CASES)
def test_each_failure_has_its_state_attempts_traces_and_cost(told: Told, name: str) -> None:
    case, found = CASES[name], told.of_row(name)
    assert told.outputs["states"].get(PROMPTS[name], "success") == case.state
    assert (PROMPTS[name] in told.outputs["errors"]) == (case.state == "error")
    assert [one["attempt"] for one in found] == list(range(1, len(case.attempts) + 1))
    assert [one["error_type"] or "" for one in found] == list(case.attempts)
    assert [one["state"] for one in found] == ["failed" if error else "succeeded" for error in case.attempts]
    assert [one["kind"] for one in found] == list(case.kinds)
    asked = told.asked(name)
    assert len(asked) == len(found)
    answered = [one for one in asked if one.delivered and one.status == 200]
    paid = [one for one in found if one["cost"] is not None]
    assert len(answered) == len(paid) == case.paid
    assert [(one["tokens_in"], one["tokens_out"]) for one in paid] == [
        (one.tokens_in, one.tokens_out) for one in answered
    ]
    assert [one["cost"] for one in paid] == pytest.approx([_price(one) for one in answered])
    for one in found:
        assert (one["tokens_in"] is None) == (one["cost"] is None)  # what is not known is not 0


def _price(arrival: Arrival) -> float:
    return (arrival.tokens_in * PRICE_IN + arrival.tokens_out * PRICE_OUT) / 1_000_000


def test_a_wait_that_the_server_asks_for_is_kept(told: Told) -> None:
    first, second = (one.at for one in told.asked("429 with Retry-After"))
    assert second - first >= 0.7


def test_the_batch_goes_on_and_its_sums_are_those_of_the_server(told: Told) -> None:
    assert told.outputs["rows"] == COUNT
    assert set(told.outputs["states"]) == FAILED
    answered = [one for one in told.arrivals if one.delivered and one.status == 200]
    assert told.stats["calls"] == len(told.traces) == len(told.arrivals)
    assert told.stats["tokens_in"] == sum(one.tokens_in for one in answered)
    assert told.stats["tokens_out"] == sum(one.tokens_out for one in answered)
    assert told.stats["cost"] == pytest.approx(sum(map(_price, answered)))
    assert (told.stats["cut"], told.stats["at_work"]) == (0, 0)


def test_a_retry_pays_for_the_failed_rows_alone(told: Told) -> None:
    assert told.retried == {"states": {}, "errors": {}, "rows": COUNT}
    assert {one.prompt.removeprefix("Tell of ") for one in told.retried_arrivals} == FAILED
    assert len(told.retried_arrivals) == len(FAILED)
    new = told.retried_traces[len(told.traces) :]
    assert sorted((f"<{one['row']}>", one["attempt"]) for one in new) == sorted(
        (PROMPTS[name], len(case.attempts) + 1) for name, case in CASES.items() if case.state == "error"
    )
    assert {one["state"] for one in new} == {"succeeded"}


def test_a_spent_quota_stops_the_calls_and_the_rest_can_be_asked_later(kurt: Kurt) -> None:
    with ModelServer(latency=0.02, keep_bodies=False) as server:
        models.furnish(kurt, server.url, concurrency=5)
        server.script("<20>", always=faults.quota_spent())
        found = kurt.json("workflows", "run", "asking", "--input", "count=60", "--run-id", "quota")
        states = found["outputs"]["states"]
        assert states["<20>"] == "error"
        assert set(states.values()) == {"error", "skipped"}
        assert "left out after row 20 failed" in found["outputs"]["errors"]["<59>"]
        assert len([one for one in server.arrivals if "<20>" in one.prompt]) == 1
        assert len(server.arrivals) <= 26
        server.reset()
        assert kurt.json("workflows", "retry", "quota", "--failed-rows")["outputs"]["states"] == {}
        assert len(server.arrivals) == len(states)
