"""Budgets: what they refuse, what they know of other processes, where they come from."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from kurt.config import load_settings
from kurt.errors import ConfigError, UsageError
from kurt.llm.budget import Books, Budget, Ledger
from kurt.llm.errors import BudgetSpentError
from kurt.llm.types import Cost, Usage

USAGE = Usage(100, 50)


def price(amount: float | None) -> Cost:
    return Cost(amount, source=None if amount is None else "local")


@pytest.mark.parametrize("values", [{}, {"usd": -1.0}, {"tokens": -1}])
def test_a_budget_that_cannot_be_meant_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Budget(**values)  # pyright: ignore[reportArgumentType] - as a user may write it


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(usd=1.0), r"step is spent: \$1.0100 of \$1.00 are spent"),
        (Budget(usd=0.025, scope="run"), r"run is spent: \$1.0100 of \$0.0250"),
        (Budget(tokens=150, scope="workspace"), "workspace is spent: 150 of 150 tokens are used"),
    ],
)
async def test_a_spent_budget_refuses_calls(budget: Budget, said: str) -> None:
    ledger = Ledger(budget)
    await ledger.admit()
    ledger.add("m", price(1.01), USAGE)
    with pytest.raises(BudgetSpentError, match=said):
        await ledger.admit()
    assert 0 in ledger.left


async def test_a_price_that_is_not_known_stops_a_budget_in_dollars_only() -> None:
    dollars, tokens = Ledger(Budget(usd=1)), Ledger(Budget(tokens=1000))
    for ledger in (dollars, tokens):
        ledger.add("some/model", price(None), USAGE)
    await tokens.admit()
    with pytest.raises(ConfigError, match="price of 'some/model' is not known"):
        await dollars.admit()


class Store:
    """What all processes have noted; a read can be held up."""

    def __init__(self) -> None:
        self.usd = 0.0
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> tuple[float, int]:
        self.reads += 1
        usd = self.usd
        await self.gate.wait()
        return usd, 0

    def spend(self, books: Books, amount: float) -> None:
        """This process pays for an answer and notes it."""
        self.usd += amount
        books.add("m", price(amount), USAGE)


async def test_what_other_processes_spend_counts_too() -> None:
    store = Store()
    books = Books(read=store.read)
    await books.look()
    ledger = Ledger(Budget(usd=10), books=books)
    store.usd = 9.0
    await ledger.admit()
    assert (ledger.usd, store.reads) == (0.0, 1)  # a look a second, while little is spent here
    store.spend(books, 1.5)
    with pytest.raises(BudgetSpentError, match=r"\$10.5000 of \$10.00"):
        await ledger.admit()
    assert store.reads == 2


async def test_the_nearer_the_end_the_more_often_it_looks() -> None:
    store = Store()
    books = Books(read=store.read)
    await books.look()
    ledger = Ledger(Budget(usd=250), books=books)
    for _ in range(1000):
        await ledger.admit()
        store.spend(books, 0.25)
    with pytest.raises(BudgetSpentError):
        await ledger.admit()
    assert 10 < store.reads < 100


async def test_what_is_spent_while_it_looks_is_counted_once() -> None:
    store = Store()
    books = Books(read=store.read)
    await books.look()
    store.spend(books, 1.0)
    store.gate.clear()
    looking = asyncio.create_task(books.look())
    await asyncio.sleep(0)
    store.spend(books, 2.0)
    assert not books.is_stale(Budget(usd=100)), "far from the end nobody else needs to look"
    assert books.is_stale(Budget(usd=5)), "near it everybody does"
    store.gate.set()
    await looking
    assert math.isclose(books.usd, 3.0)


async def test_a_look_that_fails_is_made_again() -> None:
    outcomes = iter([RuntimeError("away"), (7.0, 70)])

    async def read() -> tuple[float, int]:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    books = Books(read=read)
    with pytest.raises(RuntimeError):
        await books.look()
    assert books.usd == 0
    await books.look()
    assert (books.usd, books.tokens) == (7.0, 70)


def settings(folder: Path, text: str) -> Budget | None:
    (folder / "kurt.config").write_text(text)
    return Budget.from_settings(load_settings(folder, environ={}), module="moods", step="judge")


def test_the_nearest_setting_counts(tmp_path: Path) -> None:
    assert settings(tmp_path, "") is None
    assert settings(tmp_path, "LLM.BUDGET_USD=5\nLLM.BUDGET_SCOPE=run\n") == Budget(5.0, None, "run")
    assert settings(tmp_path, "LLM.BUDGET_USD=5\nMOODS.LLM_BUDGET_USD=0.5\n") == Budget(0.5)
    text = "MOODS.LLM_BUDGET_USD=0.5\nMOODS.JUDGE.LLM_BUDGET_USD=7\nMOODS.JUDGE.LLM_BUDGET_TOKENS=900\n"
    assert settings(tmp_path, text) == Budget(7.0, 900)


@pytest.mark.parametrize(
    "text", ["MOODS.LLM_BUDGET_USD=much", "MOODS.LLM_BUDGET_TOKENS=-3", "MOODS.LLM_BUDGET_SCOPE=world"]
)
def test_a_setting_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        settings(tmp_path, text + "\n")
