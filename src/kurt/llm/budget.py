"""Limits of what a step, a run or a workspace may spend, and the books that keep them."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from kurt.errors import ConfigError, UsageError
from kurt.llm.errors import BudgetSpentError

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.llm.types import Cost, Usage

Scope = Literal["step", "run", "workspace"]
"""Over what the sum is taken."""

Reader = Callable[[], Awaitable[tuple[float, int]]]
"""Reads what all processes together have noted as spent: US dollars, and tokens."""

_LOOK_EVERY = 1.0
"""Seconds after which the sum of all processes is read again."""

_SHARE = 8
"""It is read again, too, once this process alone has spent this part of what was left."""

_READING = 20
"""Share of the time that reading may take: one in so many."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Attributes:
        usd: US dollars, or None for no limit.
        tokens: tokens of prompts and answers together, or None for no limit.
        scope: over what the sum is taken.
        on_spent: what becomes of a run whose budget is spent: it fails, or ends with what it has.
        hint: how it is raised, where that is not said in code.
    """

    usd: float | None = None
    tokens: int | None = None
    scope: Scope = "step"
    on_spent: Literal["fail", "partial"] = "fail"
    hint: str | None = None

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

    @classmethod
    def from_settings(
        cls, settings: Settings, *, module: str | None = None, step: str | None = None
    ) -> Budget | None:
        """What the settings let a step spend: its own, its module's, or the project's; None for no limit.

        Raises:
            ConfigError: a value cannot be read.
        """

        def value(name: str) -> object:
            own = settings.get(f"LLM_BUDGET_{name}", module=module, step=step)
            return settings.get(f"LLM.BUDGET_{name}") if own in (None, "") else own

        usd, tokens = _number(value("USD"), "USD"), _number(value("TOKENS"), "TOKENS")
        scope = str(value("SCOPE") or "step")
        if scope not in get_args(Scope):
            raise ConfigError(
                f"LLM_BUDGET_SCOPE={scope!r} is no scope", hint=f"use one of {', '.join(get_args(Scope))}"
            )
        if usd is None and tokens is None:
            return None
        return cls(usd, None if tokens is None else int(tokens), cast("Scope", scope))


def _number(value: object, name: str) -> float | None:
    if value in (None, ""):
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if number < 0:
        raise ConfigError(f"LLM_BUDGET_{name}={value!r} is no amount", hint=f"write LLM_BUDGET_{name}=5")
    return number


class Books:
    """What is spent under one limit; safe among threads.

    Args:
        usd: what has been spent before, in US dollars.
        tokens: tokens that have been used before.
        read: reads what all processes have noted. An entry must be on its way there before anything else can run on
            its event loop, so that a sum holds each entry that was made before it was asked for, and none made after.
    """

    def __init__(self, usd: float = 0.0, tokens: int = 0, read: Reader | None = None) -> None:
        self.usd = usd
        self.tokens = tokens
        self.unpriced: str | None = None
        self._read = read
        self._own = (0.0, 0)
        self._seen = (usd, tokens)
        self._due = 0.0
        self._lock = threading.Lock()

    def add(self, model: str, cost: Cost, usage: Usage) -> None:
        """Enter what an answered call consumed.

        Args:
            model: for the message, should its price not be known.
            cost: what it cost.
            usage: what it used.
        """
        with self._lock:
            self.tokens += usage.total
            self.usd += cost.amount or 0.0
            self._own = (self._own[0] + (cost.amount or 0.0), self._own[1] + usage.total)
            if cost.amount is None:
                self.unpriced = model

    async def look(self) -> None:
        """Read what all processes have spent."""
        if self._read is None:
            return
        with self._lock:
            before = self._own
            self._due = float("inf")  # once a second is enough, whoever looks
        began = time.monotonic()
        try:
            usd, tokens = await self._read()
            with self._lock:
                self.usd = usd + self._own[0] - before[0]
                self.tokens = tokens + self._own[1] - before[1]
                self._seen = (self.usd, self.tokens)
        finally:
            now = time.monotonic()
            self._due = now + max(_LOOK_EVERY, _READING * (now - began))

    def is_stale(self, budget: Budget) -> bool:
        """Whether others may have spent so much since the last look that it matters.

        Near the end every call looks for itself, after what it follows is noted. A sum that is read before the budget is
        reached therefore admits one call of each row at work, in whatever process: no more than are in flight.
        """
        if self._read is None:
            return False
        return (
            time.monotonic() > self._due
            or _far(budget.usd, self._seen[0], self.usd)
            or _far(budget.tokens, self._seen[1], self.tokens)
        )


def _far(limit: float | None, seen: float, now: float) -> bool:
    """Whether a good part of what was left at the last look is gone."""
    return limit is not None and seen < limit and (now - seen) * _SHARE > limit - seen


class Ledger:
    """Refuses calls once a budget is reached; safe among threads.

    A call is refused before it begins, never stopped: the sum exceeds the budget by the calls in flight at most.

    Args:
        budget: the limits.
        usd: what has been spent before, in US dollars.
        tokens: tokens that have been used before.
        books: the sums, where several ledgers share them.
    """

    def __init__(
        self, budget: Budget, *, usd: float = 0.0, tokens: int = 0, books: Books | None = None
    ) -> None:
        self.budget = budget
        self.books = books or Books(usd, tokens)

    @property
    def usd(self) -> float:
        """What is spent, in US dollars."""
        return self.books.usd

    @property
    def tokens(self) -> int:
        """Tokens that are used."""
        return self.books.tokens

    async def admit(self) -> None:
        """Let a call begin, by what all processes have spent.

        Raises:
            BudgetSpentError: the budget is spent.
            ConfigError: a budget in dollars cannot be kept, because the price of the model is not known.
            StorageError: what others have spent cannot be read.
        """
        if self.books.is_stale(self.budget):
            await self.books.look()
        self.check()

    def check(self) -> None:
        """Let a call begin, by what is known here.

        Raises:
            BudgetSpentError: the budget is spent.
            ConfigError: a budget in dollars cannot be kept, because the price of the model is not known.
        """
        budget = self.budget
        if budget.usd is not None:
            if self.books.unpriced is not None:
                raise _unpriced(self.books.unpriced)
            if self.usd >= budget.usd:
                raise _spent(budget, f"${self.usd:.4f} of {_dollars(budget.usd)} are spent")
        if budget.tokens is not None and self.tokens >= budget.tokens:
            raise _spent(budget, f"{self.tokens:,} of {budget.tokens:,} tokens are used")

    def add(self, model: str, cost: Cost, usage: Usage) -> None:
        """Enter what an answered call consumed; see `Books.add`."""
        self.books.add(model, cost, usage)

    @property
    def left(self) -> tuple[float | None, int | None]:
        """What is left, in US dollars and in tokens; None where there is no limit."""
        budget = self.budget
        return (
            None if budget.usd is None else max(0.0, budget.usd - self.usd),
            None if budget.tokens is None else max(0, budget.tokens - self.tokens),
        )


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount == round(amount, 2) else f"${amount:.4f}"


class Ledgers:
    """Several budgets at once: a call begins only if each of them lets it.

    Args:
        ledgers: one for each budget.
    """

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        self._ledgers = tuple(ledgers)

    async def admit(self) -> None:
        """Let a call begin; see `Ledger.admit`.

        Raises:
            BudgetSpentError: one of the budgets is spent.
            ConfigError: one in dollars cannot be kept, because the price of the model is not known.
            StorageError: what others have spent cannot be read.
        """
        for ledger in self._ledgers:
            await ledger.admit()

    def add(self, model: str, cost: Cost, usage: Usage) -> None:
        """Enter what an answered call consumed; see `Books.add`."""
        for ledger in self._ledgers:
            ledger.add(model, cost, usage)

    @property
    def left(self) -> tuple[float | None, int | None]:
        """What is left of the tightest budgets, in US dollars and in tokens; None where there is no limit."""
        usd = [ledger.left[0] for ledger in self._ledgers]
        tokens = [ledger.left[1] for ledger in self._ledgers]
        return (
            min((one for one in usd if one is not None), default=None),
            min((one for one in tokens if one is not None), default=None),
        )


def _spent(budget: Budget, what: str) -> BudgetSpentError:
    error = BudgetSpentError(
        f"the budget of this {budget.scope} is spent: {what}",
        hint=budget.hint
        or "raise the budget, then `kurt workflows resume` the run; finished rows are not paid again",
    )
    error.partial = budget.on_spent == "partial"
    return error


def _unpriced(model: str) -> ConfigError:
    return ConfigError(
        f"the price of {model!r} is not known, so a budget in dollars cannot be kept",
        hint=f"set LLM.PRICES={model}=INPUT/OUTPUT (US dollars per million tokens), or use Budget(tokens=...)",
    )
