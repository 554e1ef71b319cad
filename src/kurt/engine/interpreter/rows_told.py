"""What rows of a step that calls a model come to: their checkpoints, their counts, and both in words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.core.rows import FAILED, KIND, LEFT_OUT, SKIPPED, SUCCEEDED
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.llm.types import Attempt

_STATUS = {SUCCEEDED: "success", FAILED: "error", SKIPPED: "skipped"}

Left = tuple[float | None, int | None]
"""What is left of the budget, in US dollars and tokens; None where there is no limit."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """What the calls for a row came to.

    Attributes:
        value: the row's value.
        attempts: calls that were made.
        tokens: tokens of prompts and answers.
        cost: in US dollars, None where it is not known.
        cached: rows of it that an earlier run has kept.
    """

    value: Json
    attempts: int = 1
    tokens: int = 0
    cost: float | None = None
    cached: int = 0


def succeeded(found: Consumed, started: float) -> JsonObject:
    """The checkpoint of a row that has a value; `started` by `time.perf_counter()`."""
    return {
        "ok": True,
        "state": SUCCEEDED,
        "kind": KIND,
        "latency_ms": _since(started),
        "attempt": found.attempts,
        "tokens": found.tokens,
        "cost": found.cost,
        **({"cached": found.cached} if found.cached else {}),
        "value": found.value,
    }


def failed(error: JsonObject, attempts: Sequence[Attempt], started: float) -> JsonObject:
    """The checkpoint of a row that has none."""
    known = [one.cost.amount for one in attempts if one.cost.amount is not None]
    return {
        "ok": False,
        "state": FAILED,
        "kind": KIND,
        "latency_ms": _since(started),
        "attempt": len(attempts),
        "cost": sum(known) if known else None,
        "error": error,
    }


def left_out(reason: str) -> JsonObject:
    """The checkpoint of a row that was not asked for."""
    error = {"type": LEFT_OUT, "message": reason}
    return {"ok": True, "state": SKIPPED, "kind": KIND, "attempt": 0, "error": error}


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def status_of(envelope: JsonObject) -> str:
    """How the state of a row is called in its value."""
    return _STATUS[envelope["state"]]


class RowCounts:
    """Counts of the rows of one execution of a step.

    Args:
        total: how many rows there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.skipped = 0
        self.cached = 0
        self.calls = 0
        self._tokens = 0
        self._cost = 0.0
        self._replayed = 0
        self._began = time.monotonic()

    def add(self, envelope: JsonObject, rows: int, *, replayed: bool) -> None:
        """A checkpoint of so many rows is there."""
        self.done += rows
        self.failed += rows if envelope["state"] == FAILED else 0
        self.skipped += rows if envelope["state"] == SKIPPED else 0
        self.cached += envelope.get("cached", 0)
        self.calls += envelope.get("attempt", 0)
        self._tokens += envelope.get("tokens") or 0
        self._cost += envelope.get("cost") or 0.0
        self._replayed += rows if replayed else 0

    @property
    def are_all_cached(self) -> bool:
        """Whether nothing had to be made."""
        return self.total > 0 and self.cached == self.total

    def summary(self) -> JsonObject:
        """The counts as the step's checkpoint has them; those that are none are left out."""
        counts = {name: getattr(self, name) for name in ("failed", "skipped", "cached", "calls")}
        return {"rows": self.total, **{name: count for name, count in counts.items() if count}}

    def said(self) -> str:
        """What the step came to, on one line of the log."""
        counts = {name: getattr(self, name) for name in ("failed", "skipped", "cached")}
        words = [f"{self.total} rows", *(f"{count} {name}" for name, count in counts.items() if count)]
        calls = f"{self.calls} model call{'' if self.calls == 1 else 's'}"
        return ", ".join([*words, calls, *self._consumed()])

    def note(self, left: Left) -> str:
        """How fast it goes, what it has used and cost so far, and what is left of the budget."""
        counts = {"skipped": self.skipped, "cached": self.cached}
        words = [f"{count} {name}" for name, count in counts.items() if count]
        seconds = max(time.monotonic() - self._began, 0.001)
        if pace := round((self.done - self._replayed) / seconds, 1):
            words.append(f"{pace:g}/s")
        usd, tokens = left
        rest = [] if usd is None else [f"${usd:.3g}"]
        rest += [] if tokens is None else [f"{tokens:,} tokens"]
        words += self._consumed()
        return ", ".join([*words, f"{' and '.join(rest)} of the budget left"] if rest else words)

    def _consumed(self) -> list[str]:
        words = [f"{self._tokens:,} tokens"] if self._tokens else []
        return [*words, f"${self._cost:.3g}"] if self._cost else words
