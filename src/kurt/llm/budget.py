"""Limits of what a step, a run or a workspace may spend, and the books that keep them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kurt.errors import ConfigError, UsageError
from kurt.llm.errors import BudgetSpentError

if TYPE_CHECKING:
    from kurt.llm.types import Cost, Usage


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Attributes:
        usd: US dollars, or None for no limit.
        tokens: tokens of prompts and answers together, or None for no limit.
        scope: over what the sum is taken.
        on_spent: what becomes of a run whose budget is spent: it fails, or ends with what it has.
    """

    usd: float | None = None
    tokens: int | None = None
    scope: Literal["step", "run", "workspace"] = "step"
    on_spent: Literal["fail", "partial"] = "fail"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: neither limit is given, or one is negative.
        """
        if self.usd is None and self.tokens is None:
            raise UsageError(
                "a budget without a limit", hint="write Budget(usd=5) or Budget(tokens=1_000_000)"
            )
        if (self.usd or 0) < 0 or (self.tokens or 0) < 0:
            raise UsageError("a budget cannot be negative", hint="write Budget(usd=5)")


class Ledger:
    """Sums what is spent and refuses calls once the budget is reached; safe among threads.

    A call is refused before it begins, never stopped: the sum exceeds the budget by the calls in flight at most.
    """

    def __init__(self, budget: Budget, *, usd: float = 0.0, tokens: int = 0) -> None:
        """Open the books.

        Args:
            budget: the limits.
            usd: what has been spent before, in US dollars.
            tokens: tokens that have been used before.
        """
        self.budget = budget
        self.usd = usd
        self.tokens = tokens
        self._unpriced: str | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Let a call begin.

        Raises:
            BudgetSpentError: the budget is spent.
            ConfigError: a budget in dollars cannot be kept, because the price of the model is not known.
        """
        budget = self.budget
        if budget.usd is not None:
            if self._unpriced is not None:
                raise _unpriced(self._unpriced)
            if self.usd >= budget.usd:
                raise _spent(budget, f"${self.usd:.4f} of ${budget.usd:.2f} are spent")
        if budget.tokens is not None and self.tokens >= budget.tokens:
            raise _spent(budget, f"{self.tokens:,} of {budget.tokens:,} tokens are used")

    def add(self, model: str, cost: Cost, usage: Usage) -> None:
        """Enter what an answered call consumed.

        Args:
            model: for the message, should its price not be known.
            cost: what it cost.
            usage: what it used.
        """
        with self._lock:
            self.tokens += usage.total
            if cost.amount is not None:
                self.usd += cost.amount
            else:
                self._unpriced = model

    @property
    def left(self) -> tuple[float | None, int | None]:
        """What is left, in US dollars and in tokens; None where there is no limit."""
        budget = self.budget
        return (
            None if budget.usd is None else max(0.0, budget.usd - self.usd),
            None if budget.tokens is None else max(0, budget.tokens - self.tokens),
        )


def _spent(budget: Budget, what: str) -> BudgetSpentError:
    return BudgetSpentError(
        f"the budget of this {budget.scope} is spent: {what}",
        hint="raise the budget and resume the run; finished rows are not paid again",
    )


def _unpriced(model: str) -> ConfigError:
    return ConfigError(
        f"the price of {model!r} is not known, so a budget in dollars cannot be kept",
        hint=f"set LLM.PRICES={model}=INPUT/OUTPUT (US dollars per million tokens), or use Budget(tokens=...)",
    )
