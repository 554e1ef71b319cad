"""Waiting for children, some of which may be at work in other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from kurt.engine.interpreter import children
from kurt.runtime import durable


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The states of children as the database would tell them; each look appends what it saw."""
    seen: list[dict[str, str]] = []

    async def statuses(run_ids: Iterable[str]) -> dict[str, str]:
        seen.append(dict.fromkeys(run_ids, "PENDING"))
        return seen[-1]

    monkeypatch.setattr(durable, "statuses", statuses)
    return seen


async def test_a_child_that_another_process_has_taken_over_is_not_looked_at_all_the_time(
    looks: list[dict[str, str]],
) -> None:
    waiter = children.Waiter()
    waiter.add("taken")
    with children.announced("taken"):
        pass  # it has ended in this process only
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiter.next(), 1.2)
    assert 3 < len(looks) < 15


async def test_a_child_that_ends_here_is_seen_at_once(
    looks: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def outcome(run_id: str) -> durable.Outcome:
        return durable.Outcome("SUCCESS", value=run_id)

    async def ends() -> None:
        await asyncio.sleep(0.05)
        with children.announced("here"):
            looks.clear()
        monkeypatch.setattr(durable, "statuses", ended)

    async def ended(run_ids: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(run_ids, "SUCCESS")

    monkeypatch.setattr(durable, "outcome", outcome)
    waiter = children.Waiter()
    waiter.add("here")
    async with asyncio.timeout(children.LOOK_EVERY):  # less than it takes to look by itself
        found, _ = await asyncio.gather(waiter.next(), ends())
    assert found == [("here", durable.Outcome("SUCCESS", value="here"))]
